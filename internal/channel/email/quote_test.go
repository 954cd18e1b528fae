package email

import "testing"

func TestTrimQuoted(t *testing.T) {
	for name, tt := range map[string]struct{ text, visible, quoted string }{
		"gmail, English":       {"Thanks!\n\nOn Tue, 3 Mar 2026 at 09:00, Anna Berg <a@firma.example> wrote:\n> Hi\n> there", "Thanks!", "On Tue, 3 Mar 2026 at 09:00, Anna Berg <a@firma.example> wrote:\n> Hi\n> there"},
		"gmail, broken line":   {"Thanks!\n\nOn Tue, 3 Mar 2026 at 09:00, Anna Berg (Servicepostfach) <\nservice@firma.example> wrote:\n\n> Hi", "Thanks!", "On Tue, 3 Mar 2026 at 09:00, Anna Berg (Servicepostfach) <\nservice@firma.example> wrote:\n\n> Hi"},
		"gmail, German":        {"Danke!\n\nAm Di., 3. März 2026 um 09:00 Uhr schrieb Anna Berg <a@firma.example>:\n\n> Hallo", "Danke!", "Am Di., 3. März 2026 um 09:00 Uhr schrieb Anna Berg <a@firma.example>:\n\n> Hallo"},
		"gmail, German, name":  {"Danke!\n\nAnna Berg <a@firma.example> schrieb am Di., 3. März 2026, 09:00:\n\n> Hallo", "Danke!", "Anna Berg <a@firma.example> schrieb am Di., 3. März 2026, 09:00:\n\n> Hallo"},
		"thunderbird":          {"Ja.\n\nAm 03.03.26 um 09:00 schrieb Anna Berg:\n> Hallo\n\n-- \nJörg", "Ja.", "Am 03.03.26 um 09:00 schrieb Anna Berg:\n> Hallo\n\n-- \nJörg"},
		"outlook, German":      {"Ja.\n\n________________________________\nVon: Anna <a@firma.example>\nGesendet: Dienstag, 3. März 2026 17:02\nAn: J <j@x.example>\nBetreff: x\n\nHallo", "Ja.", "________________________________\nVon: Anna <a@firma.example>\nGesendet: Dienstag, 3. März 2026 17:02\nAn: J <j@x.example>\nBetreff: x\n\nHallo"},
		"outlook, English":     {"Yes.\n\nFrom: Anna <a@firma.example>\nSent: Tuesday, March 3, 2026 5:02 PM\nTo: J\nSubject: x\n\nHello", "Yes.", "From: Anna <a@firma.example>\nSent: Tuesday, March 3, 2026 5:02 PM\nTo: J\nSubject: x\n\nHello"},
		"old outlook":          {"Ja.\n\n-----Ursprüngliche Nachricht-----\nVon: Anna\nHallo", "Ja.", "-----Ursprüngliche Nachricht-----\nVon: Anna\nHallo"},
		"gmx":                  {"Ja.\n\nGesendet: Montag\n\nAm 03.03.26, 09:00 schrieb service@firma.example:\n\n> Hallo", "Ja.\n\nGesendet: Montag", "Am 03.03.26, 09:00 schrieb service@firma.example:\n\n> Hallo"},
		"tail only":            {"Ja.\n\n> Hallo\n>\n> da", "Ja.", "> Hallo\n>\n> da"},
		"answers inline":       {"Am 03.03.26 um 09:00 schrieb Anna:\n> Eins?\nJa.\n> Zwei?\nNein.", "Am 03.03.26 um 09:00 schrieb Anna:\n> Eins?\nJa.\n> Zwei?\nNein.", ""},
		"answer below":         {"On Tue, 3 Mar 2026, Anna wrote:\n> Hi\n\nMy answer.", "On Tue, 3 Mar 2026, Anna wrote:\n> Hi\n\nMy answer.", ""},
		"only a quote":         {"> Hallo\n> da", "> Hallo\n> da", ""},
		"nothing":              {"Hallo\n\nIch schrieb Ihnen: keine Antwort.\nVon: oben bis unten.", "Hallo\n\nIch schrieb Ihnen: keine Antwort.\nVon: oben bis unten.", ""},
		"words that look so":   {"Am Montag war ich da.\nOn the other hand:\nnothing.", "Am Montag war ich da.\nOn the other hand:\nnothing.", ""},
		"empty":                {"", "", ""},
		"forwarded is content": {"Siehe unten.\n\n---------- Forwarded message ---------\nHallo", "Siehe unten.\n\n---------- Forwarded message ---------\nHallo", ""},
	} {
		visible, quoted := TrimQuoted(tt.text)
		if visible != tt.visible || quoted != tt.quoted {
			t.Errorf("%s:\nvisible %q\n   want %q\n quoted %q\n   want %q", name, visible, tt.visible, quoted, tt.quoted)
		}
	}
}
