package api

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/rufweite/rufweite/internal/ask"
)

// answerWords are the words of the answer page that do not belong to the question.
type answerWords struct {
	Page, Language                                                       string
	ErrorTitle, Kept                                                     string
	UnknownTitle, Unknown, EnterTitle, EnterLabel, EnterHint, EnterSend  string
	BusyTitle, Busy, AwayTitle, Away                                     string
	Thanks, AnsweredTitle, Elsewhere, Defaulted, Entered, Close, Change  string
	HandedTitle, Handed, ExpiredTitle, Expired, WithdrawnTitle           string
	Withdrawn, CodeTitle, CodeSent, CodeLabel, CodeSend, CodeOther       string
	ScaleLow, ScaleHigh, OrWords, WordsDate, WordsTime, Files, FilesHint string
	Draw, DrawAgain, FullName, SignaturePicture, Agree                   string
	Amount, PayWhere, Pay, Until, SentTo, Machine                        string
	Unreadable, TooLarge, TooMany, FileType                              string
	photo, photos, file, files, uploadOne, uploadMany                    string
}

var answerDE = answerWords{
	Page: "Frage beantworten", Language: "Sprache",
	ErrorTitle: "Bitte prüfen Sie Ihre Antwort", Kept: "Was Sie eingegeben haben, steht noch da. Nur Dateien müssen Sie neu auswählen.",
	UnknownTitle: "Diese Frage finden wir nicht", Unknown: "Vielleicht ist der Link nicht vollständig, oder ein Zeichen ist verrutscht. Geben Sie den Code ein, oder antworten Sie einfach auf die Nachricht, in der er stand.",
	EnterTitle: "Frage mit Code beantworten", EnterLabel: "Ihr Antwort-Code", EnterHint: "12 Zeichen, zum Beispiel abcd-2345-wxyz. Groß oder klein ist gleich.", EnterSend: "Frage öffnen",
	BusyTitle: "Bitte einen Moment Geduld", Busy: "Von Ihrem Anschluss kamen zu viele falsche Codes. In %d Minuten geht es weiter. Sie können auch auf die Nachricht antworten, in der der Code stand.",
	AwayTitle: "Das geht gerade nicht", Away: "Diese Seite ist im Moment nicht erreichbar. Versuchen Sie es in ein paar Minuten noch einmal, oder antworten Sie auf unsere Nachricht.",
	Thanks: "Danke. Ihre Antwort ist angekommen.", AnsweredTitle: "Diese Frage ist schon beantwortet",
	Elsewhere: "Sie wurde am %s per %s beantwortet.", Defaulted: "Bis %s kam keine Antwort. Deshalb gilt, was für diesen Fall vorgesehen war.",
	Entered: "Am %s haben wir Ihre Antwort für Sie eingetragen.",
	Close:   "Sie können diese Seite schließen.", Change: "Antwort ändern",
	HandedTitle: "Ein Mensch kümmert sich darum", Handed: "Wir wissen Bescheid und melden uns bei Ihnen. Sie müssen nichts weiter tun.",
	ExpiredTitle: "Diese Frage ist abgelaufen", Expired: "Hier lässt sie sich nicht mehr beantworten. Ein Mensch hilft Ihnen weiter.",
	WithdrawnTitle: "Diese Frage hat sich erledigt", Withdrawn: "Wir brauchen keine Antwort mehr.",
	CodeTitle: "Bitte bestätigen", CodeSent: "Wir haben Ihnen einen Code mit sechs Ziffern geschickt. Er gilt nur kurze Zeit.", CodeLabel: "Code", CodeSend: "Bestätigen", CodeOther: "Andere Angabe machen, neuen Code anfordern",
	ScaleLow: "0 = sehr schlecht", ScaleHigh: "10 = sehr gut",
	OrWords: "Oder in Ihren Worten", WordsDate: "Zum Beispiel: nächsten Dienstag", WordsTime: "Zum Beispiel: übermorgen um halb drei",
	Draw: "Unterschreiben Sie mit Finger, Stift oder Maus", DrawAgain: "Noch einmal", FullName: "Vor- und Nachname", SignaturePicture: "Oder ein Foto Ihrer Unterschrift (freiwillig)", Agree: "Ich unterschreibe hiermit.",
	Amount: "Betrag", PayWhere: "Sie bezahlen auf der Seite des Zahlungsdienstes.", Pay: "Zur Bezahlung",
	Until: "Sie können bis %s antworten.", SentTo: "Diese Frage ging an %s.", Machine: "Dieser Text ist maschinell übersetzt.",
	Unreadable: "Ihre Antwort kam nicht vollständig an. Bitte senden Sie sie noch einmal.", TooLarge: "Ihre Dateien sind zusammen größer als 25 MB. Bitte schicken Sie weniger oder kleinere.", TooMany: "Möglich sind höchstens 10 Dateien.",
	FileType: "Dateien wie „%s“ können wir hier nicht annehmen. Möglich sind Bilder, PDF, Office-Dokumente, Ton und Video.",
	photo:    "Ihr Foto", photos: "Ihre Fotos", file: "Ihre Datei", files: "Ihre Dateien", uploadOne: "Eine Datei, höchstens 25 MB.", uploadMany: "Höchstens # Dateien, zusammen 25 MB.",
}

var answerSimple = func() answerWords {
	w := answerDE
	w.Page = "Auf eine Frage antworten"
	w.ErrorTitle, w.Kept = "Da stimmt etwas nicht", "Ihre Antwort steht noch da. Dateien müssen Sie noch einmal aussuchen."
	w.UnknownTitle, w.Unknown = "Wir finden die Frage nicht", "Vielleicht fehlt etwas am Link. Schreiben Sie die Nummer noch einmal. Oder antworten Sie auf die Nachricht."
	w.EnterTitle, w.EnterLabel, w.EnterHint = "Auf eine Frage antworten", "Ihre Nummer", "12 Zeichen. Zum Beispiel: abcd-2345-wxyz."
	w.BusyTitle, w.Busy = "Bitte warten Sie", "Es waren zu viele falsche Nummern. In %d Minuten geht es weiter."
	w.AwayTitle, w.Away = "Das geht gerade nicht", "Bitte versuchen Sie es später noch einmal. Oder antworten Sie auf unsere Nachricht."
	w.Thanks, w.AnsweredTitle = "Danke. Ihre Antwort ist da.", "Sie haben schon geantwortet"
	w.Elsewhere, w.Defaulted, w.Entered = "Die Antwort kam am %s. Sie kam per %s.", "Bis %s kam keine Antwort.", "Wir haben Ihre Antwort am %s aufgeschrieben."
	w.HandedTitle, w.Handed = "Ein Mensch hilft Ihnen", "Wir melden uns bei Ihnen. Sie müssen nichts tun."
	w.ExpiredTitle, w.Expired = "Die Zeit für diese Frage ist vorbei", "Sie können hier nicht mehr antworten. Ein Mensch hilft Ihnen."
	w.WithdrawnTitle, w.Withdrawn = "Diese Frage ist nicht mehr wichtig", "Sie müssen nicht mehr antworten."
	w.CodeOther = "Noch einmal von vorn"
	w.CodeTitle, w.CodeSent, w.CodeLabel, w.CodeSend = "Noch 1 Schritt", "Wir haben Ihnen 6 Zahlen geschickt. Bitte schreiben Sie die 6 Zahlen hier.", "Die 6 Zahlen", "Fertig"
	w.OrWords, w.WordsDate, w.WordsTime = "Oder schreiben Sie den Tag", "Zum Beispiel: am nächsten Dienstag", "Zum Beispiel: morgen um 10 Uhr"
	w.Draw, w.FullName, w.SignaturePicture, w.Agree = "Unterschreiben Sie hier", "Ihr Vorname und Ihr Nachname", "Oder schicken Sie ein Foto von Ihrer Unterschrift", "Ja, ich unterschreibe."
	w.Amount, w.PayWhere, w.Pay = "Es kostet", "Sie bezahlen auf einer anderen Internet-Seite.", "Bezahlen"
	w.Until, w.SentTo, w.Machine = "Sie können bis zu diesem Tag antworten: %s.", "Wir haben die Frage geschickt an: %s.", "Ein Computer hat diesen Text übersetzt."
	w.Unreadable, w.TooLarge, w.TooMany = "Ihre Antwort ist nicht ganz angekommen. Bitte schicken Sie die Antwort noch einmal.", "Ihre Dateien sind zu groß. Bitte schicken Sie weniger Dateien.", "Sie können 10 Dateien schicken. Mehr geht nicht."
	w.FileType = "Diese Datei geht nicht: „%s“. Bitte schicken Sie ein Bild oder eine PDF-Datei."
	w.uploadOne, w.uploadMany = "Bitte nur 1 Datei.", "Nicht mehr als # Dateien."
	return w
}()

var answerEN = answerWords{
	Page: "Answer a question", Language: "Language",
	ErrorTitle: "Please check your answer", Kept: "What you entered is still there. Only files have to be chosen again.",
	UnknownTitle: "We cannot find this question", Unknown: "Perhaps the link is not complete, or one character went wrong. Enter the code, or simply reply to the message that it came with.",
	EnterTitle: "Answer a question by its code", EnterLabel: "Your answer code", EnterHint: "12 characters, for example abcd-2345-wxyz. Capitals do not matter.", EnterSend: "Open the question",
	BusyTitle: "Please wait a moment", Busy: "Too many wrong codes came from your connection. It goes on in %d minutes. You can also reply to the message that the code came with.",
	AwayTitle: "This does not work right now", Away: "This page cannot be reached at the moment. Try again in a few minutes, or reply to our message.",
	Thanks: "Thank you. Your answer has arrived.", AnsweredTitle: "This question has been answered",
	Elsewhere: "It was answered on %s by %s.", Defaulted: "No answer came until %s. So what was foreseen for that case counts.",
	Entered: "On %s we entered your answer for you.",
	Close:   "You can close this page.", Change: "Change the answer",
	HandedTitle: "A person takes care of it", Handed: "We know about it and will get in touch with you. There is nothing more you need to do.",
	ExpiredTitle: "This question has expired", Expired: "It can no longer be answered here. A person will help you.",
	WithdrawnTitle: "This question is settled", Withdrawn: "We no longer need an answer.",
	CodeTitle: "Please confirm", CodeSent: "We have sent you a code of six digits. It is valid for a short time only.", CodeLabel: "Code", CodeSend: "Confirm", CodeOther: "Enter another one, get a new code",
	ScaleLow: "0 = very bad", ScaleHigh: "10 = very good",
	OrWords: "Or in your own words", WordsDate: "For example: next Tuesday", WordsTime: "For example: the day after tomorrow at half past two",
	Draw: "Sign with your finger, a pen or the mouse", DrawAgain: "Start again", FullName: "First and last name", SignaturePicture: "Or a photo of your signature (optional)", Agree: "I hereby sign this.",
	Amount: "Amount", PayWhere: "You pay on the page of the payment service.", Pay: "Go to payment",
	Until: "You can answer until %s.", SentTo: "This question was sent to %s.", Machine: "This text was translated by a machine.",
	Unreadable: "Your answer did not arrive completely. Please send it again.", TooLarge: "Your files are larger than 25 MB together. Please send fewer or smaller ones.", TooMany: "At most 10 files are possible.",
	FileType: "Files like “%s” cannot be taken here. Possible are pictures, PDF, office documents, audio and video.",
	photo:    "Your photo", photos: "Your photos", file: "Your file", files: "Your files", uploadOne: "One file, at most 25 MB.", uploadMany: "At most # files, 25 MB together.",
}

func answerWordsFor(lang string) answerWords {
	switch {
	case lang == "de-simple":
		return answerSimple
	case lang == "de" || strings.HasPrefix(lang, "de-"):
		return answerDE
	}
	return answerEN
}

// fileWords are the label and the hint of the field for files.
func (w answerWords) fileWords(a ask.Ask) (label, hint string) {
	photos := a.Photos()
	label, hint = w.files, strings.ReplaceAll(w.uploadMany, "#", strconv.Itoa(min(cmp.Or(a.Most, answerFilesMax), answerFilesMax)))
	switch {
	case a.Most == 1 && photos:
		label, hint = w.photo, w.uploadOne
	case a.Most == 1:
		label, hint = w.file, w.uploadOne
	case photos:
		label = w.photos
	}
	return label, hint
}

// tongueName is what a language calls itself.
func tongueName(tag string) string {
	if name, ok := map[string]string{"de": "Deutsch", "de-simple": "Leichte Sprache", "en": "English", "fr": "Français", "it": "Italiano", "es": "Español", "pl": "Polski", "tr": "Türkçe", "uk": "Українська", "ru": "Русский", "ar": "العربية", "fa": "فارسی", "ro": "Română", "nl": "Nederlands", "pt": "Português", "el": "Ελληνικά", "hr": "Hrvatski", "sr": "Srpski", "bg": "Български", "cs": "Čeština", "da": "Dansk"}[tag]; ok {
		return name
	}
	return tag
}
