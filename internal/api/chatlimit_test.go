package api

import (
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	var l limits
	now := time.Date(2026, 3, 29, 1, 59, 0, 0, time.UTC)
	take := func(key string) time.Duration { return l.take(key, 60, 3, now) }
	for i := range 3 {
		if w := take("a"); w != 0 {
			t.Fatalf("%d: wait %v", i, w)
		}
	}
	if w := take("a"); w != time.Second {
		t.Errorf("the fourth waits %v", w)
	}
	if w := take("b"); w != 0 {
		t.Errorf("another waits %v", w)
	}
	now = now.Add(time.Second)
	if take("a") != 0 || take("a") == 0 {
		t.Error("one second gives one")
	}
	now = now.Add(-time.Hour) // the clock was put back
	if take("a") == 0 {
		t.Error("a clock that was put back gives something")
	}
	now = now.Add(time.Second)
	if take("a") != 0 {
		t.Error("a clock that was put back stops everything")
	}
	now = now.Add(24 * time.Hour)
	for range 3 {
		if take("a") != 0 {
			t.Error("a day gives a full bucket")
		}
	}
	if take("a") == 0 {
		t.Error("a day gives more than a full bucket")
	}
	for i := range 120_000 { // memory has an end
		l.take(time.Duration(i).String(), 60, 3, now)
	}
	if n := len(l.by); n > 50_001 {
		t.Errorf("%d buckets", n)
	}
}

func TestStreams(t *testing.T) {
	var s streams
	most := map[string]int{"visitor a": 1, "ip b": 2}
	leave, ok := s.enter(most)
	if _, again := s.enter(most); !ok || again {
		t.Fatal("one stream of a visitor, and no more")
	}
	other, ok := s.enter(map[string]int{"visitor c": 1, "ip b": 2})
	if _, full := s.enter(map[string]int{"visitor d": 1, "ip b": 2}); !ok || full {
		t.Fatal("two streams of an address, and no more")
	}
	leave()
	other()
	if leave, ok = s.enter(most); !ok || len(s.n) != 2 {
		t.Errorf("after leaving: %v", s.n)
	}
	leave()
	if len(s.n) != 0 {
		t.Errorf("left: %v", s.n)
	}
}

func TestCursor(t *testing.T) {
	s := &Server{Options: Options{URLKey: []byte("k")}}
	for _, seq := range []int64{0, 1, 1 << 40} {
		c := s.sealSeq(seq, "visitor:a")
		if got, ok := s.openSeq(c, "visitor:a"); !ok || got != seq {
			t.Errorf("%d became %d, %t", seq, got, ok)
		}
		if _, ok := s.openSeq(c, "visitor:b"); ok {
			t.Error("another visitor's cursor opens")
		}
		if _, ok := s.openSeq("A"+c[1:], "visitor:a"); ok && c[0] != 'A' {
			t.Error("a changed cursor opens")
		}
	}
	other := &Server{Options: Options{URLKey: []byte("another")}}
	if _, ok := other.openSeq(s.sealSeq(5, "visitor:a"), "visitor:a"); ok {
		t.Error("another server's cursor opens")
	}
	for _, bad := range []string{"", "12", "!!!!!!!!!!!!!!!!!!!!!!", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, ok := s.openSeq(bad, "visitor:a"); ok {
			t.Errorf("%q opens", bad)
		}
	}
}

func TestFileKind(t *testing.T) {
	png := []byte("\x89PNG\r\n\x1a\n")
	for _, tt := range []struct {
		name, content, kind string
		ok                  bool
	}{
		{"a.png", string(png), "image/png", true},
		{"A.PNG", string(png), "image/png", true},
		{"a.jpg", string(png), "image/png", true}, // shown as what it is
		{"a.png", "nur Text", "application/octet-stream", true},
		{"a.png", "<html>", "", false},
		{"a.svg", "<svg/>", "", false},
		{"a.html", "x", "", false},
		{"a.pdf", "%PDF-1.7", "application/pdf", true},
		{"a.pdf", "x", "application/octet-stream", true},
		{"a.pdf", "MZ\x90", "", false},
		{"a.txt", "\x7fELF", "", false},
		{"a.txt", "#!/bin/sh", "", false},
		{"a.docx", "PK\x03\x04", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", true},
		{"a.exe", "x", "", false},
		{"a", "x", "", false},
		{"", "x", "", false},
	} {
		if kind, ok := fileKind(tt.name, []byte(tt.content)); kind != tt.kind || ok != tt.ok {
			t.Errorf("fileKind(%q, %q) = %q, %t", tt.name, tt.content, kind, ok)
		}
	}
}
