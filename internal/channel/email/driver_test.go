package email

import (
	"context"
	"encoding/base64"
	"net"
	"strings"
	"testing"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/channeltest"
	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// TestDriver is what every driver has to pass.
func TestDriver(t *testing.T) {
	// fault makes a send to a server with the fault.
	fault := func(name string, f emailsim.Fault, want channel.Class) channeltest.Send {
		return channeltest.Send{Name: name, Out: outgoing(), Want: want,
			Setup: func(t *testing.T) (channel.Account, channel.Env) {
				box := start(t, emailsim.Options{User: "service", Password: "geheimes-kennwort"})
				box.SetFault(f)
				return account(box.Settings(own)), env()
			}}
	}
	setting := func(name, key, value string, want channel.Class) channeltest.Send {
		c := fault(name, emailsim.NoFault, want)
		inner := c.Setup
		c.Setup = func(t *testing.T) (channel.Account, channel.Env) {
			a, e := inner(t)
			a.Settings[key] = value
			return a, e
		}
		return c
	}
	// Long enough that the server cuts while the message is still going out; of a short one the final dot is on its
	// way already, and the class is Unknown.
	cut := fault("cut in the message", emailsim.DropInData, channel.Temporary)
	cut.Out.Text = strings.Repeat("lang ", 4<<20)
	noName := setting("name not found", "smtp_host", "no-such-host.invalid", channel.Temporary)
	dial := noName.Setup
	noName.Setup = func(t *testing.T) (channel.Account, channel.Env) {
		a, e := dial(t)
		e.Dial = channel.DialFunc(func(_ context.Context, network, address string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}}
		})
		return a, e
	}
	channeltest.Run(t, channeltest.Suite{
		Driver: Driver{},
		Account: channel.Account{ID: "a1", Org: "o1", Kind: Kind, Name: "Servicepostfach", Settings: channel.Settings{
			"address": own, "smtp_host": "smtp.example.com", "smtp_user": "service", "smtp_password": "geheimes-kennwort"}},
		BadSettings: map[string]channel.Settings{
			"no address":  {"address": "service"},
			"URL as host": {"address": own, "smtp_host": "smtp://x.example"},
		},
		Parse: func(raw []byte) ([]channel.Event, error) {
			e, err := Parse(raw, own, Limits{})
			if err != nil {
				return nil, err
			}
			return []channel.Event{e}, nil
		},
		Samples: "testdata/*.eml",
		WithName: func(name string) []byte {
			if name != "" {
				// Encode leaves plain ASCII alone, but CRLF and quotes must get through to the parser.
				name = "=?utf-8?B?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?= "
			}
			return []byte("From: " + name + "<erika@kunde.example>\r\nSubject: x\r\n\r\nHallo\r\n")
		},
		Sends: []channeltest.Send{
			fault("accepted", emailsim.NoFault, ""),
			fault("unknown recipient", emailsim.Reject550, channel.NotHere),
			fault("refused", emailsim.RejectPolicy, channel.Permanent),
			fault("greylisted", emailsim.Reject451, channel.Temporary),
			fault("slowed down", emailsim.Slow421, channel.RateLimited),
			fault("sender not allowed", emailsim.RejectSender, channel.Misconfig),
			cut,
			fault("cut after it was accepted", emailsim.HangAfterDot, channel.Unknown),
			setting("wrong password", "smtp_password", "falsches-kennwort", channel.Misconfig),
			setting("no server", "smtp_host", "", channel.Misconfig),
			setting("no TLS there", "smtp_tls", "tls", channel.Temporary),
			noName,
		},
	})
}

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
	for _, k := range strings.Fields("address smtp_host smtp_port smtp_tls smtp_user smtp_password imap_host imap_port imap_tls imap_user imap_password oauth_tenant oauth_client_id oauth_client_secret oauth_refresh_token dkim_domain dkim_selector dkim_key imap_folder imap_first trusted_authserv_id trusted_spam_header") {
		if _, ok := keys[k]; !ok {
			t.Errorf("no setting %s", k)
		}
	}
	if !keys["address"].Required || len(keys["smtp_tls"].Values) != 4 || keys["smtp_tls"].Default != "auto" {
		t.Errorf("%+v", keys)
	}
}

func TestCheck(t *testing.T) {
	pem, oneLine := testKey(t), strings.ReplaceAll(testKey(t), "\n", " ")
	for name, tt := range map[string]struct {
		s   channel.Settings
		err string // part of the message; "" = fine
	}{
		"least":              {channel.Settings{"address": own}, ""},
		"all":                {channel.Settings{"address": own, "smtp_host": "smtp.x.example", "smtp_port": "465", "smtp_tls": "tls", "smtp_user": "u", "smtp_password": "p", "imap_host": "imap.x.example", "imap_tls": "starttls", "imap_user": "u", "imap_password": "p", "imap_folder": "INBOX.Süd", "imap_first": "new", "dkim_domain": "x.example", "dkim_selector": "s", "dkim_key": pem}, ""},
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
		"DKIM in one line":   {channel.Settings{"address": own, "dkim_domain": "x.example", "dkim_selector": "s", "dkim_key": oneLine}, ""},
		"DKIM key of junk":   {channel.Settings{"address": own, "dkim_domain": "x.example", "dkim_selector": "s", "dkim_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}, "not a valid key"},
		"public DKIM key":    {channel.Settings{"address": own, "dkim_domain": "x.example", "dkim_selector": "s", "dkim_key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, "the private one signs"},
		"OpenSSH DKIM key":   {channel.Settings{"address": own, "dkim_domain": "x.example", "dkim_selector": "s", "dkim_key": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"}, "RSA or Ed25519"},
		"locked DKIM key":    {channel.Settings{"address": own, "dkim_domain": "x.example", "dkim_selector": "s", "dkim_key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}, "pass phrase"},
		"DKIM domain":        {channel.Settings{"address": own, "dkim_domain": "x example", "dkim_selector": "s", "dkim_key": pem}, "dkim_domain"},
		"DKIM selector":      {channel.Settings{"address": own, "dkim_domain": "x.example", "dkim_selector": "s;h=x", "dkim_key": pem}, "dkim_selector"},
		"DKIM record shown":  {channel.Settings{"address": own, "dkim_key": pem}, `rufweite1._domainkey.firma.example. IN TXT "v=DKIM1; k=ed25519; p=`},
		"IMAP, no password":  {channel.Settings{"address": own, "imap_host": "imap.x.example"}, "imap_password"},
		"IMAP, no host":      {channel.Settings{"address": own, "imap_user": "u", "imap_password": "p"}, "imap_host"},
		"plus addresses":     {channel.Settings{"address": own, "plus_addresses": "maybe"}, "plus_addresses"},
		"IMAP first":         {channel.Settings{"address": own, "imap_host": "imap.x.example", "imap_user": "u", "imap_password": "p", "imap_first": "some"}, "imap_first"},
		"IMAP folder":        {channel.Settings{"address": own, "imap_host": "imap.x.example", "imap_user": "u", "imap_password": "p", "imap_folder": "a\r\nb"}, "one line"},
		"OAuth":              {channel.Settings{"address": own, "imap_host": "outlook.office365.com", "oauth_tenant": "firma.example", "oauth_client_id": "app", "oauth_refresh_token": "0.A"}, ""},
		"OAuth by itself":    {channel.Settings{"address": own, "imap_host": "outlook.office365.com", "oauth_tenant": "firma.example", "oauth_client_id": "app", "oauth_client_secret": "s"}, ""},
		"OAuth, no tenant":   {channel.Settings{"address": own, "imap_host": "outlook.office365.com", "oauth_client_id": "app", "oauth_client_secret": "s"}, "oauth_tenant"},
		"OAuth tenant":       {channel.Settings{"address": own, "imap_host": "outlook.office365.com", "oauth_tenant": "a/b", "oauth_client_id": "app", "oauth_refresh_token": "0.A"}, "oauth_tenant"},
		"OAuth, no client":   {channel.Settings{"address": own, "oauth_refresh_token": "0.A"}, "oauth_client_id"},
		"OAuth, no grant":    {channel.Settings{"address": own, "imap_host": "imap.gmail.com", "oauth_client_id": "app"}, "oauth_refresh_token"},
		"Google's grant":     {channel.Settings{"address": own, "imap_host": "imap.gmail.com", "oauth_client_id": "app", "oauth_client_secret": "s"}, "Google"},
		"OAuth api_url":      {channel.Settings{"address": own, "imap_host": "imap.gmail.com", "oauth_client_id": "app", "oauth_refresh_token": "1//x", "api_url": "token"}, "api_url"},
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

func TestLink(t *testing.T) {
	a := channel.Account{Settings: channel.Settings{"address": "service+a@firma.example"}}
	for _, c := range []struct {
		o       channel.Opening
		link    string
		carries channel.Carriage
	}{
		{channel.Opening{}, "mailto:service+a@firma.example", channel.CarriesNothing},
		{channel.Opening{Token: "T", Text: "Hier & jetzt: Code ABCD"}, "mailto:service+a@firma.example?body=Hier%20%26%20jetzt%3A%20Code%20ABCD", channel.CarriesText},
	} {
		if link, carries := (Driver{}).Link(a, c.o); link != c.link || carries != c.carries {
			t.Errorf("Link(%+v) = %s, %q", c.o, link, carries)
		}
	}
	if link, _ := (Driver{}).Link(channel.Account{}, channel.Opening{}); link != "" {
		t.Errorf("a link to nobody: %s", link)
	}
}
