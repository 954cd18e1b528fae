package webhook

import (
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/common/types/ref"

	"github.com/rufweite/rufweite/internal/channel"
)

// Field is what one expression gave for one item of a sample.
type Field struct {
	Item       int    `json:"item"` // -1: the request as a whole
	Key        string `json:"key"`  // "receive.text"
	Expression string `json:"expression"`
	Value      string `json:"value,omitempty"`
	Error      string `json:"error,omitempty"`
}

// Trial is what becomes of a sample request.
type Trial struct {
	// Unauthentic says why the sample would be refused, "" if it would not. A pasted sample often has no signature: it is
	// mapped all the same.
	Unauthentic string          `json:"unauthentic,omitempty"`
	Events      []channel.Event `json:"events"`
	Reply       channel.Reply   `json:"reply"`
	Error       string          `json:"error,omitempty"` // nothing could be understood
	Fields      []Field         `json:"fields"`
}

// trace notes what expressions gave; nil notes nothing.
type trace struct{ fields []Field }

func (t *trace) note(item int, e *expression, value string, err error) {
	if t == nil || e == nil {
		return
	}
	f := Field{Item: item, Key: e.key, Expression: e.text, Value: value}
	if err != nil {
		f.Error = err.Error()
	}
	if n := len(t.fields); n > 0 && err != nil && t.fields[n-1].Key == e.key && t.fields[n-1].Item == item {
		t.fields[n-1] = f
		return
	}
	t.fields = append(t.fields, f)
}

func (t *trace) value(item int, e *expression, v ref.Val, err error) {
	if t == nil {
		return
	}
	shown := ""
	if err == nil {
		if x, nerr := native(v); nerr == nil {
			b, _ := encodeJSON(x)
			shown = short(string(b))
		}
	}
	t.note(item, e, shown, err)
}

// Try maps a sample request with settings that need not be saved, and tells what each expression gave. It is pure.
func Try(s channel.Settings, sample *channel.Request, now time.Time) Trial {
	c, err := receiverOf(s)
	if err != nil {
		return Trial{Error: err.Error()}
	}
	var out Trial
	if err := all(c.auth, sample, now); err != nil {
		out.Unauthentic = err.Error()
	}
	t := &trace{}
	out.Events, out.Reply, err = c.parse(sample, t)
	if err != nil {
		out.Error = err.Error()
	}
	out.Fields = t.fields
	return out
}

// Rendering is a request to the provider as it would be sent, with secrets masked.
type Rendering struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// mask stands for a secret.
const mask = "•••"

// TryOutgoing renders a message as it would be sent: one rendering for each request. It is pure but for reading attachments.
func TryOutgoing(s channel.Settings, out channel.Outgoing, now time.Time) ([]Rendering, error) {
	snd, err := senderOf(s)
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	parts, err := snd.caps.Parts(out)
	if err != nil {
		return nil, err
	}
	var list []Rendering
	for i, p := range parts {
		r, err := snd.request(s, out, p, i, now)
		if err != nil {
			return list, err
		}
		hide := func(t string) string {
			for _, secret := range r.secrets {
				if len(secret) > 1 {
					t = strings.ReplaceAll(t, secret, mask)
				}
			}
			return t
		}
		header := map[string]string{}
		for k, v := range r.header {
			header[k] = hide(v)
		}
		list = append(list, Rendering{Method: snd.method, URL: hide(r.url), Header: header, Body: hide(string(r.body))})
	}
	return list, nil
}
