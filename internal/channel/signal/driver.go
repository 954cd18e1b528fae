// Package signal is in charge of one medium: a Signal account with which customers write in private chats, by way of the
// daemon of signal-cli (Signal has no interface for companies). It parses what the daemon notifies, sends text and files,
// and fetches files. The facts are those of the manual pages signal-cli(1) and signal-cli-jsonrpc(5) and of the daemon's
// own JSON classes, cited below as "signal-cli".
//
// It keeps no state. Messages, order, retries and deduplication are the caller's.
package signal

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "signal"

const (
	// textMax keeps a text below the 64 KiB that Signal's apps show. What does not fit into one message (2000 bytes) the
	// daemon sends as a text attachment by itself, and apps show it as one message (signal-cli, MimeUtils.LONG_TEXT).
	textMax = 16_000
	fileMax = 95 << 20 // Signal takes 100 MB after encryption
)

//go:embed README.md
var guide string

// Driver serves Signal accounts. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

// Guide is the set-up guide.
func (Driver) Guide() string { return guide }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text { return channel.Text{DE: "Signal", EN: "Signal"} }

// Capabilities implements channel.Driver.
func (Driver) Capabilities() channel.Capabilities {
	return channel.Capabilities{
		TextMax:       textMax,
		TextUnit:      channel.CodePoints,
		CaptionMax:    textMax,
		Attachments:   true,
		AttachmentMax: fileMax,
		Quote:         true,
		Edits:         true,
		Upload:        true,
		Links:         true,
		Delivered:     true,
		Read:          true,
		WriteFirst:    true,
	}
}

// Pace implements channel.Paced: Signal's server lets an account send 60 messages to one recipient, refilled by one a
// second (Signal-Server, RateLimiters, "messages"). What else it limits it does not publish; it answers with a rate limit.
func (Driver) Pace() (perAccount, perAddress time.Duration) { return 0, time.Second }

// Settings implements channel.Driver.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "account", Required: true, Help: channel.Text{
			DE: "Rufnummer (+49…) oder ACI des Kontos, wie signal-cli es führt (signal-cli listAccounts).",
			EN: "Number (+49…) or ACI of the account as signal-cli has it (signal-cli listAccounts).",
		}},
		{Key: "rpc_address", Required: true, Help: channel.Text{
			DE: "Wo der Dienst signal-cli horcht: unix:/run/signal-cli/socket oder host:port (--socket, --tcp).",
			EN: "Where the signal-cli daemon listens: unix:/run/signal-cli/socket or host:port (--socket, --tcp).",
		}},
		{Key: "username_link", Help: channel.Text{
			DE: "Link des Nutzernamens (https://signal.me/#eu/…); leer = Link mit der Rufnummer.",
			EN: "Link of the username (https://signal.me/#eu/…); empty = the link with the number.",
		}},
	}
}

var (
	numberForm = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	aciForm    = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// Check implements channel.Driver.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if a := s["account"]; !numberForm.MatchString(a) && !aciForm.MatchString(a) {
		return fmt.Errorf("account %q is neither a number like +4930123456 nor an ACI: ask signal-cli listAccounts", a)
	}
	if _, _, err := address(s["rpc_address"]); err != nil {
		return err
	}
	if l := s["username_link"]; l != "" && !strings.HasPrefix(l, "https://signal.me/#") {
		return fmt.Errorf("username_link %q is no link of Signal's: it looks like https://signal.me/#eu/…", l)
	}
	return nil
}

// address takes rpc_address apart.
func address(raw string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(raw, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || len(path) > 104 { // sun_path has 108 bytes on Linux, 104 elsewhere
			return "", "", fmt.Errorf("rpc_address %q: give the whole path of the socket, such as unix:/run/signal-cli/socket", raw)
		}
		return "unix", path, nil
	}
	host, port, err := net.SplitHostPort(raw)
	if err != nil || host == "" {
		return "", "", fmt.Errorf("rpc_address %q: give host:port, such as 127.0.0.1:7583, or unix:/path", raw)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", "", errors.New("rpc_address has no port between 1 and 65535")
	}
	return "tcp", raw, nil
}

// Link implements channel.Linker. Signal's links carry nothing.
func (Driver) Link(a channel.Account, _ channel.Opening) (string, channel.Carriage) {
	if l := a.Settings["username_link"]; l != "" {
		return l, channel.CarriesNothing
	}
	if n := a.Settings["account"]; numberForm.MatchString(n) {
		return "https://signal.me/#p/" + n, channel.CarriesNothing
	}
	return "", channel.CarriesNothing
}

var (
	_ channel.Driver   = Driver{}
	_ channel.Listener = Driver{}
	_ channel.Reparser = Driver{}
	_ channel.Sender   = Driver{}
	_ channel.Paced    = Driver{}
	_ channel.Fetcher  = Driver{}
	_ channel.Prober   = Driver{}
	_ channel.Linker   = Driver{}
)
