package whatsapp

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
)

// quiet are fields that tell nothing that staff could act on ("Webhooks reference"): the app's own bookkeeping, or what
// the list of templates tells anyway.
var quiet = map[string]bool{
	"business_capability_update": true, "message_template_components_update": true, "message_template_quality_update": true,
	"template_category_update": true, "template_correct_category_detection": true, "business_status_update": true, "flows": true,
	"history": true, "smb_app_state_sync": true, "partner_solutions": true, "payment_configuration_update": true,
	"automatic_events": true, "tracking_events": true, "messaging_handovers": true, "standby": true,
	"group_lifecycle_update": true, "group_participants_update": true, "group_settings_update": true, "group_status_update": true,
}

// field turns everything but "messages" into events: what staff should know becomes a visible note, what a customer did
// becomes what it is, the rest is understood and dropped. A field that is not known is kept.
func (c *collector) field(name string, raw json.RawMessage) {
	switch name {
	case "user_id_update", "user_preferences":
		c.users(name, raw)
	case "calls":
		c.calls(raw)
	case "smb_message_echoes":
		// One note, not one a message.
		c.add(channel.Event{Key: "echo:" + c.account, Type: channel.UnparsedEvent, Raw: compact(raw),
			Error: "somebody also answers customers with the WhatsApp Business app on a phone; what is written there is not shown here"})
	default:
		if quiet[name] {
			return
		}
		var n note
		if err := json.Unmarshal(raw, &n); err != nil {
			c.unparsed(raw, channel.Address{}, "a notification %q cannot be read: %s", channel.CleanName(name), why(err))
			return
		}
		words, known := n.words(name)
		switch {
		case !known:
			c.unparsed(raw, channel.Address{}, "notifications %q are not served: unsubscribe from them at Meta", channel.CleanName(name))
		case words != "":
			c.unparsed(raw, channel.Address{}, "%s", words)
		}
	}
}

// words says what a notification about the account means; "" where nobody has to know.
func (n note) words(field string) (words string, known bool) {
	reason := ""
	if n.Reason != "" && n.Reason != "NONE" {
		reason = ", reason: " + channel.CleanName(n.Reason)
	}
	number := channel.CleanName(n.Display + n.PhoneNumber)
	switch field {
	case "message_template_status_update":
		template := fmt.Sprintf("the template %q (%s)", channel.CleanName(n.Template), channel.CleanName(n.Language))
		switch n.Event {
		case "REJECTED":
			return template + " was rejected" + reason, true
		case "PAUSED", "FLAGGED":
			return template + " was paused or flagged because customers did not like it" + reason, true
		case "DISABLED", "LOCKED":
			return template + " was disabled" + reason, true
		}
		return "", true
	case "phone_number_quality_update":
		switch n.Event {
		case "FLAGGED", "DOWNGRADE":
			return fmt.Sprintf("the quality of the number %s is low: customers block or report it (limit: %s)", number, channel.CleanName(n.CurrentLimit)), true
		}
		return "", true
	case "phone_number_name_update":
		if n.Decision == "REJECTED" {
			return fmt.Sprintf("the display name of the number %s was rejected", number), true
		}
		return "", true
	case "account_update":
		switch n.Event {
		case "ACCOUNT_VIOLATION", "ACCOUNT_RESTRICTION", "DISABLED_UPDATE", "ACCOUNT_DELETED", "PARTNER_REMOVED", "ACCOUNT_OFFBOARDED":
			return fmt.Sprintf("Meta reports %s for the WhatsApp Business Account: look into the WhatsApp Manager", strings.ReplaceAll(n.Event, "_", " ")), true
		}
		return "", true
	case "account_review_update":
		if n.Decision == "REJECTED" {
			return "the WhatsApp Business Account was rejected by Meta: look into the WhatsApp Manager", true
		}
		return "", true
	case "account_alerts":
		severity, kind, description := n.Severity, n.Type, n.Description
		if n.Alert != nil {
			severity, kind, description = n.Alert.Severity, n.Alert.Type, n.Alert.Description
		}
		if severity == "CRITICAL" || severity == "WARNING" {
			return fmt.Sprintf("Meta warns about the WhatsApp Business Account: %s (%s)", channel.CleanName(description), channel.CleanName(kind)), true
		}
		return "", true
	case "security":
		return fmt.Sprintf("a security setting of the number %s was changed: %s", number, channel.CleanName(n.Event)), true
	}
	return "", false
}

// users reads changed business-scoped ids and what a customer wishes about advertising ("user_id_update" in
// "Business-scoped user IDs", "user_preferences webhook reference").
func (c *collector) users(name string, raw json.RawMessage) {
	var v userChange
	if err := json.Unmarshal(raw, &v); err != nil {
		c.unparsed(raw, channel.Address{}, "a notification %q cannot be read: %s", name, why(err))
		return
	}
	for _, u := range v.Updates {
		if u.UserID.Current == "" || u.UserID.Previous == "" || u.UserID.Current == u.UserID.Previous {
			c.unparsed(raw, channel.Address{}, "a customer's id changed, and old or new one is missing")
			continue
		}
		who := address(v.Contacts, u.WaID, u.UserID.Current, "")
		c.add(channel.Event{
			Key: channel.HashKey("moved", u.UserID.Previous, u.UserID.Current, u.Timestamp.String()), Type: channel.MovedEvent, At: at(u.Timestamp),
			Sender: channel.Address{Value: u.UserID.Current, Name: who.Name, Assurance: channel.Observed, Also: []string{u.UserID.Previous}},
		})
	}
	for _, p := range v.Preferences {
		// It is about advertising alone, so it is no opt-out of the address: WhatsApp itself refuses marketing templates
		// from then on (131050).
		if p.Value != "stop" {
			continue
		}
		who := address(v.Contacts, p.WaID, p.UserID, "")
		c.add(channel.Event{
			Key: channel.HashKey("preference", who.Value, p.Category, p.Value, p.Timestamp.String()), Type: channel.UnparsedEvent,
			Sender: who, At: at(p.Timestamp), Raw: compact(raw),
			Error: "the customer wants no advertising from this number on WhatsApp; answers still arrive",
		})
	}
}

// calls reads that a customer tries to call ("Calling API webhooks"), which this channel cannot take.
func (c *collector) calls(raw json.RawMessage) {
	var v calls
	if err := json.Unmarshal(raw, &v); err != nil {
		c.unparsed(raw, channel.Address{}, "a call cannot be read: %s", why(err))
		return
	}
	for _, call := range v.Calls {
		if call.Event != "connect" || call.Direction == "BUSINESS_INITIATED" {
			continue
		}
		who := address(v.Contacts, call.From, call.FromUserID, "")
		if call.ID == "" || who.Value == "" {
			c.unparsed(raw, who, "a call without id or caller")
			continue
		}
		c.add(channel.Event{Key: "msg:" + call.ID, Type: channel.MessageEvent, Sender: who, At: at(call.Timestamp),
			Message: &channel.Message{ExternalID: call.ID, Unsupported: "call"}})
	}
}
