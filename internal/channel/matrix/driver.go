// Package matrix is in charge of one medium: a Matrix account with which customers write in rooms of two. It reads what
// the homeserver has by /sync or is given by it as an application service, sends text, HTML and files, and fetches
// files. The facts are those of https://spec.matrix.org (v1.11 and later), cited below as "Client API" and "AS API".
//
// It speaks plain HTTP: mautrix-go brings its own HTTP client, retries and logging, which would go around Env.HTTP. It
// cannot read encrypted messages (that needs keys kept on this server); README.md, "Encrypted rooms", says what happens.
package matrix

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "matrix"

const (
	textMax       = 60_000   // Client API, "Size limits": 65536 bytes for the whole event, with what servers add
	captionMax    = 4_000    // ours: a long text is easier to read beside a picture than under it
	attachmentMax = 50 << 20 // m.upload.size is the homeserver's; 50 MiB is Synapse's default
)

//go:embed README.md
var guide string

// Driver serves Matrix accounts. The zero value works; New adds a memory of who is in which room, which saves requests.
type Driver struct{ rooms *rooms }

// New makes the driver.
func New() Driver { return Driver{rooms: &rooms{of: map[string]string{}}} }

// Guide is how the channel is set up.
func (Driver) Guide() string { return guide }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "Matrix", EN: "Matrix"} }

// Capabilities implements channel.Driver. Matrix tells of reading, not of delivery.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:       textMax,
		TextUnit:      channel.Bytes,
		CaptionMax:    captionMax,
		HTML:          true,
		Attachments:   true,
		AttachmentMax: attachmentMax,
		Quote:         true,
		Edits:         true,
		Upload:        true,
		Links:         true,
		Typing:        true,
		Read:          true,
		WriteFirst:    true,
		Idempotent:    true, // Client API, "Transaction identifiers"
	}
}

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "homeserver", Required: true, Help: channel.Text{
			DE: "Adresse des Homeservers für Clients, z. B. https://matrix.example.org.",
			EN: "The homeserver's address for clients, such as https://matrix.example.org.",
		}},
		{Key: "user_id", Required: true, Help: channel.Text{
			DE: "Matrix-Adresse des Kontos, z. B. @service:example.org.",
			EN: "The account's Matrix address, such as @service:example.org.",
		}},
		{Key: "access_token", Secret: true, Help: channel.Text{
			DE: "Zugangstoken des Kontos; damit werden Nachrichten abgeholt. Ohne as_token nötig.",
			EN: "The account's access token, with which messages are fetched. Needed without as_token.",
		}},
		{Key: "hs_token", Secret: true, Help: channel.Text{
			DE: "Nur als Application Service: Token, mit dem sich der Homeserver ausweist. Zum Wechseln: neu,alt.",
			EN: "Only as an application service: the token by which the homeserver proves itself. To rotate: new,old.",
		}},
		{Key: "as_token", Secret: true, Help: channel.Text{
			DE: "Nur als Application Service: Token, mit dem wir uns beim Homeserver ausweisen.",
			EN: "Only as an application service: the token by which we prove ourselves to the homeserver.",
		}},
		{Key: "api_url", Help: channel.Text{
			DE: "Ersetzt homeserver als Adresse der Schnittstelle, etwa für einen Proxy.",
			EN: "Replaces homeserver as the API's address, for a proxy for instance.",
		}},
	}
}

// Matrix specification, appendix "User Identifiers": historical ones have other characters, at most 255 bytes in all.
var userForm = regexp.MustCompile(`^@[!-9;-~]+:([0-9A-Za-z.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	for _, key := range []string{"homeserver", "api_url"} {
		if err := channel.CheckURL(key, s[key], "https://matrix.example.org"); err != nil {
			return err
		}
	}
	if u := s["user_id"]; !userForm.MatchString(u) || len(u) > 255 {
		return fmt.Errorf("user_id %q is no Matrix address: it looks like @service:example.org", u)
	}
	if err := channel.CheckRotation("hs_token", s["hs_token"]); err != nil {
		return err
	}
	switch {
	case s["access_token"] == "" && s["as_token"] == "":
		return errors.New("access_token is missing: give the account's access token, or as_token and hs_token of an application service")
	case s["hs_token"] != "" && s["as_token"] == "":
		return errors.New("as_token is missing: an application service has both hs_token and as_token")
	case s["as_token"] != "" && s["hs_token"] == "":
		return errors.New("hs_token is missing: an application service has both hs_token and as_token")
	}
	return nil
}

// Link implements channel.Linker (appendix "matrix.to navigation"): it opens a chat and carries nothing.
func (Driver) Link(a channel.Account, _ channel.Opening) (string, channel.Carriage) {
	if a.Settings["user_id"] == "" {
		return "", channel.CarriesNothing
	}
	return "https://matrix.to/#/" + strings.ReplaceAll(url.PathEscape(a.Settings["user_id"]), "%3A", ":"), channel.CarriesNothing
}

var (
	_ channel.Driver   = Driver{}
	_ channel.Webhook  = Driver{}
	_ channel.Listener = Driver{}
	_ channel.Reparser = Driver{}
	_ channel.Sender   = Driver{}
	_ channel.Fetcher  = Driver{}
	_ channel.Prober   = Driver{}
	_ channel.Linker   = Driver{}
)
