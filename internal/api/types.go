package api

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/channel"
)

// Opt is a field of a PATCH body that may be absent, null or a value.
type Opt[T any] struct {
	Set   bool // present in the body
	Null  bool
	Value T
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *Opt[T]) UnmarshalJSON(b []byte) error {
	o.Set = true
	if string(b) == "null" {
		o.Null = true
		return nil
	}
	return json.Unmarshal(b, &o.Value)
}

// MarshalJSON implements json.Marshaler.
func (o Opt[T]) MarshalJSON() ([]byte, error) {
	if !o.Set || o.Null {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// Schema implements huma.SchemaProvider.
func (o Opt[T]) Schema(r huma.Registry) *huma.Schema {
	inner := *huma.SchemaFromType(r, typeOf[T]())
	inner.Nullable = true
	return &inner
}

// MailboxJSON is a name and an e-mail address. In requests "Name <a@b>" is as good.
type MailboxJSON struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// UnmarshalJSON takes an object or a string.
func (m *MailboxJSON) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		a, err := mail.ParseAddress(s)
		if err != nil {
			return fmt.Errorf("%q is not a mail address", s)
		}
		m.Name, m.Address = a.Name, a.Address
		return nil
	}
	type plain MailboxJSON
	return json.Unmarshal(b, (*plain)(m))
}

// Schema implements huma.SchemaProvider.
func (m MailboxJSON) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "a mailbox: {name, address}, or in requests also \"Name <address>\"", OneOf: []*huma.Schema{
		{Type: "object", Properties: map[string]*huma.Schema{"name": {Type: "string"}, "address": {Type: "string"}}, AdditionalProperties: true},
		{Type: "string"},
	}}
}

func mailboxes(in []channel.Mailbox) []MailboxJSON {
	out := make([]MailboxJSON, len(in))
	for i, m := range in {
		out[i] = MailboxJSON{m.Name, m.Address}
	}
	return out
}

func toMailboxes(in []MailboxJSON) []channel.Mailbox {
	var out []channel.Mailbox
	for _, m := range in {
		out = append(out, channel.Mailbox{Name: m.Name, Address: m.Address})
	}
	return out
}

// FileRef is an attachment of a request: the id of an upload, or the content itself.
type FileRef struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Data      []byte `json:"data"`
}

// UnmarshalJSON takes an object or a string (an id).
func (f *FileRef) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &f.ID)
	}
	type plain FileRef
	return json.Unmarshal(b, (*plain)(f))
}

// Schema implements huma.SchemaProvider.
func (f FileRef) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "id of an upload, or {name, media_type, data (base64)}", OneOf: []*huma.Schema{
		{Type: "string"},
		{Type: "object", AdditionalProperties: true, Properties: map[string]*huma.Schema{"id": {Type: "string"}, "name": {Type: "string"}, "media_type": {Type: "string"}, "data": {Type: "string", ContentEncoding: "base64"}}},
	}}
}

// AddressRef is an address to write to: its value, or {kind, value, name}.
type AddressRef struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
	Name  string `json:"name"`
}

// UnmarshalJSON takes an object or a string.
func (a *AddressRef) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &a.Value)
	}
	type plain AddressRef
	return json.Unmarshal(b, (*plain)(a))
}

// Schema implements huma.SchemaProvider.
func (a AddressRef) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "an address value, or {kind, value, name}", OneOf: []*huma.Schema{
		{Type: "string"},
		{Type: "object", AdditionalProperties: true, Properties: map[string]*huma.Schema{"kind": {Type: "string"}, "value": {Type: "string"}, "name": {Type: "string"}}},
	}}
}

// moment is a time that may be missing: null.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// page is a page of a list.
type page[T any] struct {
	Body struct {
		Items      []T    `json:"items"`
		NextCursor string `json:"next_cursor" doc:"empty on the last page"`
	}
}

func newPage[T any](items []T, next string) *page[T] {
	p := &page[T]{}
	if items == nil {
		items = []T{}
	}
	p.Body.Items, p.Body.NextCursor = items, next
	return p
}

// Paging are the parameters of a list.
type Paging struct {
	Cursor string `query:"cursor" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type body[T any] struct{ Body T }

// ByID is the id in the path.
type ByID struct {
	ID string `path:"id"`
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }
