package conversation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/db"
)

// Audience says who outside the house may see a message. Staff see every message; notes and events have no audience.
type Audience struct {
	Customer     bool     `json:"customer"`
	Participants []string `json:"participants,omitempty"` // participant ids
}

// Everybody is the audience of what the customer writes and gets.
var Everybody = Audience{Customer: true}

func (a Audience) plain() bool { return a.Customer && len(a.Participants) == 0 }

// CustomerSees reports whether the customer may see this entry (in a chat's history, a portal, an export for them).
func (m Message) CustomerSees() bool { return m.Kind == KindMessage && m.Audience.Customer }

// VisibleTo reports whether whoever a message goes to may see this entry: the participant, or the customer ("").
func (m Message) VisibleTo(participant string) bool {
	if participant == "" {
		return m.CustomerSees()
	}
	return m.Kind == KindMessage && slices.Contains(m.Audience.Participants, participant)
}

// Participant is a third party in a conversation: an insurer, an expert, a workshop. It sees the messages whose
// audience names it, and nothing else.
type Participant struct {
	ID           string
	Conversation string
	Address      string // address id
	Kind         channel.Kind
	Value        string
	Name         string
	Role         string
	AddedBy      string // staff id
	AddedAt      time.Time
	RemovedAt    time.Time // since then it gets nothing more; zero = takes part
}

// ParticipantRoles are what a third party can be.
func ParticipantRoles() []string { return []string{"insurer", "expert", "workshop", "lawyer", "other"} }

// Errors that callers tell apart.
var (
	ErrNoParticipant = errors.New("no such participant in this conversation")
	ErrIsCustomer    = errors.New("this address is the customer's own")
)

const participantColumns = `id, conversation, address, kind, value, name, role, added_by, added_at, removed_at`

func participants(ctx context.Context, q db.Querier, where string, args ...any) ([]Participant, error) {
	var out []Participant
	rows, err := q.Query(ctx, `SELECT `+participantColumns+` FROM participant WHERE org = $1 AND `+where, args...)
	err = db.Each(rows, err, func() error {
		var p Participant
		var kind string
		var added, removed int64
		err := rows.Scan(&p.ID, &p.Conversation, &p.Address, &kind, &p.Value, &p.Name, &p.Role, &p.AddedBy, &added, &removed)
		p.Kind, p.AddedAt, p.RemovedAt = channel.Kind(kind), db.Time(added), db.Time(removed)
		out = append(out, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read participants: %w", err)
	}
	return out, nil
}

// Participants lists the third parties of a conversation in the order in which they were added, those who were removed
// included: what they saw stays with them.
func Participants(ctx context.Context, q db.Querier, conversation string) ([]Participant, error) {
	return participants(ctx, q, `conversation = $2 ORDER BY added_at, id`, conversation)
}

// ParticipantByAddress gives who takes part in a conversation by an address; ok is false if nobody does.
func ParticipantByAddress(ctx context.Context, q db.Querier, conversation, address string) (p Participant, ok bool, err error) {
	list, err := participants(ctx, q, `conversation = $2 AND address = $3 AND removed_at = 0`, conversation, address)
	if err != nil || len(list) == 0 {
		return Participant{}, false, err
	}
	return list[0], true, nil
}

// AddParticipant makes the owner of an address a third party of a conversation, or gives the one that is there (taking
// part again, if it was removed). An empty name or role leaves what was known.
func AddParticipant(ctx context.Context, tx *db.Tx, conversation string, p Participant, now time.Time) (Participant, error) {
	if p.Role == "" {
		p.Role = "other"
	}
	if !slices.Contains(ParticipantRoles(), p.Role) {
		return Participant{}, fmt.Errorf("there is no role %q; possible are %v", p.Role, ParticipantRoles())
	}
	r, err := load(ctx, tx, conversation)
	if err != nil {
		return Participant{}, err
	}
	old, err := participants(ctx, tx, `conversation = $2 AND address = $3`, conversation, p.Address)
	if err != nil {
		return Participant{}, err
	}
	p.Conversation, p.AddedAt = conversation, now
	if p.Name == "" {
		p.Name = p.Value
	}
	if len(old) > 0 {
		was := old[0]
		if was.RemovedAt.IsZero() && (p.Role == "other" || p.Role == was.Role) && (p.Name == p.Value || p.Name == was.Name) {
			return was, nil
		}
		p.ID = was.ID
		if p.Name == p.Value {
			p.Name = was.Name
		}
		if p.Role == "other" {
			p.Role = was.Role
		}
		_, err := tx.Exec(ctx, `UPDATE participant SET name = $3, role = $4, removed_at = 0 WHERE org = $1 AND id = $2`, p.ID, p.Name, p.Role)
		if err != nil {
			return Participant{}, fmt.Errorf("change participant: %w", err)
		}
		if was.RemovedAt.IsZero() {
			tx.Emit("conversation", conversation, nil)
			return p, nil
		}
	} else {
		p.ID = db.NewID()
		_, err := tx.Exec(ctx, `INSERT INTO participant (org, `+participantColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,0)`,
			p.ID, p.Conversation, p.Address, string(p.Kind), p.Value, p.Name, p.Role, p.AddedBy, db.Micro(p.AddedAt))
		if err != nil {
			return Participant{}, fmt.Errorf("add participant: %w", err)
		}
	}
	r.Participants++
	return p, save(ctx, tx, &r, false)
}

// RemoveParticipant ends somebody's part in a conversation: answers of theirs no longer land in it, and nothing more is
// sent to them there. What they saw stays marked as seen by them.
func RemoveParticipant(ctx context.Context, tx *db.Tx, conversation, id string, now time.Time) error {
	r, err := load(ctx, tx, conversation)
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE participant SET removed_at = $4 WHERE org = $1 AND conversation = $2 AND id = $3 AND removed_at = 0`, conversation, id, db.Micro(now))
	if err != nil {
		return fmt.Errorf("remove participant: %w", err)
	}
	if n == 0 {
		return ErrNoParticipant
	}
	r.Participants = max(0, r.Participants-1)
	return save(ctx, tx, &r, false)
}

// SeenBy counts the messages of a conversation that each participant may see.
func SeenBy(ctx context.Context, q db.Querier, conversation string) (map[string]int, error) {
	out := map[string]int{}
	rows, err := q.Query(ctx, `SELECT `+messageColumns+` FROM message WHERE org = $1 AND conversation = $2 AND audience <> '' LIMIT 5000`, conversation)
	err = db.Each(rows, err, func() error {
		m, err := scanMessage(rows)
		for _, p := range m.Audience.Participants {
			out[p]++
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count what participants see: %w", err)
	}
	return out, nil
}

// CopyAttachments makes files of messages into unsent uploads of a member of staff (to forward them); the content is
// stored once. Only files that are here can be copied.
func CopyAttachments(ctx context.Context, tx *db.Tx, ids []string, by string, now time.Time) ([]string, error) {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		a, err := AttachmentByID(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if a.State != Stored {
			return nil, fmt.Errorf("the file %q is not here (yet): %w", a.Name, ErrNoSuch)
		}
		a.ID, a.Message, a.Inline, a.CreatedBy = db.NewID(), "", false, by
		if err := AddAttachment(ctx, tx, a, 0, now); err != nil {
			return nil, err
		}
		out = append(out, a.ID)
	}
	return out, nil
}
