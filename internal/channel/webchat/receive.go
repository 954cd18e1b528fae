package webchat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/rufweite/rufweite/internal/channel"
)

// A stored request is two lines of JSON and then the files, one after the other, as they came:
//
//	{"visitor":"visitor:…","assurance":"observed",…,"files":[{"name":"a.pdf","media_type":"application/pdf","size":3}]}
//	{"client_id":"…","text":"Guten Tag"}
//	abc
//
// In place of a text there can be a pressed button: "choice":{"data":"…","label":"Ja"}.
//
// The first line is what our door knows (who, and what was checked), the second is the widget's own words.

// envelope is what the door knows about a request.
type envelope struct {
	Visitor   string            `json:"visitor"`   // the address: "visitor:…" or "user:<id>:<channel>"
	Assurance channel.Assurance `json:"assurance"` // verified: the site vouches for the user; observed: the session's token
	Name      string            `json:"name,omitempty"`
	Language  string            `json:"language,omitempty"`
	ReplyTo   string            `json:"reply_to,omitempty"` // external id of the quoted message, looked up by the door
	Files     []struct {
		Name      string `json:"name"`
		MediaType string `json:"media_type"`
		Size      int64  `json:"size"`
	} `json:"files,omitempty"`
	// Receipts have no second line: deliveries that the widget has got, and the external id up to which it was read.
	Delivered []string `json:"delivered,omitempty"`
	Read      string   `json:"read,omitempty"`
}

// words are what the widget says.
type words struct {
	ClientID string `json:"client_id"`
	Text     string `json:"text"`
	Person   string `json:"person"` // what the button said by which somebody asked for a person
	// Choice is a pressed button of a message that offers some; our door has looked up its label.
	Choice *struct {
		Data  string `json:"data"`
		Label string `json:"label"`
	} `json:"choice,omitempty"`
}

var (
	languageForm = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)
	errFiles     = errors.New("the files are shorter than they should be")
)

// split cuts a stored request into its parts; first tells whether the file lines up.
func split(raw []byte) (e envelope, said, files []byte, err error) {
	first, rest, _ := bytes.Cut(raw, []byte("\n"))
	if err := json.Unmarshal(first, &e); err != nil {
		return e, nil, nil, fmt.Errorf("read who sent this: %w", err)
	}
	if e.Visitor == "" {
		return e, nil, nil, errors.New("nobody is named who sent this")
	}
	said, files, _ = bytes.Cut(rest, []byte("\n"))
	total := int64(0)
	for _, f := range e.Files {
		if f.Size < 0 || f.Size > int64(len(files)) {
			return e, nil, nil, errFiles
		}
		total += f.Size
	}
	if total != int64(len(files)) {
		return e, nil, nil, errFiles
	}
	return e, said, files, nil
}

// Reparse implements channel.Reparser: it reads a request as the door stored it. It is pure.
func (Driver) Reparse(_ channel.Account, raw []byte) ([]channel.Event, error) {
	e, said, _, err := split(raw)
	if err != nil {
		return nil, err
	}
	from := channel.Address{Value: e.Visitor, Name: channel.CleanName(e.Name), Assurance: channel.Claimed}
	if e.Assurance == channel.Verified || e.Assurance == channel.Observed {
		from.Assurance = e.Assurance
	}
	if languageForm.MatchString(e.Language) {
		from.Language = e.Language
	}
	var out []channel.Event
	seen := map[string]bool{}
	for _, id := range e.Delivered {
		if key := "status:" + id + ":delivered"; id != "" && !seen[key] {
			seen[key] = true
			out = append(out, channel.Event{Key: key, Type: channel.StatusEvent, Sender: from, Status: &channel.Status{DeliveryID: id, State: channel.Delivered}})
		}
	}
	if e.Read != "" {
		out = append(out, channel.Event{Key: "read:" + e.Read, Type: channel.ReadEvent, Sender: from, Ref: e.Read})
	}
	if len(out) > 0 {
		return out, nil
	}
	var w words
	if err := json.Unmarshal(said, &w); err != nil {
		return nil, fmt.Errorf("read what was said: %w", err)
	}
	if w.ClientID == "" {
		return nil, errors.New("the message has no client_id")
	}
	id := e.Visitor + ":" + w.ClientID // nobody can suppress another's message by sending its id first
	if w.Choice != nil {
		if w.Choice.Data == "" {
			return nil, errors.New("the choice is empty")
		}
		return []channel.Event{{Key: "choice:" + id, Type: channel.ChoiceEvent, Sender: from, Choice: &channel.Choice{Data: w.Choice.Data, Label: w.Choice.Label}, Ref: e.ReplyTo}}, nil
	}
	if w.Person != "" && len(e.Files) == 0 && strings.TrimSpace(w.Text) == "" {
		return []channel.Event{{Key: "choice:" + id, Type: channel.ChoiceEvent, Sender: from, Choice: &channel.Choice{Data: "person", Label: w.Person}}}, nil
	}
	m := &channel.Message{ExternalID: id, Text: w.Text, ReplyTo: e.ReplyTo}
	for i, f := range e.Files {
		name, kind := f.Name, f.MediaType
		if name == "" {
			name = "Datei"
		}
		if kind == "" {
			kind = "application/octet-stream"
		}
		m.Attachments = append(m.Attachments, channel.Attachment{Name: name, MediaType: kind, Size: f.Size, Part: strconv.Itoa(i + 1)})
	}
	if strings.TrimSpace(m.Text) == "" && len(m.Attachments) == 0 {
		return nil, errors.New("the message is empty")
	}
	return []channel.Event{{Key: "msg:" + id, Type: channel.MessageEvent, Sender: from, Message: m}}, nil
}

// OpenPart implements channel.Parts: part is the number of the file, from 1 on.
func (Driver) OpenPart(raw []byte, part string) (io.Reader, error) {
	e, _, files, err := split(raw)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(part)
	if err != nil || n < 1 || n > len(e.Files) {
		return nil, fmt.Errorf("there is no file %q in this message", part)
	}
	at := int64(0)
	for _, f := range e.Files[:n-1] {
		at += f.Size
	}
	return bytes.NewReader(files[at : at+e.Files[n-1].Size]), nil
}
