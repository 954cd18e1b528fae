package dialog

import (
	"time"

	"github.com/rufweite/rufweite/internal/ask"
)

// State is where an instance stands: everything it needs to go on, as data. Its JSON is what is stored.
type State struct {
	Frames     []Frame   `json:"frames"` // the last one runs; the ones before it called it
	Status     Status    `json:"status"`
	Turn       int64     `json:"turn"`             // counts what was done; part of idempotency keys
	Misses     int       `json:"misses,omitempty"` // answers in a row that were not understood
	WakeAt     time.Time `json:"wake_at,omitzero"`
	Introduced bool      `json:"introduced,omitempty"` // the machine has said what it is
	Outcome    string    `json:"outcome,omitempty"`
}

// Frame is one running dialog.
type Frame struct {
	Dialog  string         `json:"dialog"`
	Version int64          `json:"version"`
	Step    string         `json:"step"`
	Vars    map[string]any `json:"vars"` // JSON values; answers as ask.Value
}

// Status is what an instance waits for.
type Status string

// Statuses of instances.
const (
	Asking  Status = "asking"  // for an answer
	Waiting Status = "waiting" // for a time
	Calling Status = "calling" // for a webhook's answer
	Handed  Status = "handed"  // a person has it; over
	Ended   Status = "ended"   // over
)

// Effect is what the shell has to do after a step of the machine. Exactly one field is set.
type Effect struct {
	Say   *ask.Say // to be sent; with Ask: a question to be put
	Call  *CallOut // to be made; its result comes back as CallEvent
	Hand  *HandOut
	Close bool // close the conversation
}

// CallOut is an outbound call with everything filled in.
type CallOut struct {
	URL, Method string
	Headers     map[string]string
	Body        []byte // JSON; nil = none
	Timeout     time.Duration
	Tries       int
	Turn        int64 // State.Turn: part of the Idempotency-Key
}

// HandOut is a hand-over to a person.
type HandOut struct {
	Staff, Unit, Note, Tag string
	Why                    string // asked (the customer wanted a person), unclear, expired, wrote, planned, error
}

// Event is what happens to an instance. Exactly one field is set.
type Event struct {
	Answer  *ask.Value // the open question was answered
	Unclear *ask.Outcome
	Person  bool // the customer wants a person
	Wrote   bool // the customer wrote while nothing was asked
	Expired bool // the open question expired without a default
	Woke    bool // WakeAt has come
	Call    *CallResult
}

// CallResult is a webhook's answer.
type CallResult struct {
	Turn  int64
	OK    bool
	Value any // decoded JSON
	Error string
}
