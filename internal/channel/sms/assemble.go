package sms

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Piece is a received part of a longer message. Tag is whatever the caller wants back with it (what has to be
// acknowledged, say).
type Piece[T any] struct {
	Seq      uint8
	Encoding Encoding
	Payload  []byte // without header, unpacked
	Tag      T
}

// Join gives the text of pieces in order. Neighbours of one encoding are decoded together, so that a pair that a sender
// tore is whole again; some phones choose the encoding part by part.
func Join[T any](pieces []Piece[T]) string {
	var b strings.Builder
	for i := 0; i < len(pieces); {
		var run []byte
		e := pieces[i].Encoding
		for ; i < len(pieces) && pieces[i].Encoding == e; i++ {
			run = append(run, pieces[i].Payload...)
		}
		b.WriteString(Decode(run, e))
	}
	return b.String()
}

// Group is a message of which not all parts came.
type Group[T any] struct {
	Key    string
	Total  uint8
	Pieces []Piece[T] // those that came, in order
}

// Outcome is what became of a part.
type Outcome[T any] struct {
	Whole     []Piece[T] // all parts in order, if this was the last one missing
	Duplicate bool       // it had come before (also after the message was whole)
	Dropped   []Group[T] // incomplete messages that had to make room; show what there is of them
}

// Assembler joins parts that come in any order, some of them twice. It is bounded in count and in time by the clock that
// is passed in. It is not for concurrent use. The zero value works.
type Assembler[T any] struct {
	Max    int           // messages that wait for parts, and whole ones that are remembered; 0 = 1000
	MaxAge time.Duration // how long they wait after their first part; 0 = a day

	groups map[string]*group[T]
	serial int64
}

type group[T any] struct {
	key    string
	total  uint8
	pieces map[uint8]Piece[T]
	born   time.Time
	serial int64
	whole  bool // remembered for duplicates only
}

// Add takes a part. from tells messages apart whose references are equal: sender and recipient.
func (a *Assembler[T]) Add(from string, c Concat, p Piece[T], now time.Time) Outcome[T] {
	out := Outcome[T]{Dropped: a.Expire(now)}
	if a.groups == nil {
		a.groups = map[string]*group[T]{}
	}
	p.Seq, p.Payload = c.Seq, bytes.Clone(p.Payload)
	if c.Total <= 1 {
		out.Whole = []Piece[T]{p}
		return out
	}
	key := fmt.Sprintf("%s\x00%t %d %d", from, c.Wide, c.Ref, c.Total)
	g := a.groups[key]
	if g != nil {
		if old, ok := g.pieces[c.Seq]; ok {
			if old.Encoding == p.Encoding && bytes.Equal(old.Payload, p.Payload) {
				out.Duplicate = true
				return out
			}
			// Another message under the same reference: it has come round.
			if !g.whole {
				out.Dropped = append(out.Dropped, g.incomplete())
			}
			delete(a.groups, key)
			g = nil
		}
	}
	if g == nil {
		out.Dropped = append(out.Dropped, a.makeRoom()...)
		a.serial++
		g = &group[T]{key: from, total: c.Total, pieces: map[uint8]Piece[T]{}, born: now, serial: a.serial}
		a.groups[key] = g
	}
	g.pieces[c.Seq] = p
	if len(g.pieces) == int(g.total) {
		out.Whole = g.sorted()
		g.whole = true
		var none T
		for seq, piece := range g.pieces {
			piece.Tag = none // what is done must not hold on to it
			g.pieces[seq] = piece
		}
	}
	return out
}

// Pending is how many messages wait for parts.
func (a *Assembler[T]) Pending() int {
	n := 0
	for _, g := range a.groups {
		if !g.whole {
			n++
		}
	}
	return n
}

// Expire gives up messages that have waited for too long, oldest first.
func (a *Assembler[T]) Expire(now time.Time) []Group[T] {
	age := a.MaxAge
	if age == 0 {
		age = 24 * time.Hour
	}
	var old []*group[T]
	for key, g := range a.groups {
		if now.Sub(g.born) >= age {
			delete(a.groups, key)
			old = append(old, g)
		}
	}
	slices.SortFunc(old, func(x, y *group[T]) int { return int(x.serial - y.serial) })
	var out []Group[T]
	for _, g := range old {
		if !g.whole {
			out = append(out, g.incomplete())
		}
	}
	return out
}

// makeRoom gives up the oldest message if there are too many; those that are whole go first.
func (a *Assembler[T]) makeRoom() []Group[T] {
	limit := a.Max
	if limit <= 0 {
		limit = 1000
	}
	if len(a.groups) < limit {
		return nil
	}
	var key string
	var oldest *group[T]
	for k, g := range a.groups {
		if oldest == nil || g.whole && !oldest.whole || g.whole == oldest.whole && g.serial < oldest.serial {
			key, oldest = k, g
		}
	}
	delete(a.groups, key)
	if oldest.whole {
		return nil
	}
	return []Group[T]{oldest.incomplete()}
}

func (g *group[T]) incomplete() Group[T] {
	return Group[T]{Key: g.key, Total: g.total, Pieces: g.sorted()}
}

func (g *group[T]) sorted() []Piece[T] {
	out := make([]Piece[T], 0, len(g.pieces))
	for _, p := range g.pieces {
		out = append(out, p)
	}
	slices.SortFunc(out, func(x, y Piece[T]) int { return int(x.Seq) - int(y.Seq) })
	return out
}
