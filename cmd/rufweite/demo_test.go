package main

import "testing"

func TestDemoDataIsKeptOnlyWhereItWasAskedFor(t *testing.T) {
	t.Setenv("RUFWEITE_DATA", "/var/lib/rufweite") // is meant for serve
	for line, want := range map[string]bool{"--data": true, "--data=x": true, "--database": false, "": false} {
		if got := dataGiven([]string{"demo", line}); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
}
