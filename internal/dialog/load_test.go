package dialog

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/rufweite/rufweite/internal/ask"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON reads YAML as a validator of JSON sees it.
func asJSON(t *testing.T, data []byte) (any, bool) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		return nil, false
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	return out, err == nil
}

// The schema says what the loader says: ready dialogs and those that are broken in their meaning only are valid, and what
// the loader refuses for its structure is not.
func TestSchemaAndLoaderAgree(t *testing.T) {
	s := compiledSchema(t)
	files, err := filepath.Glob("ready/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d ready dialogs, %v", len(files), err)
	}
	broken, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	valid, invalid := 0, 0
	for _, name := range append(files, broken...) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, findings := Load(name, data)
		v, ok := asJSON(t, data)
		if !ok {
			if p != nil {
				t.Errorf("%s: no YAML, and yet a dialog", name)
			}
			continue
		}
		err = s.Validate(v)
		switch {
		case p != nil && err != nil:
			t.Errorf("%s is loaded, but not valid: %v", name, err)
		case p == nil && err == nil && !beyondSchema(findings):
			t.Errorf("%s is valid, but not loaded: %s", name, findings[0])
		case p == nil:
			invalid++
		default:
			valid++
		}
	}
	if valid < 25 || invalid < 6 {
		t.Errorf("%d valid, %d invalid: does this test still read the files?", valid, invalid)
	}
}

// beyondSchema reports whether a fault is one that no schema can see.
func beyondSchema(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool {
		return strings.Contains(f.Message, "there twice") || strings.Contains(f.Message, "second document") || strings.Contains(f.Message, "anchors")
	})
}

// Each field of the types is in the schema, and the other way round.
func TestSchemaKnowsEachField(t *testing.T) {
	var doc struct {
		Properties map[string]any
		Defs       map[string]struct {
			Properties map[string]any
		} `json:"$defs"`
	}
	if err := json.Unmarshal(Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	step := map[string]any{}
	for kind := range companions {
		for name := range doc.Defs[kind].Properties {
			step[name] = nil
		}
		want := append([]string{"id", kind}, companions[kind]...)
		slices.Sort(want)
		if have := sorted(doc.Defs[kind].Properties); !slices.Equal(have, want) {
			t.Errorf("%s: the schema has %v, the loader %v", kind, have, want)
		}
	}
	for _, c := range []struct {
		of   any
		have map[string]any
	}{
		{Program{}, doc.Properties}, {Step{}, step}, {Variable{}, doc.Defs["input"].Properties},
		{ask.Ask{}, doc.Defs["question"].Properties}, {ask.Option{}, doc.Defs["option"].Properties},
		{ask.Value{}, doc.Defs["value"].Properties}, {ask.Postal{}, doc.Defs["postal"].Properties},
	} {
		_, want := fieldsOf(reflect.TypeOf(c.of))
		slices.Sort(want)
		if have := sorted(c.have); !slices.Equal(have, want) {
			t.Errorf("%T: the schema has\n%v\nthe type\n%v", c.of, have, want)
		}
	}
}

func bare(p *Program) *Program {
	q := *p
	q.file, q.places = "", nil
	q.Steps = slices.Clone(q.Steps)
	for i := range q.Steps {
		q.Steps[i].Line = 0
	}
	return &q
}

func TestMarshalRoundTrip(t *testing.T) {
	for _, p := range Ready() {
		b, err := Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, findings := Load(p.Key, b)
		if q == nil {
			t.Fatalf("%s\n%s", findings[0], b)
		}
		if !reflect.DeepEqual(bare(p), bare(q)) {
			t.Errorf("%s changed:\n%s", p.Key, b)
		}
		again, err := Marshal(q)
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%s is written otherwise the second time: %v", p.Key, err)
		}
		// As JSON it is the same dialog.
		j, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		r, findings := Load(p.Key+".json", j)
		if r == nil {
			t.Fatalf("as JSON: %s\n%s", findings[0], j)
		}
		if c, err := Marshal(r); err != nil || !bytes.Equal(b, c) {
			t.Errorf("%s is another dialog as JSON: %v\n%s", p.Key, err, c)
		}
	}
}

func TestLoadBounds(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"large":  {"dialog: x\n#" + strings.Repeat("x", maxFile), "more than 1024 KB"},
		"deep":   {"dialog: x\nsteps: " + strings.Repeat("[", 60) + strings.Repeat("]", 60), "lies in more than"},
		"json":   {`{"steps":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "lies in more than"},
		"bomb":   {"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n", "anchors and aliases"},
		"merge":  {"dialog: x\n<<: {title: {de: x}}\n", "anchors and aliases"},
		"empty":  {" \n\n", "the file is empty"},
		"remark": {"# nothing\n", "nothing but comments"},
		"binary": {"\x89PNG\r\n\x1a\n", "byte 0x89 is no text"},
		"tail":   {`{"dialog":"x"} x`, "something follows"},
		"norway": {"dialog: no\ntitle: {no: Prøve}\nlanguages: [no]\nsteps: [{id: no, end: {}}]\n", ""},
	} {
		p, findings := Load(name, []byte(c.text))
		if c.want == "" {
			if p == nil {
				t.Errorf("%s: %s", name, findings[0])
			}
			continue
		}
		if p != nil || len(findings) == 0 || !strings.Contains(findings[0].Message, c.want) || findings[0].Line < 1 || findings[0].Column < 1 {
			t.Errorf("%s: %v", name, findings)
		}
	}
}

func TestLoadDir(t *testing.T) {
	list, findings := LoadDir(fstest.MapFS{
		"a.yaml":     {Data: []byte(pickup)},
		"sub/b.json": {Data: []byte(`{"dialog": "b"`)},
		"notes.txt":  {Data: []byte("no dialog")},
	})
	if len(list) != 1 || list[0].Key != "pickup" || len(findings) != 1 || findings[0].File != "sub/b.json" {
		t.Errorf("%d dialogs, %v", len(list), findings)
	}
	for _, f := range func() []Finding { _, f := LoadIn("de", "x.yaml", []byte("dialog: x\nsteps: 3\n")); return f }() {
		if !strings.Contains(f.Message, "fehlt") && !strings.Contains(f.Message, "ist") {
			t.Errorf("not in German: %s", f)
		}
	}
}

// FuzzLoad: no input makes the loader panic, and each finding says where. What loads is written and read again.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"ready/*.yaml", "testdata/broken/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte(`{"dialog":"x","title":{"de":"x"},"languages":["de"],"steps":[{"id":"a","say":{"de":"{{ 1 + 1 }}"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, findings := Load("fuzz.yaml", data)
		if (p == nil) != (len(findings) > 0) {
			t.Fatalf("dialog %v, findings %v", p, findings)
		}
		for _, f := range findings {
			if f.Line < 1 || f.Column < 1 || f.Message == "" || f.Remedy == "" {
				t.Fatalf("no place or remedy: %+v", f)
			}
		}
		if p == nil {
			return
		}
		for _, f := range Check([]*Program{p}, media(), CheckOptions{Language: "de"}) {
			if f.Line < 1 || f.Message == "" {
				t.Fatalf("no place: %+v", f)
			}
		}
		b, err := Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, findings := Load("again.yaml", b)
		if q == nil {
			t.Fatalf("what was written is not read: %s\n%s", findings[0], b)
		}
		if c, err := Marshal(q); err != nil || !bytes.Equal(b, c) {
			t.Fatalf("written twice it is something else:\n%s\n%s", b, c)
		}
	})
}
