package api

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rufweite/rufweite/internal/ask"
	"github.com/rufweite/rufweite/internal/db"
)

// CalendarJSON is a calendar of free times.
type CalendarJSON struct {
	Key  string     `json:"key"`
	Name string     `json:"name"`
	Zone string     `json:"zone" doc:"IANA"`
	Free int        `json:"free" doc:"free times from now on"`
	Next *time.Time `json:"next" doc:"the next free time"`
}

// SlotJSON is one time of a calendar.
type SlotJSON struct {
	ID       string    `json:"id"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Capacity int       `json:"capacity"`
	Taken    int       `json:"taken"`
}

// FreeJSON is a time to be added to a calendar.
type FreeJSON struct {
	Start    time.Time `json:"start" required:"true"`
	End      time.Time `json:"end" required:"true"`
	Capacity int       `json:"capacity" minimum:"0" maximum:"10000" doc:"how many may book it; 1 if left out"`
}

// ByKey names something by its key.
type ByKey struct {
	Key string `path:"key"`
}

func (s *Server) calendarRoutes() {
	listed := func(ctx context.Context, key string) ([]CalendarJSON, error) {
		list, err := ask.Calendars(ctx, s.org(ctx), s.Now())
		if err != nil {
			return nil, err
		}
		items := []CalendarJSON{}
		for _, c := range list {
			if key == "" || c.Key == key {
				items = append(items, CalendarJSON{c.Key, c.Name, c.Zone, c.Free, moment(c.Next)})
			}
		}
		return items, nil
	}
	huma.Register(s.api, op("GET", "/calendars", "list-calendars", "Calendars of free times", "asks"), func(ctx context.Context, _ *struct{}) (*page[CalendarJSON], error) {
		items, err := listed(ctx, "")
		return newPage(items, ""), s.fail(ctx, err)
	})
	group := s.ours()
	huma.Register(group, created(op("POST", "/calendars", "save-calendar", "Make a calendar, or change its name and time zone", "asks")), func(ctx context.Context, in *struct {
		Body struct {
			Key  string `json:"key" required:"true" pattern:"^[a-z][a-z0-9-]{0,39}$"`
			Name string `json:"name" required:"true" minLength:"1" maxLength:"100"`
			Zone string `json:"zone"`
		}
	}) (*body[CalendarJSON], error) {
		zone := cmp.Or(in.Body.Zone, ask.DefaultZone)
		if _, err := time.LoadLocation(zone); err != nil {
			return nil, invalid("body.zone", s.text(ctx, "Diese Zeitzone gibt es nicht; schreiben Sie zum Beispiel Europe/Berlin.", "There is no such time zone; write for example Europe/Berlin."))
		}
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error {
			return ask.SaveCalendar(ctx, tx, ask.Calendar{Key: in.Body.Key, Name: in.Body.Name, Zone: zone}, s.Now())
		})
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		items, err := listed(ctx, in.Body.Key)
		if err != nil || len(items) == 0 {
			return nil, s.fail(ctx, cmp.Or(err, ask.ErrNoCalendar))
		}
		return &body[CalendarJSON]{items[0]}, nil
	})
	huma.Register(group, op("DELETE", "/calendars/{key}", "drop-calendar", "Remove a calendar and its times", "asks"), func(ctx context.Context, in *ByKey) (*struct{}, error) {
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error { return ask.DropCalendar(ctx, tx, in.Key) })
		return nil, s.askFail(ctx, err)
	})
	huma.Register(group, op("GET", "/calendars/{key}/slots", "list-slots", "Times of a calendar", "asks"), func(ctx context.Context, in *struct {
		ByKey
		From time.Time `query:"from"`
		To   time.Time `query:"to"`
	}) (*page[SlotJSON], error) {
		from, to := in.From, in.To
		if from.IsZero() {
			from = s.Now()
		}
		if to.IsZero() {
			to = from.AddDate(0, 0, 60)
		}
		list, err := ask.Times(ctx, s.org(ctx), in.Key, from, to)
		if err != nil {
			return nil, s.askFail(ctx, err)
		}
		items := make([]SlotJSON, len(list))
		for i, t := range list {
			items[i] = SlotJSON{t.ID, t.Start, t.End, t.Capacity, t.Taken}
		}
		return newPage(items, ""), nil
	})
	huma.Register(group, created(op("POST", "/calendars/{key}/slots", "add-slots", "Add free times; one that is there already gets the capacity", "asks")), func(ctx context.Context, in *struct {
		ByKey
		Body struct {
			Slots []FreeJSON `json:"slots" required:"true" minItems:"1" maxItems:"1000"`
		}
	}) (*page[SlotJSON], error) {
		list := make([]ask.FreeTime, len(in.Body.Slots))
		for i, t := range in.Body.Slots {
			if !t.End.After(t.Start) {
				return nil, invalid(fmt.Sprintf("body.slots[%d].end", i), s.text(ctx, "Das Ende muss nach dem Anfang liegen.", "The end must come after the start."))
			}
			list[i] = ask.FreeTime{Start: t.Start, End: t.End, Capacity: max(1, t.Capacity)}
		}
		from, to := list[0].Start, list[0].Start
		for _, t := range list {
			if t.Start.Before(from) {
				from = t.Start
			}
			if t.Start.After(to) {
				to = t.Start
			}
		}
		o := s.org(ctx)
		if _, err := ask.Times(ctx, o, in.Key, from, from); err != nil {
			return nil, s.askFail(ctx, err)
		}
		if err := o.Write(ctx, func(tx *db.Tx) error { return ask.AddTimes(ctx, tx, in.Key, list) }); err != nil {
			return nil, s.fail(ctx, err)
		}
		all, err := ask.Times(ctx, o, in.Key, from, to.Add(time.Second))
		if err != nil {
			return nil, s.askFail(ctx, err)
		}
		items := make([]SlotJSON, len(all))
		for i, t := range all {
			items[i] = SlotJSON{t.ID, t.Start, t.End, t.Capacity, t.Taken}
		}
		return newPage(items, ""), nil
	})
	huma.Register(group, op("DELETE", "/calendars/{key}/slots/{id}", "drop-slot", "Remove a time that nobody has booked", "asks"), func(ctx context.Context, in *struct {
		ByKey
		ID string `path:"id"`
	}) (*struct{}, error) {
		err := s.org(ctx).Write(ctx, func(tx *db.Tx) error { return ask.DropTime(ctx, tx, in.Key, in.ID) })
		return nil, s.askFail(ctx, err)
	})
}
