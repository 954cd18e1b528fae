package app

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel"
)

// docs/channels is what the drivers say.
func TestChannelDocs(t *testing.T) {
	dir := filepath.Join("..", "..", "docs", "channels")
	const remedy = "run: make docs-channels"
	want := channelDocs(Drivers())
	for name, content := range want {
		if is, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(is, content) {
			t.Errorf("docs/channels/%s is not what the drivers say (%v); %s", name, err, remedy)
		}
	}
	for _, d := range Drivers() {
		if want[string(d.Kind())+".md"] == nil {
			t.Errorf("%s has no guide", d.Kind())
		}
		if slices.Contains(planned, d.Kind()) {
			t.Errorf("%s is built: take it out of the list of planned kinds", d.Kind())
		}
	}
}

// Programs outside rely on these names of settings (architecture.md, "Contracts").
func TestSettingKeys(t *testing.T) {
	keys := map[channel.Kind]string{
		"email": "address smtp_host smtp_port smtp_tls smtp_user smtp_password imap_host imap_port imap_tls imap_user imap_password " +
			"oauth_tenant oauth_client_id oauth_client_secret oauth_refresh_token dkim_domain dkim_selector dkim_key",
		"webchat":   "allowed_origins identity_secret",
		"telegram":  "token secret_token mode api_url",
		"whatsapp":  "phone_number_id access_token app_secret verify_token api_url",
		"messenger": "page_id page_access_token app_secret verify_token api_url",
		"instagram": "page_id page_access_token app_secret verify_token api_url",
		"viber":     "auth_token api_url",
		"line":      "channel_secret channel_access_token api_url",
		"twilio":    "account_sid auth_token from api_url",
		"vonage":    "api_key api_secret signature_secret application_id private_key from api_url",
		"smpp":      "host port tls system_id password system_type source_addr",
		"slack":     "bot_token signing_secret api_url",
		"teams":     "app_id app_password tenant_id api_url",
		"discord":   "bot_token public_key application_id api_url",
		"rcs":       "agent_id client_token service_account api_url",
		"matrix":    "homeserver user_id access_token hs_token as_token",
		"xmpp":      "jid password host port component_secret",
		"signal":    "account rpc_address",
		"webhook":   "receive send",
	}
	for _, d := range Drivers() {
		has := map[string]bool{}
		for _, s := range d.Settings() {
			has[s.Key] = true
		}
		if keys[d.Kind()] == "" {
			t.Errorf("%s is not listed here", d.Kind())
		}
		for _, k := range strings.Fields(keys[d.Kind()]) {
			if !has[k] {
				t.Errorf("%s has no setting %s", d.Kind(), k)
			}
		}
		delete(keys, d.Kind())
	}
	if len(keys) > 0 {
		t.Errorf("no driver for %v", keys)
	}
}
