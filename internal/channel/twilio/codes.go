package twilio

import "github.com/rufweite/rufweite/internal/channel"

// meaning is what an error code of Twilio means for a message.
type meaning struct {
	class  channel.Class
	reason channel.Text
}

func text(de, en string) channel.Text { return channel.Text{DE: de, EN: en} }

var (
	invalidTo   = text("Diese Nummer ist keine gültige Mobilnummer.", "This number is not a valid mobile number.")
	noRoute     = text("Diese Nummer ist von unserem Absender aus nicht per SMS erreichbar.", "This number cannot be reached by SMS from our sender.")
	unsubscribe = text("Der Kunde hat sich von SMS abgemeldet (STOP). Erst nach START geht es wieder.", "The customer has unsubscribed from SMS (STOP). Only START ends that.")
	badSender   = text("Der Absender (from) gehört nicht zu diesem Twilio-Konto oder kann keine SMS.", "The sender (from) does not belong to this Twilio account or cannot send SMS.")
	region      = text("Das Twilio-Konto darf nicht in dieses Land senden: in der Console unter Geo permissions freigeben.", "The Twilio account may not send to this country: allow it in the Console under Geo permissions.")
	credentials = text("Account SID oder Auth Token ist falsch.", "Account SID or Auth Token is wrong.")
	suspended   = text("Das Twilio-Konto ist gesperrt oder ohne Guthaben.", "The Twilio account is suspended or out of funds.")
	tooFast     = text("Twilio nimmt gerade nicht mehr an; es wird erneut versucht.", "Twilio accepts no more for the moment; it is tried again.")
)

// codes are Twilio's error codes ("Error and Warning Dictionary") as far as they can come for an SMS.
var codes = map[string]meaning{
	// Answers of the API.
	"20003": {channel.Misconfig, credentials},
	"20005": {channel.Misconfig, suspended},
	"20404": {channel.Misconfig, text("Twilio kennt dieses Konto nicht: Prüfen Sie account_sid und api_url.", "Twilio does not know this account: check account_sid and api_url.")},
	"20429": {channel.RateLimited, tooFast},
	"14107": {channel.RateLimited, tooFast},
	"21211": {channel.NotHere, invalidTo},
	"21214": {channel.NotHere, text("Diese Nummer ist nicht erreichbar.", "This number cannot be reached.")},
	"21217": {channel.NotHere, invalidTo},
	"21219": {channel.Misconfig, text("Ein Probekonto von Twilio sendet nur an bestätigte Nummern.", "A Twilio trial account sends to verified numbers only.")},
	"21408": {channel.Misconfig, region},
	"21602": {channel.Permanent, text("Die Nachricht ist leer.", "The message is empty.")},
	"21603": {channel.Misconfig, badSender},
	"21604": {channel.NotHere, invalidTo},
	"21606": {channel.Misconfig, badSender},
	"21608": {channel.Misconfig, text("Ein Probekonto von Twilio sendet nur an bestätigte Nummern.", "A Twilio trial account sends to verified numbers only.")},
	"21609": {channel.Misconfig, text("Twilio nimmt unsere öffentliche Adresse für Statusmeldungen nicht an.", "Twilio does not accept our public address for status callbacks.")},
	"21610": {channel.Blocked, unsubscribe},
	"21611": {channel.RateLimited, tooFast}, // the sender's queue is full
	"21612": {channel.NotHere, noRoute},
	"21614": {channel.NotHere, text("Diese Nummer ist keine Mobilnummer.", "This number is not a mobile number.")},
	"21617": {channel.Permanent, text("Die Nachricht ist länger als 1600 Zeichen.", "The message is longer than 1600 characters.")},
	"21659": {channel.Misconfig, badSender},
	"21660": {channel.Misconfig, badSender},
	"21701": {channel.Misconfig, text("Den Messaging Service (from) gibt es in diesem Twilio-Konto nicht.", "The messaging service (from) does not exist in this Twilio account.")},
	"21703": {channel.Misconfig, text("Der Messaging Service (from) hat keine Nummer.", "The messaging service (from) has no number.")},
	"21704": {channel.Misconfig, text("Der Messaging Service (from) hat keine Nummer.", "The messaging service (from) has no number.")},
	"21705": {channel.Misconfig, text("Der Messaging Service (from) gilt nicht.", "The messaging service (from) is not valid.")},
	"63016": {channel.WindowClosed, text("Freie Antworten sind hier gerade nicht erlaubt (Antwortfenster geschlossen).", "Free-form replies are not allowed now (the window is closed).")},
	"63038": {channel.RateLimited, text("Das Tageslimit des Twilio-Kontos ist erreicht.", "The Twilio account's daily limit is reached.")},
	// Only in status callbacks.
	"30001": {channel.Temporary, text("Die Warteschlange bei Twilio ist übergelaufen.", "The queue at Twilio overflowed.")},
	"30002": {channel.Misconfig, suspended},
	"30003": {channel.NotHere, text("Das Telefon ist ausgeschaltet oder nicht erreichbar.", "The telephone is switched off or cannot be reached.")},
	"30004": {channel.Blocked, text("Der Empfang ist gesperrt: durch den Kunden, den Netzbetreiber oder den Tarif.", "Receiving is blocked: by the customer, the carrier or the tariff.")},
	"30005": {channel.NotHere, text("Diese Nummer ist nicht vergeben oder nicht mehr in Betrieb.", "This number is not in use, or no longer.")},
	"30006": {channel.NotHere, text("Diese Nummer ist ein Festnetzanschluss oder ihr Netz nimmt keine SMS an.", "This number is a landline, or its carrier takes no SMS.")},
	"30007": {channel.Permanent, text("Der Netzbetreiber hat die Nachricht als unerwünscht ausgefiltert.", "The carrier filtered the message as unwanted.")},
	"30008": {channel.Permanent, text("Die SMS wurde nicht zugestellt; der Netzbetreiber nennt keinen Grund.", "The SMS was not delivered; the carrier gives no reason.")},
	"30009": {channel.Permanent, text("Ein Teil der Nachricht ging verloren.", "A part of the message was lost.")},
	"30010": {channel.Permanent, text("Die Nachricht kostet mehr als erlaubt.", "The message costs more than allowed.")},
	"30022": {channel.RateLimited, tooFast},
	"30032": {channel.Misconfig, text("Die gebührenfreie Nummer ist noch nicht geprüft.", "The toll-free number is not verified yet.")},
	"30034": {channel.Misconfig, text("Der Absender ist in den USA nicht registriert (A2P 10DLC).", "The sender is not registered in the US (A2P 10DLC).")},
	"30036": {channel.Permanent, text("Die Frist zur Zustellung ist abgelaufen.", "The validity period is over.")},
	"30450": {channel.Permanent, text("Twilio hat die Nachricht zum Schutz vor Missbrauch zurückgehalten.", "Twilio held the message back as a protection against fraud.")},
}
