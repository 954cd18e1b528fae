// Package webhook is in charge of the channel that nobody built: a provider with an HTTP API is described by expressions
// (CEL, https://cel.dev) instead of code. "receive" says how its requests are proved and what stands where in them, "send"
// how a message becomes a request and what its answer means. README.md is the reference of both.
//
// It keeps no state but what it compiled. Messages, order, retries and deduplication are the caller's.
package webhook

import (
	_ "embed"
	"errors"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Kind is the kind of channels that this driver serves.
const Kind channel.Kind = "webhook"

// Driver serves providers that are described by settings. The zero value works.
type Driver struct{}

// New makes the driver.
func New() Driver { return Driver{} }

//go:embed README.md
var guide string

// Guide is the page about setting up a channel.
func (Driver) Guide() string { return guide }

// Kind implements channel.Driver.
func (Driver) Kind() channel.Kind { return Kind }

// Title implements channel.Driver.
func (Driver) Title() channel.Text {
	return channel.Text{DE: "Eigener Kanal", EN: "Your own channel"}
}

var defaults = channel.Capabilities{TextMax: 1600, TextUnit: channel.CodePoints}

// Capabilities implements channel.Driver: what every account can at least, see CapabilitiesOf.
func (Driver) Capabilities() channel.Capabilities { return defaults }

// CapabilitiesOf implements channel.Configured.
func (Driver) CapabilitiesOf(s channel.Settings) channel.Capabilities {
	if snd, err := senderOf(s); err == nil {
		return snd.caps
	}
	return defaults
}

// PaceOf is the least time between two messages of an account with these settings; 0 = no limit.
func (Driver) PaceOf(s channel.Settings) (perAccount, perAddress time.Duration) {
	if snd, err := senderOf(s); err == nil && snd.perSecond > 0 {
		return time.Duration(float64(time.Second) / snd.perSecond), 0
	}
	return 0, 0
}

// CanSend implements channel.Settled.
func (Driver) CanSend(s channel.Settings) (bool, channel.Text) {
	if s["send"] != "" {
		return true, channel.Text{}
	}
	return false, channel.Text{
		DE: "Dieser Kanal nimmt nur entgegen: Beschreiben Sie unter send, wie der Anbieter Nachrichten annimmt.",
		EN: "This channel only receives: describe under send how the provider takes messages.",
	}
}

// Settings implements channel.Driver. Both descriptions may hold secrets, so they are kept like one.
func (Driver) Settings() []channel.Setting {
	return []channel.Setting{
		{Key: "receive", Secret: true, Help: channel.Text{
			DE: "Wie der Anbieter sich ausweist und was wo in seinen Anfragen steht (JSON mit CEL-Ausdrücken).",
			EN: "How the provider proves itself and what stands where in its requests (JSON with CEL expressions).",
		}},
		{Key: "send", Secret: true, Help: channel.Text{
			DE: "Wie aus einer Nachricht eine Anfrage wird und was die Antwort heißt (JSON mit CEL-Ausdrücken).",
			EN: "How a message becomes a request and what the answer means (JSON with CEL expressions).",
		}},
		{Key: "api_url", Help: channel.Text{
			DE: "Adresse der Schnittstelle des Anbieters; send.url darf dann mit / beginnen.",
			EN: "Address of the provider's API; send.url may then begin with /.",
		}},
	}
}

// Check implements channel.Driver: every expression is compiled.
func (d Driver) Check(s channel.Settings) error {
	if err := channel.CheckSettings(d.Settings(), s); err != nil {
		return err
	}
	if err := channel.CheckURL("api_url", s["api_url"], "https://api.example.com/v1"); err != nil {
		return err
	}
	if s["receive"] == "" && s["send"] == "" {
		return errors.New("receive and send are missing: describe at least one of them (see the guide and its examples)")
	}
	if _, err := receiverOf(s); err != nil && !errors.Is(err, errNotSet) {
		return err
	}
	snd, err := senderOf(s)
	if errors.Is(err, errNotSet) {
		return nil
	}
	if err == nil && snd.url.base && s["api_url"] == "" {
		return errors.New("send.url begins with / or {api_url}: set api_url, or give the whole address")
	}
	return err
}

var (
	_ channel.Driver     = Driver{}
	_ channel.Webhook    = Driver{}
	_ channel.Sender     = Driver{}
	_ channel.Settled    = Driver{}
	_ channel.Configured = Driver{}
	_ channel.Fetcher    = Driver{}
)
