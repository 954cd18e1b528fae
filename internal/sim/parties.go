package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel/email/emailsim"
)

// Party is a third party whom the company writes to on behalf of its customers.
type Party struct {
	Name  string // of the house
	Clerk string // who answers
	Email string
	Role  string // as conversations call it: insurer, expert, workshop
}

// Parties are the third parties who answer mails in the demo.
var Parties = []Party{
	{"Niederrhein Versicherung", "Sabine Thelen", "schaden@niederrhein-versicherung.example", "insurer"},
	{"Moselland Allgemeine", "Torsten Weiler", "service@moselland-allgemeine.example", "insurer"},
	{"Sachverständigenbüro Lenz", "Hartmut Lenz", "buero@gutachten-lenz.example", "expert"},
	{"Autohaus Kessel", "Dilan Aydın", "werkstatt@autohaus-kessel.example", "workshop"},
}

// answers are what a house of a role answers, in turn. %d is a number of its own.
var answers = map[string][]string{
	"insurer": {
		"wir haben den Schaden unter der Nummer %d angelegt. Bitte senden Sie uns noch den Kostenvoranschlag der Werkstatt und zwei Fotos.",
		"vielen Dank. Zu %d erhalten Sie unsere Entscheidung innerhalb von fünf Werktagen.",
		"wir übernehmen zu %d die Kosten nach Abzug der Selbstbeteiligung von 300 Euro. Die Zahlung ist veranlasst.",
	},
	"expert": {
		"ich kann den Wagen am Donnerstag um 10:30 Uhr besichtigen. Mein Auftrag hat die Nummer %d.",
		"mein Gutachten %d ist fertig. Die Reparatur lohnt sich; die Kosten liegen bei rund 2.400 Euro.",
	},
	"workshop": {
		"einen Termin haben wir am kommenden Dienstag ab 8 Uhr. Unser Auftrag dazu: %d. Ein Ersatzwagen steht bereit.",
		"der Wagen (Auftrag %d) ist fertig und kann abgeholt werden.",
	},
}

// LiveParties lets the third parties read their mail and answer it, each after a time between lo and hi, until ctx ends
// or the providers are closed. They answer at most a hundred mails each.
func (p *Providers) LiveParties(ctx context.Context, seed uint64, lo, hi time.Duration, log *slog.Logger) {
	for i, party := range Parties {
		p.work.Go(func() { p.liveParty(ctx, party, rand.New(rand.NewPCG(seed, uint64(i))), lo, hi, log) })
	}
}

func (p *Providers) liveParty(ctx context.Context, party Party, rng *rand.Rand, lo, hi time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(p.ctx, cancel)
	defer stop()
	told := map[string]int{} // answers by thread: a house goes on where it was
	for n := 0; n < 100; {
		mails, err := p.Mail.Wait(ctx, party.Email, n+1)
		if err != nil {
			return // over
		}
		for _, m := range mails[n:] {
			n++
			select {
			case <-time.After(between(rng, lo, hi)):
			case <-ctx.Done():
				return
			}
			if err := p.answerAs(ctx, party, m, told, rng); err != nil {
				if ctx.Err() == nil {
					log.Warn("a third party could not answer", "party", party.Email, "error", err)
				}
			}
		}
	}
}

func (p *Providers) answerAs(ctx context.Context, party Party, m emailsim.Mail, told map[string]int, rng *rand.Rand) error {
	thread, _, _ := strings.Cut(m.Header("References")+" "+m.Header("Message-Id"), " ")
	if thread == "" {
		thread = m.Header("Message-Id")
	}
	list := answers[party.Role]
	text := fmt.Sprintf(list[told[thread]%len(list)], 40_000_000+rng.IntN(1_000_000))
	told[thread]++
	p.mu.Lock()
	server := p.smtp
	p.mu.Unlock()
	c := emailsim.Client{Name: party.Clerk + " | " + party.Name, Address: party.Email, Server: server, HTML: true, Now: p.clock.Now}
	_, err := c.Reply(ctx, m.Raw, "Sehr geehrte Damen und Herren,\n\n"+text+"\n\nMit freundlichen Grüßen\n"+party.Clerk+"\n"+party.Name)
	return err
}
