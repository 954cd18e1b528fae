package webhook

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Example is a ready description of a provider, to begin with.
type Example struct {
	Key     string       `json:"key"`
	Title   channel.Text `json:"title"`
	About   channel.Text `json:"about"`
	APIURL  string       `json:"api_url"`
	Receive string       `json:"receive"` // as the settings take them
	Send    string       `json:"send"`
	Samples []Sample     `json:"samples"`
}

// Sample is a request that the provider of an Example sends, without its proof.
type Sample struct {
	Name   string            `json:"name"`
	Method string            `json:"method,omitempty"` // "" = POST
	Query  string            `json:"query,omitempty"`
	Type   string            `json:"type,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body,omitempty"`
}

// Settings are the example's settings.
func (e Example) Settings() channel.Settings {
	return channel.Settings{"receive": e.Receive, "send": e.Send, "api_url": e.APIURL}
}

// Request is the sample as it would come.
func (s Sample) Request(now time.Time) *channel.Request {
	r := &channel.Request{Method: s.Method, Header: http.Header{}, Body: []byte(s.Body), At: now}
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	r.Query, _ = url.ParseQuery(s.Query)
	if s.Type != "" {
		r.Header.Set("Content-Type", s.Type)
	}
	for k, v := range s.Header {
		r.Header.Set(k, v)
	}
	return r
}

//go:embed examples/*.json
var exampleFiles embed.FS

// Examples are ready descriptions of common kinds of providers.
func Examples() []Example { return readExamples() }

var readExamples = sync.OnceValue(func() []Example {
	var out []Example
	for _, key := range []string{"json-bot", "sms-gateway", "ticket-forum"} {
		raw, err := exampleFiles.ReadFile("examples/" + key + ".json")
		var in struct {
			Title   channel.Text    `json:"title"`
			About   channel.Text    `json:"about"`
			APIURL  string          `json:"api_url"`
			Receive json.RawMessage `json:"receive"`
			Send    json.RawMessage `json:"send"`
			Samples []Sample        `json:"samples"`
		}
		if err == nil {
			err = json.Unmarshal(raw, &in)
		}
		if err != nil {
			panic(fmt.Sprintf("example %s: %v", key, err)) // embedded, so it is a mistake of ours
		}
		out = append(out, Example{key, in.Title, in.About, in.APIURL, indent(in.Receive), indent(in.Send), in.Samples})
	}
	return out
})

func indent(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}
