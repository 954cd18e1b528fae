package email

import (
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel"
)

func TestSettings(t *testing.T) {
	keys := map[string]channel.Setting{}
	for _, s := range (Driver{}).Settings() {
		if s.Help.DE == "" || s.Help.EN == "" {
			t.Errorf("%s has no help", s.Key)
		}
		if strings.Contains(s.Key, "password") || strings.Contains(s.Key, "secret") || s.Key == "oauth_refresh_token" || s.Key == "dkim_key" {
			if !s.Secret {
				t.Errorf("%s must be secret", s.Key)
			}
		} else if s.Secret {
			t.Errorf("%s is no secret", s.Key)
		}
		keys[s.Key] = s
	}
	// architecture.md, "Setting keys"
	for _, k := range strings.Fields("address smtp_host smtp_port smtp_tls smtp_user smtp_password imap_host imap_port imap_tls imap_user imap_password oauth_tenant oauth_client_id oauth_client_secret oauth_refresh_token dkim_domain dkim_selector dkim_key") {
		if _, ok := keys[k]; !ok {
			t.Errorf("no setting %s", k)
		}
	}
	if !keys["address"].Required || len(keys["smtp_tls"].Values) != 4 || keys["smtp_tls"].Default != "auto" {
		t.Errorf("%+v", keys)
	}
}

func TestCheck(t *testing.T) {
	const pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	for name, tt := range map[string]struct {
		s   channel.Settings
		err string // part of the message; "" = fine
	}{
		"least":              {channel.Settings{"address": own}, ""},
		"all":                {channel.Settings{"address": own, "smtp_host": "smtp.x.example", "smtp_port": "465", "smtp_tls": "tls", "smtp_user": "u", "smtp_password": "p", "imap_host": "imap.x.example", "imap_tls": "starttls", "dkim_domain": "x.example", "dkim_selector": "s", "dkim_key": pem}, ""},
		"IPv6":               {channel.Settings{"address": own, "smtp_host": "::1"}, ""},
		"api_url is ignored": {channel.Settings{"address": own, "api_url": "http://127.0.0.1:1"}, ""},
		"no address":         {channel.Settings{}, "address"},
		"bad address":        {channel.Settings{"address": "service"}, "address"},
		"two lines":          {channel.Settings{"address": "a@b.example\r\nBcc: x@y.example"}, "address"},
		"plus":               {channel.Settings{"address": "a+b@c.example"}, "plus"},
		"URL as host":        {channel.Settings{"address": own, "smtp_host": "smtp://x.example"}, "smtp_host"},
		"port in host":       {channel.Settings{"address": own, "smtp_host": "x.example:25"}, "smtp_host"},
		"port":               {channel.Settings{"address": own, "smtp_port": "0"}, "smtp_port"},
		"port word":          {channel.Settings{"address": own, "imap_port": "imap"}, "imap_port"},
		"tls":                {channel.Settings{"address": own, "smtp_tls": "ssl"}, "smtp_tls"},
		"password alone":     {channel.Settings{"address": own, "smtp_password": "p"}, "smtp_user"},
		"password lines":     {channel.Settings{"address": own, "smtp_user": "u", "smtp_password": "p\r\nx"}, "one line"},
		"half of DKIM":       {channel.Settings{"address": own, "dkim_domain": "x.example"}, "dkim_selector"},
		"DKIM key":           {channel.Settings{"address": own, "dkim_domain": "x.example", "dkim_selector": "s", "dkim_key": "abc"}, "PEM"},
	} {
		err := (Driver{}).Check(tt.s)
		if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", name, err, tt.err)
		}
	}
}

func TestExternalID(t *testing.T) {
	out := channel.Outgoing{DeliveryID: "0195a1b2"}
	for address, want := range map[string]string{
		own:                "<0195a1b2@firma.example>",
		"a@Bücher.example": "<0195a1b2@xn--bcher-kva.example>",
		"not an address":   "<0195a1b2@localhost>",
	} {
		if got := (Driver{}).ExternalID(channel.Account{Settings: channel.Settings{"address": address}}, out); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}

func TestReplyAddress(t *testing.T) {
	for _, tok := range []string{"k7q2m9x4t3", "a-_Z9"} {
		if got := tokenOf(replyAddress(own, tok)); got != tok {
			t.Errorf("token %q comes back as %q", tok, got)
		}
	}
	if got := replyAddress(own, "bad token\r\n"); got != own {
		t.Errorf("%q", got)
	}
}
