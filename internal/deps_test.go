package internal_test

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/dependencies.md gives a reason for each direct dependency, and for nothing that is none.
func TestDependenciesExplained(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	direct := map[string]bool{}
	for _, line := range strings.Split(read("go.mod"), "\n") {
		if f := strings.Fields(strings.TrimPrefix(line, "require ")); len(f) == 2 && strings.HasPrefix(f[1], "v") {
			direct[f[0]] = true
		}
	}
	goModules := len(direct)
	for _, list := range []string{"web/package.json", "test/real/sdk/package.json"} {
		var pkg struct{ Dependencies, DevDependencies map[string]string }
		if err := json.Unmarshal([]byte(read(list)), &pkg); err != nil {
			t.Fatal(err)
		}
		for name := range pkg.Dependencies {
			direct[name] = true
		}
		for name := range pkg.DevDependencies {
			direct[name] = true
		}
	}
	if goModules < 10 || len(direct) == goModules {
		t.Fatalf("read %d Go modules and %d npm packages: does this test still read the lists?", goModules, len(direct)-goModules)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^ |]").FindAllStringSubmatch(read("docs/dependencies.md"), -1) {
		explained[m[1]] = true
	}
	for _, name := range slices.Sorted(maps.Keys(direct)) {
		if !explained[name] {
			t.Errorf("%s: say in docs/dependencies.md what it is for and what it replaced", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(explained)) {
		if !direct[name] {
			t.Errorf("docs/dependencies.md explains %s, which is no direct dependency (any more)", name)
		}
	}
}
