package channel

import (
	"context"
	"errors"
	"time"
)

// Reconciler is a Sender whose provider can be asked what became of a message after the answer to a send was lost.
type Reconciler interface {
	// Reconcile looks for that very message (same recipient, same text) in the provider's own list and says what became of
	// it. ErrNotListed means that the list does not have it so far; that is no proof that it was never accepted, since lists
	// lag behind. Receipt then has the parts that were found, if any. Other errors are those of Send and mean that nothing
	// was learned. It never sends anything.
	Reconcile(ctx context.Context, a Account, out Outgoing, attempt Attempt, env Env) (Receipt, State, error)
}

// Attempt is a send whose outcome is uncertain.
type Attempt struct {
	Began time.Time // when the attempt began
	Ended time.Time // when it was given up; zero = not known
	// Taken reports whether a message of the provider's belongs to another delivery of ours: the same words are often sent
	// twice. nil = none does.
	Taken func(externalID string) bool
}

// ErrNotListed means that the provider's list does not have a message.
var ErrNotListed = errors.New("the provider's list does not have this message")
