package email

import (
	"strings"
	"testing"
)

// TestQuotedFrom: in each case "§" stands where the earlier mails begin; a case without it quotes nothing.
func TestQuotedFrom(t *testing.T) {
	for name, tt := range map[string]struct{ subject, text string }{
		// Gmail
		"gmail, English":                {"Re: x", "Thanks!\n\n§On Tue, 3 Mar 2026 at 09:00, Anna Berg <a@firma.example> wrote:\n> Hi\n> there"},
		"gmail, broken line":            {"Re: x", "Thanks!\n\n§On Tue, 3 Mar 2026 at 09:00, Anna Berg (Servicepostfach) <\nservice@firma.example> wrote:\n\n> Hi"},
		"gmail, American":               {"Re: x", "Sounds good.\n\n§On Tue, Mar 3, 2026 at 9:00 AM Anna Berg <a@firma.example> wrote:\n\n> Hi"},
		"gmail, German":                 {"Re: x", "Danke!\n\n§Am Di., 3. März 2026 um 09:00 Uhr schrieb Anna Berg <a@firma.example>:\n\n> Hallo"},
		"gmail, German, name":           {"Re: x", "Danke!\n\n§Anna Berg <a@firma.example> schrieb am Di., 3. März 2026, 09:00:\n\n> Hallo"},
		"gmail, German, three lines":    {"Re: x", "Danke!\n\n§Am Di., 3. März 2026 um 09:00 Uhr schrieb Anna Berg\n(Servicepostfach der Firma) <\nservice@firma.example>:\n\n> Hallo"},
		"gmail, French":                 {"Re: x", "Merci !\n\n§Le mar. 3 mars 2026 à 09:00, Anna Berg <a@firma.example> a écrit :\n\n> Bonjour"},
		"gmail, French, no-break space": {"Re: x", "Merci !\n\n§Le mar. 3 mars 2026 à 09:00, Anna Berg <a@firma.example> a écrit\u00a0:\n\n> Bonjour"},
		"gmail, from HTML":              {"Re: x", "Danke!\n\n§Am Di., 3. März 2026 um 09:00 Uhr schrieb Anna Berg <a@firma.example>:\nHallo,\npasst das?"},
		// Apple Mail
		"apple, German":             {"Re: x", "Ja, gerne.\n\n§> Am 03.03.2026 um 09:00 schrieb Anna Berg <a@firma.example>:\n> \n> Hallo"},
		"apple, German, unquoted":   {"Re: x", "Ja, gerne.\n\nVon meinem iPhone gesendet\n\n§Am 03.03.2026 um 09:00 schrieb Anna Berg <a@firma.example>:\n\n> Hallo"},
		"apple, English":            {"Re: x", "Yes.\n\nSent from my iPhone\n\n§> On 3 Mar 2026, at 09:00, Anna Berg <a@firma.example> wrote:\n> \n> Hello"},
		"apple, emoji and no-break": {"Re: x", "Super 👍\n\n§> Am 03.03.2026 um 09:00 schrieb Anna Berg <a@firma.example>:\n> \n> \ufeffHallo"},
		"apple, French":             {"Re: x", "Oui.\n\nEnvoyé de mon iPhone\n\n§Le 3 mars 2026 à 09:00, Anna Berg <a@firma.example> a écrit :\n\n> Bonjour"},
		// Thunderbird
		"thunderbird":          {"Re: x", "Ja.\n\n§Am 03.03.26 um 09:00 schrieb Anna Berg:\n> Hallo\n\n-- \nJörg"},
		"thunderbird, English": {"Re: x", "Yes.\n\n§On 03/03/2026 09:00, Anna Berg wrote:\n> Hello"},
		"thunderbird, French":  {"Re: x", "Oui.\n\n§Le 03/03/2026 à 09:00, Anna Berg a écrit :\n> Bonjour"},
		"thunderbird, old":     {"Re: x", "Ja.\n\n§Anna Berg schrieb am 03.03.2026 um 09:00:\n> Hallo"},
		// Outlook and its kin
		"outlook, German":                  {"AW: x", "Ja.\n\n§________________________________\nVon: Anna <a@firma.example>\nGesendet: Dienstag, 3. März 2026 17:02\nAn: J <j@x.example>\nBetreff: x\n\nHallo"},
		"outlook, German, no ruler":        {"AW: x", "Ja.\n\nMit freundlichen Grüßen\nJörg\n\n§Von: Anna <a@firma.example> \nGesendet: Dienstag, 3. März 2026 17:02\nAn: J <j@x.example>\nCc: B <b@x.example>\nBetreff: x\n\nHallo"},
		"outlook, blank after ruler":       {"AW: x", "Ja.\n\n§________________________________\n\nVon: Anna <a@firma.example>\nGesendet: Dienstag, 3. März 2026 17:02\nAn: J <j@x.example>\nBetreff: x"},
		"outlook, English":                 {"RE: x", "Yes.\n\n§From: Anna <a@firma.example>\nSent: Tuesday, March 3, 2026 5:02 PM\nTo: J\nSubject: x\n\nHello"},
		"outlook, bold":                    {"RE: x", "Yes.\n\n§*From:* Anna <a@firma.example>\n*Sent:* Tuesday, March 3, 2026 5:02 PM\n*To:* J\n*Subject:* x\n\nHello"},
		"outlook, French":                  {"RE: x", "Oui.\n\n§De : Anna <a@firma.example>\nEnvoyé : mardi 3 mars 2026 17:02\nÀ : J <j@x.example>\nObjet : x\n\nBonjour"},
		"outlook, French, no-break":        {"RE: x", "Oui.\n\n§De\u00a0: Anna <a@firma.example>\nEnvoyé\u00a0: mardi 3 mars 2026 17:02\nÀ\u00a0: J <j@x.example>\nObjet\u00a0: x"},
		"outlook for iOS":                  {"AW: x", "Passt.\n\nOutlook für iOS<https://aka.ms/o0ukef> beziehen\n§________________________________\nVon: Anna <a@firma.example>\nGesendet: Dienstag, März 3, 2026 5:02 PM\nAn: J <j@x.example>\nBetreff: x"},
		"outlook, date first":              {"AW: x", "Ja.\n\n§Datum: 03.03.2026\nVon: Anna\nAn: J\nBetreff: x"},
		"outlook, many recipients":         {"AW: x", "Ja.\n\n§Von: Anna <a@firma.example>\nGesendet: Dienstag, 3. März 2026 17:02\nAn: A <a@x.example>;\n B <b@x.example>;\n C <c@x.example>\nBetreff: x"},
		"old outlook":                      {"AW: x", "Ja.\n\n§-----Ursprüngliche Nachricht-----\nVon: Anna\nHallo"},
		"old outlook, English":             {"RE: x", "Yes.\n\n§-----Original Message-----\nFrom: Anna\nHello"},
		"old outlook, French":              {"RE: x", "Oui.\n\n§-----Message d'origine-----\nDe : Anna"},
		"old outlook, French, typographic": {"RE: x", "Oui.\n\n§-----Message d’origine-----\nDe : Anna"},
		"two replies deep":                 {"AW: AW: x", "Danke.\n\n§Von: Anna\nGesendet: Mittwoch, 4. März 2026 10:00\nAn: J\nBetreff: AW: x\n\nGern.\n\n-----Ursprüngliche Nachricht-----\nVon: J\n\nFrage"},
		// Webmail and phones
		"gmx":                     {"Re: x", "Ja.\n\n§Gesendet: Montag, 2. März 2026 um 10:00 Uhr\nVon: \"Service\" <service@firma.example>\nAn: j@x.example\nBetreff: x\n\nHallo"},
		"web.de, words":           {"Re: x", "Ja.\n\n§Am 03.03.26, 09:00 schrieb service@firma.example:\n\n> Hallo"},
		"t-online":                {"Re: x", "Ja.\n\n§-----Original-Nachricht-----\nBetreff: x\nDatum: 2026-03-03T09:00:00+0100\nVon: \"Service\" <service@firma.example>\nAn: \"j@x.example\"\n\nHallo"},
		"samsung":                 {"Re: x", "Ja\n\nVon meinem Galaxy gesendet\n\n\n§-------- Ursprüngliche Nachricht --------\nVon: Anna <a@firma.example>\nDatum: 03.03.26 09:00 (GMT+01:00)\nAn: j@x.example\nBetreff: x"},
		"yahoo, German":           {"Re: x", "Ja.\n\n§Am Dienstag, 3. März 2026 um 09:00:00 MEZ hat Anna Berg <a@firma.example> Folgendes geschrieben: \n\n Hallo"},
		"yahoo, English":          {"Re: x", "Yes.\n\n§On Tuesday, 3 March 2026 at 09:00:00 CET, Anna Berg <a@firma.example> wrote:\n\n Hello"},
		"proton":                  {"Re: x", "Yes.\n\nSent with Proton Mail secure email.\n\n§On Tuesday, March 3rd, 2026 at 9:00 AM, Anna Berg <a@firma.example> wrote:\n\n> Hello"},
		"zoho":                    {"Re: x", "Yes.\n\n§---- On Tue, 03 Mar 2026 09:00:00 +0100 Anna <a@firma.example> wrote ----\n\nHello"},
		"lotus notes":             {"Antwort: x", "Ja.\n\n§Von:\tAnna Berg/FIRMA\nAn:\tJ\nDatum:\t03.03.2026 09:00\nBetreff:\tx\n\nHallo"},
		"tail only":               {"Re: x", "Ja.\n\n§> Hallo\n>\n> da"},
		"tail, footer below":      {"Re: x", "Ja.\n\n§> Hallo\n>\n> da\n\nVon meinem iPhone gesendet"},
		"scanner below the quote": {"Re: x", "Ja.\n\n§Am 03.03.26 um 09:00 schrieb Anna Berg:\n> Hallo\n\n\nDiese E-Mail wurde von Avast-Antivirussoftware auf Viren geprüft.\nwww.avast.com"},
		"signature above stays":   {"Re: x", "Ja.\n-- \nJörg Müller\nTel. 0221 1234\n\n§Am 03.03.26 um 09:00 schrieb Anna Berg:\n> Hallo"},
		"quotes in quotes":        {"Re: x", "Ja.\n\n§Am 03.03.26 um 09:00 schrieb Anna:\n> Gut.\n>\n> Am 02.03.26 um 08:00 schrieb J:\n>> Frage"},
		"Windows line in text":    {"Re: x", "Grüße\n\n§Am 3. März 2026 09:00:12 MEZ schrieb Anna Berg <a@firma.example>:\n>Hallo"},

		// Interleaved and bottom-posted answers stay.
		"answers inline":          {"Re: x", "Am 03.03.26 um 09:00 schrieb Anna:\n> Eins?\nJa.\n> Zwei?\nNein."},
		"answers inline, tail":    {"Re: x", "Am 03.03.26 um 09:00 schrieb Anna:\n> Eins?\nJa.\n§> Zwei?\n> Drei?"},
		"answer below":            {"Re: x", "On Tue, 3 Mar 2026, Anna wrote:\n> Hi\n\nMy answer."},
		"answer below, signature": {"Re: x", "On Tue, 3 Mar 2026, Anna wrote:\n> Hi\n\nMy answer.\n-- \nJ"},
		"answer below, French":    {"Re: x", "Le 03/03/2026 à 09:00, Anna a écrit :\n> Bonjour\n\nOui."},
		"wrapped quote":           {"Re: x", "Ja.\n\nAm 03.03.26 um 09:00 schrieb Anna:\n> eine lange Zeile, die jemand\numgebrochen hat\n> und weiter\n\nStimmt."},

		// Forwarded mails are content.
		"forward, gmail":             {"Fwd: x", "Siehe unten.\n\n---------- Forwarded message ---------\nVon: Anna <a@firma.example>\nDate: Di., 3. März 2026 um 09:00 Uhr\nSubject: x\nTo: J\n\nHallo"},
		"forward, gmail, no subject": {"", "Siehe unten.\n\n---------- Forwarded message ---------\nVon: Anna <a@firma.example>\nDate: Di., 3. März 2026 um 09:00 Uhr\nSubject: x\nTo: J\n\nHallo"},
		"forward, outlook, German":   {"WG: x", "Zur Kenntnis.\n\nVon: Anna <a@firma.example>\nGesendet: Dienstag, 3. März 2026 17:02\nAn: J\nBetreff: x\n\nHallo"},
		"forward, outlook, French":   {"TR: x", "Pour info.\n\nDe : Anna <a@firma.example>\nEnvoyé : mardi 3 mars 2026 17:02\nÀ : J\nObjet : x"},
		"forward, outlook, English":  {"FW: x", "FYI\n\nFrom: Anna\nSent: Tuesday, March 3, 2026 5:02 PM\nTo: J\nSubject: x"},
		"forward, thunderbird":       {"", "Bitte lesen.\n\n-------- Weitergeleitete Nachricht --------\nBetreff: x\nDatum: Tue, 3 Mar 2026 09:00:00 +0100\nVon: Anna <a@firma.example>\nAn: J"},
		"forward, apple, German":     {"", "Bitte lesen.\n\nAnfang der weitergeleiteten Nachricht:\n\n> Von: Anna <a@firma.example>\n> Betreff: x\n> Datum: 3. März 2026 um 09:00:00 MEZ\n> An: J"},
		"forward, apple, English":    {"", "See below.\n\nBegin forwarded message:\n\n> From: Anna <a@firma.example>\n> Subject: x"},
		"forward, apple, French":     {"", "Voir.\n\nDébut du message réexpédié :\n\n> De: Anna <a@firma.example>\n> Objet: x"},
		"forward within an answer":   {"AW: WG: x", "Danke, klar.\n\n§Von: Anna <a@firma.example>\nGesendet: Dienstag, 3. März 2026 17:02\nAn: J\nBetreff: WG: x\n\nZur Kenntnis\n\n-------- Weitergeleitete Nachricht --------\nVon: B"},

		// What only looks like a quote.
		"only a quote":             {"", "> Hallo\n> da"},
		"only an old mail":         {"Re: x", "\nAm 03.03.26 um 09:00 schrieb Anna Berg <a@firma.example>:\n\nHallo"},
		"nothing":                  {"", "Hallo\n\nIch schrieb Ihnen: keine Antwort.\nVon: oben bis unten."},
		"words that look so":       {"", "Am Montag war ich da.\nOn the other hand:\nnothing."},
		"a story":                  {"", "Guten Tag,\n\nam Montag schrieb mir Ihre Kollegin:\nDer Schaden wird bezahlt.\nDas stimmt nicht."},
		"a story with a date":      {"", "Guten Tag,\n\nam 03.03.2026 um 09:00 schrieb ich Ihnen Folgendes:\nDer Schaden ist groß."},
		"a story in French":        {"", "Bonjour,\n\nLe 3 mars 2026 à 09:00 j'ai écrit ceci :\nRien."},
		"form mail":                {"Kontakt", "Neue Anfrage über Ihre Seite:\n\nVon: Max Muster\nE-Mail: max@x.example\nBetreff: Hausrat\nNachricht: Guten Tag"},
		"a list of fields":         {"", "Reise:\nVon: Köln\nNach: Berlin\nAn: Freitag"},
		"a rule of dashes":         {"", "Oben\n--------------------\nUnten: etwas"},
		"greater-than in the text": {"", "Der Wert ist > 5 und\n> das ist eine Zeile\ndanach geht es weiter."},
		"empty":                    {"", ""},
		"blank":                    {"", " \n\n"},
	} {
		text := strings.ReplaceAll(tt.text, "§", "")
		want := max(strings.Index(tt.text, "§"), 0)
		if got := QuotedFrom(text, tt.subject); got != want {
			t.Errorf("%s: %d, want %d: shown %q", name, got, want, text[:got])
		}
	}
}

func TestTrimQuoted(t *testing.T) {
	for text, want := range map[string][2]string{
		"Ja.\n\n> Hallo\n>\n> da":                      {"Ja.", "> Hallo\n>\n> da"},
		"Ja. \n\nAm 03.03.26 schrieb Anna:\n> Hallo\n": {"Ja.", "Am 03.03.26 schrieb Anna:\n> Hallo"},
		"> Hallo\n> da":                                {"> Hallo\n> da", ""},
		"Hallo":                                        {"Hallo", ""},
		"":                                             {"", ""},
	} {
		if visible, quoted := TrimQuoted(text); visible != want[0] || quoted != want[1] {
			t.Errorf("%q: %q, %q", text, visible, quoted)
		}
	}
}

// FuzzQuotedFrom: the offset is the start of a line, and something stands before it.
func FuzzQuotedFrom(f *testing.F) {
	f.Add("Ja.\n\nVon: a\nGesendet: 1\nAn: b", "")
	f.Add("Am 1.1.26 um 9:00 schrieb\nx:\n> y", "AW: x")
	f.Fuzz(func(t *testing.T, text, subject string) {
		n := QuotedFrom(text, subject)
		if n < 0 || n > len(text) || n > 0 && (text[n-1] != '\n' || strings.TrimSpace(text[:n]) == "") {
			t.Errorf("%d in %q", n, text)
		}
	})
}
