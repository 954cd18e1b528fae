package app

import (
	"context"
	"fmt"

	"github.com/rufweite/rufweite/internal/contact"
)

// openContact gives the demo's company opening hours, a telephone, an office and a letter box, all of them invented:
// what its contact page says of them is to be tried on the first day. The number is one of those that
// the Bundesnetzagentur keeps for films.
func (d *Demo) openContact(ctx context.Context) error {
	var closed []contact.Day
	for year := d.clock.Now().Year(); len(closed) < 6; year++ {
		for _, day := range []contact.Day{{Date: "01-01", Name: "Neujahr"}, {Date: "12-25", Name: "Weihnachten"}, {Date: "12-26", Name: "Weihnachten"}} {
			closed = append(closed, contact.Day{Date: fmt.Sprintf("%d-%s", year, day.Date), Name: day.Name})
		}
	}
	if err := d.ask(ctx, 0, "PUT", "/contact/hours", contact.Hours{Zone: contact.DefaultZone, Week: []contact.Span{{Days: []int{1, 2, 3, 4, 5}, From: "08:00", To: "18:00"}}, Closed: closed}, nil); err != nil {
		return fmt.Errorf("furnish the demo: %w", err)
	}
	for _, w := range []map[string]any{
		{"kind": "phone", "ref": "030 23125 014", "note": map[string]string{"de": "Sie sprechen mit uns, ohne Warteschleife", "en": "You talk to us, no queue"}},
		{"kind": "branch", "ref": "Lindenstraße 4\n10969 Berlin", "label": map[string]string{"de": "Büro Lindenstraße", "en": "Office at Lindenstraße"}, "hours": contact.Hours{Week: []contact.Span{{Days: []int{1, 2, 3, 4}, From: "09:00", To: "17:00"}, {Days: []int{5}, From: "09:00", To: "14:00"}}}},
		{"kind": "letter", "ref": "Berger & Krause\nLindenstraße 4\n10969 Berlin", "label": map[string]string{"de": "Brief", "en": "Letter"}},
	} {
		if err := d.ask(ctx, 0, "POST", "/contact/ways", w, nil); err != nil {
			return fmt.Errorf("furnish the demo: %w", err)
		}
	}
	return nil
}
