package app

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db/dbtest"
	"github.com/rufweite/rufweite/internal/sim"
)

// TestInstagramSMSMailIsOneConversation: whoever starts on Instagram, goes on by SMS and ends in e-mail stays one
// customer in one conversation with one advisor.
func TestInstagramSMSMailIsOneConversation(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { instagramSMSMail(t, "") })
	if os.Getenv("RUFWEITE_TEST_POSTGRES") != "" {
		t.Run("postgres", func(t *testing.T) { instagramSMSMail(t, dbtest.PostgresURL(t)) })
	}
}

func instagramSMSMail(t *testing.T, postgres string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	o := quietOn(t, ctx, postgres)
	c := o.Population.Customers()[0]
	if !slices.Equal(c.Channels, []channel.Kind{sim.Email}) {
		t.Fatalf("%s uses %v", c.Name, c.Channels)
	}
	const staff = 1
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	conv, err := o.startsOnInstagram(ctx, c, staff)
	must(err)
	must(o.goesOnBySMS(ctx, c, staff, conv))
	must(o.endsByMail(ctx, c, staff, conv))

	var talks struct{ Items []api.RowJSON }
	must(o.ask(ctx, 0, "GET", "/conversations?limit=100", nil, &talks))
	if len(talks.Items) != 1 || talks.Items[0].ID != conv {
		t.Fatalf("%d conversations: %+v", len(talks.Items), talks.Items)
	}
	if a := talks.Items[0].Assignee; a == nil || a.Name != DemoStaff[staff].Name {
		t.Errorf("it is %+v's, not %s's", a, DemoStaff[staff].Name)
	}
	var people struct{ Items []api.CustomerJSON }
	must(o.ask(ctx, 0, "GET", "/customers?limit=100", nil, &people))
	if len(people.Items) != 1 {
		t.Fatalf("%d customers: %+v", len(people.Items), people.Items)
	}
	var k api.CustomerJSON
	must(o.ask(ctx, 0, "GET", "/customers/"+people.Items[0].ID, nil, &k))
	known := map[string]string{}
	for _, a := range k.Addresses {
		known[a.Kind] += a.Assurance
	}
	for _, kind := range []string{"instagram", "twilio", "email"} {
		if known[kind] != "verified" {
			t.Errorf("the %s address is %q; known are %v", kind, known[kind], known)
		}
	}

	// Everything that was said is in it, on the medium on which it was said, and nobody else was ever in charge.
	var page struct{ Items []api.MessageJSON }
	must(o.ask(ctx, 0, "GET", "/conversations/"+conv+"/messages?limit=200", nil, &page))
	said := map[string]int{}
	for _, m := range page.Items {
		if m.Channel != nil && m.Kind == "message" {
			said[m.Channel.Kind+" "+m.Direction]++
		}
	}
	for _, kind := range []channel.Kind{"instagram", "twilio", sim.Email} {
		in, out := 0, 0
		for _, l := range o.Providers.Thread(c.ID, kind) {
			if l.In {
				out++
			} else {
				in++
			}
		}
		if said[string(kind)+" in"] != in || said[string(kind)+" out"] != out || in == 0 || out == 0 {
			t.Errorf("%s: the customer wrote %d and got %d messages, the conversation has %v", kind, in, out, said)
		}
	}
	last := page.Items[len(page.Items)-1]
	if page.Items[0].Channel == nil || page.Items[0].Channel.Kind != "instagram" || last.Channel == nil || last.Channel.Kind != "email" {
		t.Errorf("it begins with %+v and ends with %+v", page.Items[0], last)
	}
	for kind, list := range o.Providers.Oversteps() {
		t.Errorf("%s was used beyond its limits: %v", kind, list)
	}
}
