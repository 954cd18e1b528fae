package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/sim"
)

// Shown is where the story of the pick-up goes on.
type Shown struct {
	Customer     string `json:"customer"`
	Conversation string `json:"conversation_id"`
	Channel      string `json:"channel"` // by which the question went
	Answer       string `json:"answer"`  // by which the visitor may answer it
}

// Show begins the story of the pick-up: a customer who is reached by several channels asks for their car, and a
// colleague starts the dialog by one of them. The visitor answers by another. Customer and kind may be empty.
func (d *Demo) Show(ctx context.Context, id string, kind channel.Kind) (s Shown, err error) {
	d.showing.Lock()
	defer d.showing.Unlock()
	kind = cmp.Or(kind, sim.Email)
	var c *sim.Customer
	for _, k := range d.Population.Customers() {
		if (id == "" || k.ID == id) && k.Uses(kind) && len(k.Channels) > 1 && (c == nil || len(k.Channels) > len(c.Channels)) {
			c = k
		}
	}
	if c == nil {
		return s, fmt.Errorf("%w: nobody who is reached by %s and otherwise", sim.ErrNoChannel, kind)
	}
	d.Population.Hold(c.ID, 30*time.Minute)
	o := &demoOffice{Demo: d}
	if o.sub, err = d.Hub.Subscribe(ctx, org.Default, -1); err != nil {
		return s, err
	}
	defer o.sub.Close()
	subject := ""
	if kind == sim.Email {
		subject = "Wann kann ich mein Auto holen?"
	}
	conv, err := o.opens(ctx, c, kind, subject, "Guten Tag, wann kann ich mein Auto holen?")
	if err != nil {
		return s, err
	}
	if err := o.uniteAll(ctx, c, conv, "Hallo, hier bin ich auch zu erreichen."); err != nil {
		return s, err
	}
	// What an earlier show left open is over.
	var running struct{ Items []api.InstanceJSON }
	if err := o.ask(ctx, 0, "GET", "/conversations/"+conv+"/dialogs", nil, &running); err != nil {
		return s, err
	}
	for _, i := range running.Items {
		if slices.Contains([]string{"asking", "waiting", "calling"}, i.Status) {
			if err := o.ask(ctx, 0, "POST", "/dialog-instances/"+i.ID+"/stop", nil, nil); err != nil {
				return s, err
			}
		}
	}
	row, err := conversation.Get(ctx, d.DB.Org(org.Default), conv, "")
	if err != nil {
		return s, err
	}
	var open struct{ Items []api.AskJSON }
	if err := o.ask(ctx, 0, "GET", "/asks?state=open&customer_id="+row.Customer, nil, &open); err != nil {
		return s, err
	}
	for _, a := range open.Items {
		if err := o.ask(ctx, 0, "POST", "/asks/"+a.ID+"/withdraw", nil, nil); err != nil {
			return s, err
		}
	}
	if err := o.pickup(ctx, 2, c, conv, kind, 2*24*time.Hour); err != nil {
		return s, err
	}
	s = Shown{Customer: c.ID, Conversation: conv, Channel: string(kind), Answer: string(sim.Telegram)}
	if !c.Uses(sim.Telegram) || kind == sim.Telegram {
		s.Answer = string(c.Channels[0])
	}
	return s, nil
}

// serveShow begins the story for the page on which the visitor plays.
func (d *Demo) serveShow(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Customer string `json:"customer"`
		Channel  string `json:"channel"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&in); err != nil {
		demoBadJSON(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 60*time.Second)
	defer cancel()
	s, err := d.Show(ctx, in.Customer, channel.Kind(in.Channel))
	switch {
	case err == nil:
		demoJSON(w, http.StatusOK, s)
	case errors.Is(err, sim.ErrNoChannel):
		demoProblem(w, r, http.StatusUnprocessableEntity, "no_channel", "Dieser Kunde ist nur auf einem Weg zu erreichen. Wählen Sie einen mit mehreren.", "This customer is reached by one channel only. Choose one with several.")
	default:
		d.Core.Log.Warn("the pick-up could not be shown", "error", err)
		demoProblem(w, r, http.StatusBadGateway, "not_shown", "Die Abholung ließ sich nicht zeigen: "+err.Error(), "The pick-up could not be shown: "+err.Error())
	}
}

// servePress presses something under a message, as the medium shows it: a button of a chat, or a link of a mail, which
// opens the answer page in a browser and is confirmed there.
func (d *Demo) servePress(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Customer string `json:"customer"`
		Channel  string `json:"channel"`
		Message  string `json:"message"`
		Label    string `json:"label"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&in); err != nil {
		demoBadJSON(w, r, err)
		return
	}
	if !d.someone(w, r, in.Customer, in.Channel) {
		return
	}
	d.Population.Hold(in.Customer, 30*time.Minute)
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	l, err := d.Providers.Do(ctx, sim.Act{Customer: in.Customer, Channel: channel.Kind(in.Channel), Kind: sim.Press, Target: in.Message, Text: in.Label})
	switch {
	case err == nil:
		demoJSON(w, http.StatusAccepted, map[string]string{"id": l.ID})
	case demoRefused(w, r, err):
	case errors.Is(err, sim.ErrNoLine):
		demoProblem(w, r, http.StatusUnprocessableEntity, "no_such_choice", "Diesen Knopf gibt es unter dieser Nachricht nicht (mehr).", "There is no such button under this message (any more).")
	default:
		d.Core.Log.Warn("a button of the visitor was not pressed", "error", err)
		demoProblem(w, r, http.StatusBadGateway, "not_delivered", "Der Knopf wurde nicht angenommen: "+err.Error(), "The button was not accepted: "+err.Error())
	}
}

// serveMail gives the HTML of a mail as it arrived, to be shown in a frame: nothing in it is run or loaded, and its links
// open elsewhere.
func (d *Demo) serveMail(w http.ResponseWriter, r *http.Request) {
	l, ok := d.Providers.Line(r.PathValue("customer"), r.PathValue("line"))
	if !ok || l.HTML == "" {
		demoProblem(w, r, http.StatusNotFound, "not_found", "Diese E-Mail gibt es nicht (mehr).", "There is no such mail (any more).")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox")
	_, _ = io.WriteString(w, strings.ReplaceAll(l.HTML, "<a ", `<a target="_blank" rel="noopener" `)) // the client may be gone
}
