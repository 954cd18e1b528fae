package channel

import "time"

// Published is what media can carry by their providers' published limits (see channels.md). It speaks for kinds that have
// no driver (yet), and wherever dialogs are proved without drivers at hand. A driver that is built says itself what it can
// carry; a test in package app keeps it from promising more than is published here.
func Published() map[Kind]Medium {
	const megabyte = 1 << 20
	return map[Kind]Medium{
		"portal":       {Text{"Kundenportal", "Customer portal"}, Capabilities{TextMax: 10000, TextUnit: CodePoints, CaptionMax: 10000, Attachments: true, AttachmentMax: 25 * megabyte, Quote: true, Buttons: 10, ButtonTitleMax: 60, ButtonDataMax: 256, Forms: true, Upload: true, Links: true, Typing: true, Delivered: true, Read: true, WriteFirst: true, Idempotent: true}},
		"whatsapp":     {Text{"WhatsApp", "WhatsApp"}, Capabilities{TextMax: 4096, TextUnit: CodePoints, CaptionMax: 1024, Attachments: true, AttachmentMax: 16 * megabyte, Quote: true, Buttons: 3, ButtonTitleMax: 20, ButtonDataMax: 256, ChoiceTextMax: 1024, ListRows: 10, ListTitleMax: 24, ListDescriptionMax: 72, Upload: true, Links: true, Delivered: true, Read: true, Window: 24 * time.Hour, Templates: true}},
		"messenger":    {Text{"Messenger", "Messenger"}, Capabilities{TextMax: 2000, TextUnit: CodePoints, Attachments: true, AttachmentMax: 25 * megabyte, Buttons: 13, ButtonTitleMax: 20, ButtonDataMax: 1000, Upload: true, Links: true, Delivered: true, Read: true, Window: 24 * time.Hour}},
		"instagram":    {Text{"Instagram", "Instagram"}, Capabilities{TextMax: 1000, TextUnit: Bytes, Attachments: true, AttachmentMax: 8 * megabyte, Buttons: 13, ButtonTitleMax: 20, ButtonDataMax: 1000, Upload: true, Links: true, Read: true, Window: 24 * time.Hour}},
		"viber":        {Text{"Viber", "Viber"}, Capabilities{TextMax: 7000, TextUnit: CodePoints, Attachments: true, AttachmentMax: 50 * megabyte, Buttons: 24, ButtonTitleMax: 30, ButtonDataMax: 250, Upload: true, Links: true, Delivered: true, Read: true}},
		"line":         {Text{"LINE", "LINE"}, Capabilities{TextMax: 5000, TextUnit: UTF16, Attachments: true, AttachmentMax: 10 * megabyte, Buttons: 13, ButtonTitleMax: 20, ButtonDataMax: 300, Upload: true, Links: true, WriteFirst: true, Idempotent: true}},
		"twilio":       {Text{"SMS (Twilio)", "SMS (Twilio)"}, Capabilities{TextMax: 1600, TextUnit: CodePoints, Links: true, Delivered: true, WriteFirst: true}},
		"vonage":       {Text{"SMS (Vonage)", "SMS (Vonage)"}, Capabilities{TextMax: 1000, TextUnit: CodePoints, Links: true, Delivered: true, WriteFirst: true}},
		"smpp":         {Text{"SMS (SMPP)", "SMS (SMPP)"}, Capabilities{TextMax: 1000, TextUnit: CodePoints, Links: true, Delivered: true, WriteFirst: true}},
		"slack":        {Text{"Slack", "Slack"}, Capabilities{TextMax: 4000, TextUnit: CodePoints, Attachments: true, AttachmentMax: 25 * megabyte, Quote: true, Edits: true, Buttons: 25, ButtonTitleMax: 75, ButtonDataMax: 2000, Upload: true, Links: true, WriteFirst: true}},
		"teams":        {Text{"Microsoft Teams", "Microsoft Teams"}, Capabilities{TextMax: 80000, TextUnit: Bytes, Buttons: 6, ButtonTitleMax: 40, ButtonDataMax: 1000, Upload: true, Links: true}},
		"discord":      {Text{"Discord", "Discord"}, Capabilities{TextMax: 2000, TextUnit: CodePoints, Attachments: true, AttachmentMax: 10 * megabyte, Quote: true, Edits: true, Buttons: 25, ButtonTitleMax: 80, ButtonDataMax: 100, Upload: true, Links: true, Idempotent: true}},
		"rcs":          {Text{"RCS", "RCS"}, Capabilities{TextMax: 3072, TextUnit: CodePoints, Attachments: true, AttachmentMax: 100 * megabyte, Buttons: 11, ButtonTitleMax: 25, ButtonDataMax: 2048, Upload: true, Links: true, Delivered: true, Read: true, WriteFirst: true, Idempotent: true}},
		"signal":       {Text{"Signal", "Signal"}, Capabilities{TextMax: 16000, TextUnit: CodePoints, Attachments: true, AttachmentMax: 95 * megabyte, Quote: true, Upload: true, Links: true, Delivered: true, Read: true, WriteFirst: true}},
		"matrix":       {Text{"Matrix", "Matrix"}, Capabilities{TextMax: 60000, TextUnit: Bytes, HTML: true, Attachments: true, AttachmentMax: 50 * megabyte, Quote: true, Edits: true, Upload: true, Links: true, Read: true, WriteFirst: true, Idempotent: true}},
		"xmpp":         {Text{"XMPP", "XMPP"}, Capabilities{TextMax: 60000, TextUnit: Bytes, Quote: true, Links: true, Delivered: true, Read: true, WriteFirst: true, Idempotent: true}},
		"voice":        {Text{"Telefon", "Telephone"}, Capabilities{TextUnit: CodePoints, Spoken: true, WriteFirst: true}},
		"twilio-voice": {Text{"Telefon (Twilio)", "Telephone (Twilio)"}, Capabilities{TextUnit: CodePoints, Spoken: true, WriteFirst: true}},
		"letter":       {Text{"Brief", "Letter"}, Capabilities{TextUnit: CodePoints, Subject: true, Paper: true, Attachments: true, AttachmentMax: 25 * megabyte, Upload: true, WriteFirst: true, Idempotent: true}},
		"fax":          {Text{"Fax", "Fax"}, Capabilities{TextUnit: CodePoints, Subject: true, Paper: true, Attachments: true, AttachmentMax: 25 * megabyte, Upload: true, WriteFirst: true}},
		"visit":        {Text{"Besuch", "Visit"}, Capabilities{TextMax: 2000, TextUnit: CodePoints, Buttons: 10, ButtonTitleMax: 60, ButtonDataMax: 256, Forms: true, Upload: true}},
		"video":        {Text{"Video", "Video"}, Capabilities{TextMax: 10000, TextUnit: CodePoints, Buttons: 10, ButtonTitleMax: 60, ButtonDataMax: 256, Forms: true, Upload: true, Links: true}},
		"form":         {Text{"Kontaktformular", "Contact form"}, Capabilities{TextMax: 10000, TextUnit: CodePoints, Forms: true, Upload: true, Links: true}},
		"review":       {Text{"Öffentliche Bewertung", "Public review"}, Capabilities{TextMax: 4000, TextUnit: CodePoints, Links: true}},
		"webhook":      {Text{"Eigener Kanal", "Your own channel"}, Capabilities{TextMax: 1600, TextUnit: CodePoints}},
	}
}

// Medium is a kind's name for people and what it can carry.
type Medium struct {
	Title        Text
	Capabilities Capabilities
}
