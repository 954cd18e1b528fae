package slack

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
)

// Reconcile implements channel.Reconciler. Every message of ours has its delivery's id as metadata, which
// conversations.history gives back; files have none.
func (d Driver) Reconcile(ctx context.Context, a channel.Account, out channel.Outgoing, attempt channel.Attempt, env channel.Env) (channel.Receipt, channel.State, error) {
	_, user, _ := strings.Cut(out.To.Value, ":")
	parts, err := d.Capabilities().Parts(out)
	if err != nil {
		return channel.Receipt{}, "", err
	}
	s := newAPI(a, env)
	var room struct {
		Channel struct {
			ID string `json:"id"`
		} `json:"channel"`
	}
	if err := s.form(ctx, "conversations.open", url.Values{"users": {user}}, &room); err != nil {
		return channel.Receipt{}, "", unlearned(err)
	}
	query := url.Values{"channel": {room.Channel.ID}, "oldest": {tsOf(attempt.Began.Add(-time.Minute))}, "inclusive": {"true"}, "include_all_metadata": {"true"}, "limit": {"100"}}
	if !attempt.Ended.IsZero() {
		query.Set("latest", tsOf(attempt.Ended.Add(10*time.Minute)))
	}
	found := map[string]string{}
	for page := 0; page < 5; page++ {
		var list struct {
			Messages []struct {
				TS       string `json:"ts"`
				Metadata struct {
					Type    string `json:"event_type"`
					Payload struct {
						Delivery string `json:"delivery"`
						Part     string `json:"part"`
					} `json:"event_payload"`
				} `json:"metadata"`
			} `json:"messages"`
			Next struct {
				Cursor string `json:"next_cursor"`
			} `json:"response_metadata"`
		}
		if err := s.form(ctx, "conversations.history", query, &list); err != nil {
			return channel.Receipt{}, "", unlearned(err)
		}
		for _, m := range list.Messages {
			if p := m.Metadata.Payload; m.Metadata.Type == mark && p.Delivery == out.DeliveryID && p.Delivery != "" {
				found[p.Part] = external(room.Channel.ID, m.TS)
			}
		}
		if list.Next.Cursor == "" {
			break
		}
		query.Set("cursor", list.Next.Cursor)
	}
	receipt := channel.Receipt{State: channel.Sent}
	for i := range parts {
		id := found[strconv.Itoa(i)]
		switch {
		case id == "" && i == 0:
			return channel.Receipt{}, "", channel.ErrNotListed
		case id == "":
			return receipt, "", channel.ErrNotListed
		case i == 0:
			receipt.ExternalID = id
		default:
			receipt.Parts = append(receipt.Parts, id)
		}
	}
	return receipt, channel.Sent, nil
}

// tsOf writes a time as Slack does.
func tsOf(t time.Time) string { return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000) }

// unlearned makes a failure to ask one that may be tried again: asking twice harms nobody.
func unlearned(err error) error {
	var failure *channel.SendError
	if errors.As(err, &failure) && failure.Class == channel.Unknown {
		e := *failure
		e.Class = channel.Temporary
		e.Reason = channel.Text{DE: "Slack war nicht zu fragen; es wird erneut versucht.", EN: "Slack could not be asked; it is tried again."}
		return &e
	}
	return err
}
