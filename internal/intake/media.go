package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rufweite/rufweite/internal/blob"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/conversation"
	"github.com/rufweite/rufweite/internal/db"
	"github.com/rufweite/rufweite/internal/org"
)

const (
	mediaTimeout  = time.Minute
	mediaAttempts = 10
)

// later is work that asks the network after the acknowledgement: it is woken, looks for itself every two seconds (another
// node may have left some, or its time has come), and goes on after a failure.
type later chan struct{}

func newLater() later { return make(later, 1) }

func (l later) wake() {
	select {
	case l <- struct{}{}:
	default:
	}
}

// run calls once until ctx ends. trouble is what the log says when it fails.
func (l later) run(ctx context.Context, log *slog.Logger, trouble string, once func(context.Context) error) {
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l:
		case <-idle.C:
		}
		if err := once(ctx); err != nil && ctx.Err() == nil {
			log.Error(trouble, "error", err)
		}
		idle.Reset(2 * time.Second)
	}
}

// mediaOnce fetches attachments that lie at their provider. It happens after the acknowledgement, with a budget, and
// again when it failed for a while.
func (i *Intake) mediaOnce(ctx context.Context) error {
	orgs, err := org.All(ctx, i.DB)
	if err != nil {
		return err
	}
	for _, v := range orgs {
		o := i.DB.Org(v.ID)
		list, err := conversation.PendingMedia(ctx, o, i.Now(), 8)
		if err != nil {
			return err
		}
		errs := make(chan error, len(list))
		for _, a := range list {
			go func() { errs <- i.fetch(ctx, o, a) }()
		}
		for range list {
			err = errors.Join(err, <-errs)
		}
		if err != nil {
			return err
		}
		if len(list) == 8 {
			i.files.wake()
		}
	}
	return nil
}

// fetch brings one file here and records the outcome.
func (i *Intake) fetch(ctx context.Context, o db.Org, a conversation.Attachment) error {
	next := time.Time{}
	sum, size, err := i.download(ctx, o, a)
	var se *channel.SendError
	switch {
	case err == nil:
		a.State, a.Blob, a.Size = conversation.Stored, sum, size
	case ctx.Err() != nil:
		return nil
	case errors.As(err, &se) && se.Class == channel.Permanent, errors.Is(err, blob.ErrTooLarge), a.Attempts+1 >= mediaAttempts:
		a.State = conversation.FetchFailed
		i.Log.Warn("an attachment cannot be fetched", "attachment", a.ID, "error", err)
	default:
		next = i.Now().Add(min(time.Duration(1<<min(a.Attempts, 12))*2*time.Second, time.Hour))
		if errors.As(err, &se) && se.RetryAfter > 0 {
			next = i.Now().Add(se.RetryAfter)
		}
	}
	return o.Write(ctx, func(tx *db.Tx) error { return conversation.Fetched(ctx, tx, a, next) })
}

func (i *Intake) download(ctx context.Context, o db.Org, a conversation.Attachment) (sum string, size int64, err error) {
	c, err := i.Accounts.Get(o.ID, a.Channel)
	if err != nil {
		return "", 0, &channel.SendError{Class: channel.Permanent, Err: err}
	}
	f, ok := i.Accounts.Driver(c.Kind).(channel.Fetcher)
	if !ok {
		return "", 0, &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("the %s driver fetches no media", c.Kind)}
	}
	defer func() {
		if p := recover(); p != nil {
			err = &channel.SendError{Class: channel.Permanent, Err: fmt.Errorf("the driver crashed: %v", p)}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, mediaTimeout)
	defer cancel()
	r, err := f.FetchMedia(ctx, c.Account, a.Remote, i.Env(c.Account))
	if err != nil {
		return "", 0, err
	}
	sum, size, err = i.Blobs.Put(ctx, r, fileMax)
	return sum, size, errors.Join(err, r.Close())
}
