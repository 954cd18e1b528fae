package conversation_test

import (
	"reflect"
	"testing"

	"github.com/rufweite/rufweite/internal/conversation"
)

// TestNumbers reads like the mails that people write.
func TestNumbers(t *testing.T) {
	for text, want := range map[string][]string{
		"Schaden-Nr. 2024/0815":                           {"20240815"},
		"Schadennummer: 55-1234-77":                       {"55123477"},
		"Meine Vertragsnummer lautet 4711-0815":           {"47110815"},
		"Vertrag KFZ-123456 kündigen":                     {"KFZ123456"},
		"zu KFZ-123456 und kfz 123456":                    {"KFZ123456"},
		"Police Nr.4711999":                               {"4711999"},
		"VS-Nr 12 345 678":                                nil, // broken by blanks: not guessed
		"claim number 9988-7766-A":                        {"99887766A"},
		"Your order #1234567":                             {"1234567"},
		"Rechnung RE-2026-00451 vom 03.11.2026":           {"202600451"},
		"Rechnung vom 03.11.2026 über 1.234,56 Euro":      nil,
		"am 03.11.2026 um 14:30 Uhr":                      nil,
		"2026-11-03":                                      nil,
		"Rufen Sie mich an: 0171 2345678":                 nil,
		"Tel. 02632/123456":                               nil,
		"+49 171 2345678":                                 nil,
		"Kundennummer 445566":                             nil,
		"IBAN DE89370400440532013000":                     nil,
		"Kto. 532013000":                                  nil,
		"56626 Andernach":                                 nil,
		"Schadenhöhe 12.500 EUR":                          nil,
		"Schaden von 12.500 Euro":                         nil,
		"":                                                nil,
		"Az.: 12 O 345/26":                                {"34526"},
		"Gutachten_Schaden-2026_0815_77":                  {"2026081577"},
		"Angebot AN-20881 und Auftrag 778899":             {"AN20881", "778899"},
		"KFZ123456":                                       {"KFZ123456"},
		"B2B 2026 H2O":                                    nil,
		"Ich habe 4 Kinder und 12345 Fragen":              nil,
		"Antrag 2026001, danke. Mein Schaden: 2026002":    {"2026001", "2026002"},
		"Vertrag: siehe Anlage. Wir waren 2019 umgezogen": nil,
	} {
		if got := conversation.Numbers(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func FuzzNumbers(f *testing.F) {
	f.Add("Schaden-Nr. 2024/0815 \xff Ü")
	f.Fuzz(func(t *testing.T, s string) {
		for _, n := range conversation.Numbers(s) {
			if len(n) < 4 {
				t.Errorf("%q gives %q", s, n)
			}
		}
	})
}

func BenchmarkNumbers(b *testing.B) {
	text := "Guten Tag, meine Frage Nummer 17 zum Vertrag KFZ-1234: Wann kommt die Bestätigung? Wir hatten am 03.11.2026 telefoniert, Tel. 0171 2345678."
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		conversation.Numbers(text)
	}
}
