package keyspace

import (
	"fmt"

	"dkv/engine"
)

// Score returns the score of a member of a sorted set.
func (c *Collection) Score(member []byte) (score float64, found bool, err error) {
	value, found, err := c.Get(c.tx.score[:0], member)
	if err != nil || !found {
		return 0, false, err
	}
	c.tx.score = value
	score, err = parseScore(value)
	return score, err == nil, err
}

// PutScore sets the score of a member, which must not be NaN, and reports whether
// the member is new.
func (c *Collection) PutScore(member []byte, score float64) (added bool, err error) {
	var buf [scoreBytes]byte
	return c.Put(member, appendScore(buf[:0], score))
}

// AddScore is PutScore for a member that Score has said not to be there.
func (c *Collection) AddScore(member []byte, score float64) error {
	var buf [scoreBytes]byte
	value := appendScore(buf[:0], score)
	if !c.separate {
		_, err := c.Put(member, value)
		return err
	}
	if err := c.writeRecord(member, value); err != nil {
		return err
	}
	c.size++
	c.touched, c.dirty = true, true
	return nil
}

// ScoreOf decodes the value of a sorted set's element.
func ScoreOf(value []byte) (float64, error) { return parseScore(value) }

// Place is a place in the order of a sorted set, before or after all members of a
// score, or before a member. The zero value is no bound.
type Place struct {
	set    bool
	score  float64
	member []byte
	// after: behind all members of the score, or behind the member.
	after     bool
	hasMember bool
}

// BeforeScore is the place before all members of a score.
func BeforeScore(score float64) Place { return Place{set: true, score: score} }

// AfterScore is the place behind all members of a score.
func AfterScore(score float64) Place { return Place{set: true, score: score, after: true} }

// BeforeMember is the place before a member of a score, there or not.
func BeforeMember(score float64, member []byte) Place {
	return Place{set: true, score: score, member: member, hasMember: true}
}

// AfterMember is the place behind a member of a score, there or not.
func AfterMember(score float64, member []byte) Place {
	return Place{set: true, score: score, member: member, hasMember: true, after: true}
}

// IsBound reports whether the place is one, and not the zero value.
func (p *Place) IsBound() bool { return p.set }

// before reports whether an element stands before the place.
func (p *Place) before(score float64, member []byte) bool {
	if score != p.score {
		return score < p.score
	}
	if !p.hasMember {
		return p.after
	}
	return string(member) < string(p.member) || p.after && string(member) == string(p.member)
}

// appendKey appends the bound of an iterator that the place is.
func (p *Place) appendKey(dst []byte) []byte {
	if !p.hasMember {
		n := orderedScore(p.score)
		if p.after {
			n++ // no score is the largest number
		}
		return appendUint64(dst, n)
	}
	dst = appendScoreMember(dst, p.score, p.member)
	if p.after {
		dst = append(dst, 0)
	}
	return dst
}

// Scores calls emit for the members of a sorted set between two places, in their
// order or backwards, until it returns false. The slice is valid during the call, in
// which the collection must not be changed.
func (c *Collection) Scores(from, to Place, backwards bool, emit func(member []byte, score float64) bool) error {
	if !c.separate {
		return c.inlineScores(from, to, backwards, emit)
	}
	o, err := c.scoreRange(from, to)
	if err != nil {
		return err
	}
	it, err := c.tx.r.NewIter(o)
	if err != nil {
		return fmt.Errorf("keyspace: iterate scores: %w", err)
	}
	first, next := it.First, it.Next
	if backwards {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		var value, member []byte
		if value, err = it.Value(); err != nil {
			break
		}
		var score float64
		if score, member, err = splitScore(it.Key(), value); err != nil || !emit(member, score) {
			break
		}
	}
	return endIteration(it, err)
}

// scoreRange returns the bounds of the score records between two places, no wider
// than what is known of the whole set.
func (c *Collection) scoreRange(from, to Place) (o engine.IterOptions, err error) {
	low, high, err := parseBounds(c.rest)
	if err != nil {
		return o, err
	}
	prefix := appendPrefix(nil, kindScore, c.db, c.homeSlot(), c.Version)
	o.Lower = append(o.Lower, prefix...)
	if from.set {
		o.Lower = from.appendKey(o.Lower)
	}
	if string(o.Lower[len(prefix):]) < string(low) {
		o.Lower = append(o.Lower[:len(prefix)], low...)
	}
	switch {
	case to.set:
		o.Upper = to.appendKey(append(o.Upper, prefix...))
	case len(high) == 0:
		o.Upper = appendPrefix(nil, kindScore, c.db, c.homeSlot(), c.Version+1)
	}
	if len(high) != 0 && (!to.set || string(o.Upper[len(prefix):]) > string(high)) {
		o.Upper = append(append(o.Upper[:0], prefix...), high...)
	}
	return o, nil
}

func (c *Collection) inlineScores(from, to Place, backwards bool, emit func(member []byte, score float64) bool) error {
	var entries [maxInlineEntries]inlineEntry
	n := 0
	for at := 0; ; n++ {
		e, ok, err := nextInline(c.kind, c.rest, at)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if n == len(entries) {
			return fmt.Errorf("%w: more than %d inline members", ErrCorrupt, n)
		}
		entries[n], at = e, e.end
	}
	for i := range n {
		if backwards {
			i = n - 1 - i
		}
		score, err := parseScore(entries[i].value)
		if err != nil {
			return err
		}
		member := entries[i].element
		if from.set && from.before(score, member) || to.set && !to.before(score, member) {
			continue
		}
		if !emit(member, score) {
			return nil
		}
	}
	return nil
}
