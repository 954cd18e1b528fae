package reach

import "testing"

func TestFindCode(t *testing.T) {
	for _, c := range []struct {
		text, code string
		pin        bool
	}{
		{"Hier geht es weiter. Mein Code: K7M2-Q9XP-4TZA", "K7M2Q9XP4TZA", false},
		{"k7m2q9xp4tza", "K7M2Q9XP4TZA", false},
		{"K7M2 Q9XP 4TZA.", "K7M2Q9XP4TZA", false},
		{"Baut 2345 Haus. Mein Code: K7M2-Q9XP-4TZA", "K7M2Q9XP4TZA", false},
		{"> Code K7M2-Q9XP-4TZA.\n> Gruß", "K7M2Q9XP4TZA", false},
		{"(K7M2-Q9XP-4TZA)", "K7M2Q9XP4TZA", false},
		{"K7M2-Q9XP-4TZA5", "", false},             // longer than a code
		{"xK7M2Q9XP4TZA", "", false},               // in the middle of a word
		{"Verkehrsunfall Versicherung", "", false}, // words without digits
		{"RECHTSSCHUTZ", "", false},
		{"472 913", "472913", true},
		{"472913\n", "472913", true},
		{"Meine PLZ ist 472913", "", false},
		{"4729131", "", false},
		{"", "", false},
	} {
		if code, pin := FindCode(c.text); code != c.code || pin != c.pin {
			t.Errorf("FindCode(%q) = %q, %t, want %q, %t", c.text, code, pin, c.code, c.pin)
		}
	}
}

func FuzzFindCode(f *testing.F) {
	f.Add("Mein Code: K7M2-Q9XP-4TZA")
	f.Fuzz(func(t *testing.T, text string) {
		code, pin := FindCode(text)
		if want := map[bool]int{true: pinLength, false: codeLength}[pin]; code != "" && len(code) != want {
			t.Errorf("FindCode(%q) = %q", text, code)
		}
	})
}
