package api_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// operation is one operation of the OpenAPI document.
type operation struct {
	method, path, id string
	doc              object
}

func (o operation) open() bool {
	list, ok := o.doc["security"].([]any)
	return ok && len(list) == 0
}

func operations(t testing.TB, doc object) []operation {
	t.Helper()
	var out []operation
	for path, item := range doc.obj("paths") {
		for method, op := range item.(map[string]any) {
			if m, ok := op.(map[string]any); ok {
				out = append(out, operation{strings.ToUpper(method), path, object(m).str("operationId"), m})
			}
		}
	}
	slices.SortFunc(out, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return out
}

// TestOpenAPI: the document is whole, refers to nothing that is not there, and names every route under /api/v1.
func TestOpenAPI(t *testing.T) {
	h := open(t, "")
	a := h.nobody().get("/api/openapi.json").want(200)
	if ct := a.header.Get("Content-Type"); !strings.Contains(ct, "json") {
		t.Errorf("Content-Type %q", ct)
	}
	doc := a.obj()
	if v := doc.str("openapi"); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("openapi: %q", v)
	}
	if doc.str("info.title") == "" || doc.str("info.version") == "" || doc.str("info.license.identifier") != "AGPL-3.0-or-later" {
		t.Errorf("info: %v", doc["info"])
	}
	schemes := doc.obj("components").obj("securitySchemes")
	for _, s := range []string{"token", "session"} {
		if _, ok := schemes[s]; !ok {
			t.Errorf("no security scheme %q", s)
		}
	}
	pathParam := regexp.MustCompile(`\{([^}]+)\}`)
	ids := map[string]bool{}
	listed := map[string]bool{}
	ops := operations(t, doc)
	for _, o := range ops {
		what := o.method + " " + o.path
		listed[what] = true
		if o.id == "" || ids[o.id] {
			t.Errorf("%s: operationId %q is missing or used twice", what, o.id)
		}
		ids[o.id] = true
		if o.doc.str("summary") == "" || o.doc["tags"] == nil {
			t.Errorf("%s has no summary or tags", what)
		}
		if !strings.HasPrefix(o.path, "/api/v1/") {
			t.Errorf("%s lies outside /api/v1", what)
		}
		declared := map[string]bool{}
		for _, p := range o.doc.list("parameters") {
			key := p.str("in") + " " + p.str("name")
			if declared[key] {
				t.Errorf("%s: parameter %q twice", what, key)
			}
			declared[key] = true
			if p.str("in") == "path" && !p.yes("required") {
				t.Errorf("%s: path parameter %s is not required", what, p.str("name"))
			}
			if p["schema"] == nil {
				t.Errorf("%s: parameter %s has no schema", what, p.str("name"))
			}
		}
		for _, m := range pathParam.FindAllStringSubmatch(o.path, -1) {
			if !declared["path "+m[1]] {
				t.Errorf("%s: path parameter %s is not declared", what, m[1])
			}
		}
		good, bad := false, false
		for status, r := range o.doc.obj("responses") {
			resp := object(r.(map[string]any))
			if resp.str("description") == "" {
				t.Errorf("%s: response %s has no description", what, status)
			}
			good = good || strings.HasPrefix(status, "2")
			if status == "default" || strings.HasPrefix(status, "4") {
				content := resp.obj("content")
				_, ok := content["application/problem+json"]
				bad = bad || ok
			}
		}
		if !good || !bad {
			t.Errorf("%s: responses lack success or application/problem+json: %v", what, o.doc["responses"])
		}
	}
	if len(ops) < 50 {
		t.Errorf("only %d operations", len(ops))
	}
	// Every $ref leads somewhere, every type is one of JSON Schema.
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				var target any = map[string]any(doc)
				for _, k := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
					m, _ := target.(map[string]any)
					target = m[k]
				}
				if target == nil {
					t.Errorf("%s: %s leads nowhere", at, ref)
				}
			}
			if ty, ok := v["type"]; ok && !strings.HasSuffix(at, "/properties") && !strings.Contains(at, "securitySchemes") {
				for _, one := range func() []any {
					if l, ok := ty.([]any); ok {
						return l
					}
					return []any{ty}
				}() {
					if s, _ := one.(string); !slices.Contains([]string{"string", "number", "integer", "boolean", "array", "object", "null"}, s) {
						t.Errorf("%s: type %v", at, ty)
					}
				}
			}
			for k, e := range v {
				walk(at+"/"+k, e)
			}
		case []any:
			for i, e := range v {
				walk(fmt.Sprintf("%s/%d", at, i), e)
			}
		}
	}
	walk("", map[string]any(doc))

	// Whatever the source registers is in the document: by huma, by raw, or not at all.
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	made := regexp.MustCompile(`\bop\("([A-Z]+)", "([^"]+)"(?:\+[a-z]+)?, `)
	direct := regexp.MustCompile(`mux\.Handle(?:Func)?\("([A-Z]* ?/api/v1[^"]*)"`)
	routes := 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range direct.FindAllStringSubmatch(string(src), -1) {
			t.Errorf("%s registers %q past the OpenAPI document: use raw", f, m[1])
		}
		for _, m := range made.FindAllStringSubmatch(string(src), -1) {
			path := "/api/v1" + m[2]
			if strings.HasSuffix(path, "/") { // a family: "/work-items/{id}/"+path
				continue
			}
			routes++
			if !listed[m[1]+" "+path] {
				t.Errorf("%s: %s %s is not in the document", f, m[1], path)
			}
		}
	}
	if routes < 50 {
		t.Errorf("only %d routes were found in the source", routes)
	}
	for _, want := range []string{"GET /api/v1/live", "GET /api/v1/attachments/{id}", "POST /api/v1/attachments", "GET /api/v1/messages/{id}/html", "GET /api/v1/images", "GET /api/v1/work-items/{id}/raw", "POST /api/v1/work-items/{id}/retry"} {
		if !listed[want] {
			t.Errorf("%s is not in the document", want)
		}
	}
	// And what is in the document is served: no operation is a path that does not exist.
	for _, o := range ops {
		path := pathParam.ReplaceAllString(o.path, id())
		if o.id == "live" {
			continue // answers for ever
		}
		a := h.owner.do(o.method, path, map[string]any{})
		var p struct{ Code string }
		if json.Unmarshal(a.body, &p) == nil && p.Code == "no_such_route" {
			t.Errorf("%s %s is documented and not served", o.method, o.path)
		}
	}
}
