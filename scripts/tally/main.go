// Command tally reads `go test -json`, shows what failed or was skipped, and closes with the plain line
// "N passed, N failed". Leaf tests count: a table with ten rows is ten. It exits 1 if anything failed, if no test ran,
// and with -strict also if a test was skipped: a missing dependency must not look like success.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

func main() {
	strict := flag.Bool("strict", false, "a skipped test is a failure")
	flag.Parse()
	output := map[string][]string{} // package/test → what it printed
	results := map[string]string{}  // package/test → pass, fail, skip
	parents := map[string]bool{}    // tests that have subtests
	packages := map[string]string{} // package → pass, fail, skip
	slow := map[string]float64{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // not of the test runner: a message of go itself
			continue
		}
		key := e.Package + "\x00" + e.Test
		switch e.Action {
		case "build-output":
			fmt.Print(e.Output)
		case "output":
			output[key] = append(output[key], e.Output)
		case "run":
			if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
				parents[e.Package+"\x00"+e.Test[:i]] = true
			}
		case "pass", "fail", "skip":
			if e.Test == "" {
				packages[e.Package] = e.Action
				slow[e.Package] = e.Elapsed
				if e.Action == "fail" {
					fmt.Printf("FAIL %s\n%s", e.Package, strings.Join(output[key], ""))
				}
				continue
			}
			results[key] = e.Action
			if e.Action != "pass" && !parents[key] {
				fmt.Printf("%s %s %s\n%s", strings.ToUpper(e.Action), e.Package, e.Test, strings.Join(output[key], ""))
			}
			if e.Action != "fail" {
				delete(output, key)
			}
		}
	}
	if err := in.Err(); err != nil {
		fmt.Println("read go test -json:", err)
		os.Exit(1)
	}
	passed, failed, skipped := 0, 0, 0
	broken := map[string]bool{} // packages in which a leaf failed
	for key, r := range results {
		pkg, _, _ := strings.Cut(key, "\x00")
		switch {
		case r == "fail" && parents[key]:
			continue // its leaves say it, or the package does
		case r == "fail":
			failed++
			broken[pkg] = true
		case parents[key]:
		case r == "pass":
			passed++
		case r == "skip":
			skipped++
		}
	}
	for key, r := range results { // a parent can fail by itself, after its leaves passed
		if pkg, _, _ := strings.Cut(key, "\x00"); r == "fail" && parents[key] && !broken[pkg] {
			failed++
			broken[pkg] = true
			fmt.Printf("FAIL %s\n%s", strings.ReplaceAll(key, "\x00", " "), strings.Join(output[key], ""))
		}
	}
	names := make([]string, 0, len(packages))
	for p, r := range packages {
		names = append(names, p)
		if r == "fail" && !broken[p] {
			failed++ // it did not build, crashed or ran out of time
		}
	}
	slices.SortFunc(names, func(a, b string) int { return int(1000 * (slow[b] - slow[a])) })
	for _, p := range names[:min(5, len(names))] {
		fmt.Printf("%6.1f s %s\n", slow[p], p)
	}
	if skipped > 0 {
		fmt.Printf("skipped: %d\n", skipped)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 || passed == 0 || (*strict && skipped > 0) {
		os.Exit(1)
	}
}
