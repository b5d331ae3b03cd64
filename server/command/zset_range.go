package command

import (
	"bytes"
	"slices"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// zrangeBy says what a range of a sorted set is given by.
type zrangeBy uint8

const (
	byRank zrangeBy = iota
	byScore
	byLex
)

// zrangeQuery is a range of a sorted set.
type zrangeQuery struct {
	by        zrangeBy
	backwards bool
	// Places, from 0, and from the end when negative; both inclusive.
	start, stop    int64
	low, high      scoreBound
	lowLex, topLex lexBound
	// limited: offset members are left out, then limit returned; a negative limit
	// is none, a negative offset leaves out all.
	limited       bool
	offset, limit int64
	withScores    bool
}

const (
	errZrangeLimit     resp.Error = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
	errZrangeLexScores resp.Error = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
)

// zrangeForm is how a command gives its range.
type zrangeForm struct {
	by        zrangeBy
	backwards bool
	// free: by and backwards are given by options; store: no WITHSCORES.
	free, store bool
}

// parseZrange parses the range in the two arguments from first on, and the options
// behind it.
func (c *Ctx) parseZrange(first int, f zrangeForm) (q zrangeQuery, err error) {
	q.by, q.backwards, q.limit = f.by, f.backwards, -1
	chosen := false
	for i := first + 2; i < len(c.Args); i++ {
		arg := c.Args[i]
		switch {
		case !f.store && isWord(arg, "WITHSCORES"):
			q.withScores = true
		case isWord(arg, "LIMIT") && i+2 < len(c.Args):
			if q.offset, err = c.integerArg(i + 1); err != nil {
				return q, err
			}
			if q.limit, err = c.integerArg(i + 2); err != nil {
				return q, err
			}
			i += 2
		case f.free && !q.backwards && isWord(arg, "REV"):
			q.backwards = true
		case f.free && !chosen && isWord(arg, "BYLEX"):
			q.by, chosen = byLex, true
		case f.free && !chosen && isWord(arg, "BYSCORE"):
			q.by, chosen = byScore, true
		default:
			return q, resp.ErrSyntax
		}
	}
	if q.limit != -1 && q.by == byRank {
		return q, errZrangeLimit
	}
	if q.withScores && q.by == byLex {
		return q, errZrangeLexScores
	}
	q.limited = q.by != byRank
	err = c.parseZrangeBounds(&q, first)
	return q, err
}

func (c *Ctx) parseZrangeBounds(q *zrangeQuery, first int) (err error) {
	low, high := first, first+1
	if q.backwards && q.by != byRank {
		low, high = high, low
	}
	switch q.by {
	case byRank:
		if q.start, err = c.integerArg(first); err == nil {
			q.stop, err = c.integerArg(first + 1)
		}
	case byScore:
		if q.low, err = parseScoreBound(c.Args[low]); err == nil {
			q.high, err = parseScoreBound(c.Args[high])
		}
	case byLex:
		if q.lowLex, err = parseLexBound(c.Args[low]); err == nil {
			q.topLex, err = parseLexBound(c.Args[high])
		}
	}
	return err
}

// each calls emit for the members of the range, in its order, until it returns
// false.
func (q *zrangeQuery) each(z *keyspace.Collection, emit func(member []byte, score float64) bool) error {
	if q.by == byRank {
		return q.eachByRank(z, emit)
	}
	if q.limited {
		if q.offset < 0 {
			return nil
		}
		skip, left, all := q.offset, q.limit, emit
		if left == 0 {
			return nil
		}
		emit = func(member []byte, score float64) bool {
			if skip > 0 {
				skip--
				return true
			}
			left--
			return all(member, score) && left != 0
		}
	}
	if q.by == byLex {
		return q.eachByLex(z, emit)
	}
	from, to := q.places()
	return z.Scores(from, to, q.backwards, emit)
}

// places are the ends of a range of scores.
func (q *zrangeQuery) places() (from, to keyspace.Place) {
	from, to = keyspace.BeforeScore(q.low.score), keyspace.AfterScore(q.high.score)
	if q.low.exclusive {
		from = keyspace.AfterScore(q.low.score)
	}
	if q.high.exclusive {
		to = keyspace.BeforeScore(q.high.score)
	}
	return from, to
}

// passes returns how many members of a set of n each goes by, at most.
func (q *zrangeQuery) passes(n int64) int64 {
	switch {
	case q.by == byRank:
		start, stop := within(q.start, q.stop, n)
		return max(stop-start+1, 0) + max(min(start, n-1-stop), 0)
	case q.by == byScore && q.limit >= 0 && q.offset >= 0 && q.offset <= n && q.limit <= n:
		return min(q.offset+q.limit, n)
	}
	return n
}

// eachByRank passes by the members before the range, or those behind it, whichever
// are fewer.
func (q *zrangeQuery) eachByRank(z *keyspace.Collection, emit func(member []byte, score float64) bool) error {
	n := z.Len()
	start, stop := q.start, q.stop
	if start < 0 {
		start = max(n+start, 0)
	}
	if stop < 0 {
		stop += n
	}
	stop = min(stop, n-1)
	if start > stop {
		return nil
	}
	skip, left := start, stop-start+1
	if behind := n - 1 - stop; behind < skip && left <= skip {
		return eachReversed(z, !q.backwards, behind, left, emit)
	}
	return z.Scores(keyspace.Place{}, keyspace.Place{}, q.backwards, func(member []byte, score float64) bool {
		if skip > 0 {
			skip--
			return true
		}
		left--
		return emit(member, score) && left > 0
	})
}

// eachReversed collects members in one direction and emits them in the other.
func eachReversed(z *keyspace.Collection, backwards bool, skip, n int64, emit func(member []byte, score float64) bool) error {
	var members []scoredMember
	err := z.Scores(keyspace.Place{}, keyspace.Place{}, backwards, func(member []byte, score float64) bool {
		if skip > 0 {
			skip--
			return true
		}
		members = append(members, scoredMember{bytes.Clone(member), score})
		return int64(len(members)) < n
	})
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(members) {
		if !emit(m.member, m.score) {
			break
		}
	}
	return nil
}

type scoredMember struct {
	member []byte
	score  float64
}

// eachByLex takes the members in order from the first that is in the range to the
// first that is not, as Redis does when the scores are not all the same. When they
// are, the range is one of the order.
func (q *zrangeQuery) eachByLex(z *keyspace.Collection, emit func(member []byte, score float64) bool) error {
	from, to, empty, err := q.lexPlaces(z)
	if err != nil || empty {
		return err
	}
	outside := func(m []byte) (before, behind bool) {
		before, behind = q.lowLex.below(m), q.topLex.above(m)
		if q.backwards {
			before, behind = behind, before
		}
		return before, behind
	}
	inside := false
	return z.Scores(from, to, q.backwards, func(member []byte, score float64) bool {
		before, behind := outside(member)
		if !inside && before {
			return true
		}
		inside = true
		return !behind && emit(member, score)
	})
}

// lexPlaces returns the part of a sorted set that a range of members is in: all of
// it, unless all scores are the same. The range is empty, whatever is in between,
// when the last member is below it or the first above.
func (q *zrangeQuery) lexPlaces(z *keyspace.Collection) (from, to keyspace.Place, empty bool, err error) {
	var ends [2]float64
	for i := range ends {
		err := z.Scores(from, to, i == 1, func(member []byte, score float64) bool {
			ends[i] = score
			empty = empty || i == 0 && q.topLex.above(member) || i == 1 && q.lowLex.below(member)
			return false
		})
		if err != nil {
			return from, to, false, err
		}
	}
	if empty || z.Inline() || ends[0] != ends[1] {
		return from, to, empty, nil
	}
	if q.lowLex.infinite == 0 {
		from = keyspace.BeforeMember(ends[0], q.lowLex.member)
		if q.lowLex.exclusive {
			from = keyspace.AfterMember(ends[0], q.lowLex.member)
		}
	}
	if q.topLex.infinite == 0 {
		to = keyspace.AfterMember(ends[0], q.topLex.member)
		if q.topLex.exclusive {
			to = keyspace.BeforeMember(ends[0], q.topLex.member)
		}
	}
	return from, to, false, nil
}

func zrange(c *Ctx) error           { return c.replyZrange(zrangeForm{free: true}) }
func zrangebyscore(c *Ctx) error    { return c.replyZrange(zrangeForm{by: byScore}) }
func zrangebylex(c *Ctx) error      { return c.replyZrange(zrangeForm{by: byLex}) }
func zrevrange(c *Ctx) error        { return c.replyZrange(zrangeForm{backwards: true}) }
func zrevrangebyscore(c *Ctx) error { return c.replyZrange(zrangeForm{by: byScore, backwards: true}) }
func zrevrangebylex(c *Ctx) error   { return c.replyZrange(zrangeForm{by: byLex, backwards: true}) }

func (c *Ctx) replyZrange(f zrangeForm) error {
	q, err := c.parseZrange(2, f)
	if err != nil {
		return err
	}
	z, err := c.readCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	c.reads(q.passes(z.Len()))
	items := c.beginScored(q.withScores)
	err = q.each(&z, func(member []byte, score float64) bool {
		return items.add(member, score) && c.watch(items.start)
	})
	if err != nil {
		return err
	}
	items.end()
	return nil
}

// scoredList is an array reply of members, maybe with scores, whose length is known
// at its end only.
type scoredList struct {
	*list
	withScores bool
}

func (c *Ctx) beginScored(withScores bool) scoredList {
	return scoredList{c.beginList(), withScores}
}

func (l scoredList) add(member []byte, score float64) bool {
	switch {
	case !l.withScores:
		l.list.add(member)
	case l.out.Proto >= 3:
		l.out.Array(2)
		l.list.add(member)
		l.out.Double(score)
	default:
		l.list.add(member)
		l.out.Double(score)
		l.n++
	}
	return true
}

func (l scoredList) end() { l.list.end(nil) }

func zrangestore(c *Ctx) error {
	q, err := c.parseZrange(3, zrangeForm{free: true, store: true})
	if err != nil {
		return err
	}
	z, err := c.readCollection(c.Args[2], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	members, err := c.collectRange(&z, &q)
	if err != nil {
		return err
	}
	// Redis knows beforehand how long a range of ranks is, of the others not.
	known := q.by == byRank && int64(len(members)) > c.limits().ZSetListpackEntries.Load()
	return c.storeScored(members, known)
}

func (c *Ctx) collectRange(z *keyspace.Collection, q *zrangeQuery) (members []scoredMember, err error) {
	kept, tooMuch := c.keeps(), error(nil)
	err = q.each(z, func(member []byte, score float64) bool {
		members = append(members, scoredMember{bytes.Clone(member), score})
		tooMuch = kept.take(len(member))
		return tooMuch == nil
	})
	if err == nil {
		err = tooMuch
	}
	return members, err
}

// storeScored makes the key in the first argument a sorted set of these members, or
// none when there are none, and replies how many. atOnce: Redis chooses the encoding
// by the whole, which shows in what becomes of -0.
func (c *Ctx) storeScored(members []scoredMember, atOnce bool) error {
	z, err := c.replace(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	if atOnce && !c.fitsListpack(members) {
		z.Encode(keyspace.ZSetSkiplist)
	}
	for _, m := range members {
		if err := c.putScore(&z, m.member, m.score, true); err != nil {
			return err
		}
	}
	if err := z.Save(); err != nil {
		return err
	}
	c.notifyStored(keyspace.TypeZSet, &z, len(members))
	c.Out.Int(int64(len(members)))
	return nil
}

func (c *Ctx) fitsListpack(members []scoredMember) bool {
	l := c.limits()
	long := func(m scoredMember) bool { return int64(len(m.member)) > l.ZSetListpackValue.Load() }
	return int64(len(members)) <= l.ZSetListpackEntries.Load() && !slices.ContainsFunc(members, long)
}

func zremrangebyrank(c *Ctx) error  { return c.removeRange(byRank) }
func zremrangebyscore(c *Ctx) error { return c.removeRange(byScore) }
func zremrangebylex(c *Ctx) error   { return c.removeRange(byLex) }

func (c *Ctx) removeRange(by zrangeBy) error {
	q := zrangeQuery{by: by}
	if err := c.parseZrangeBounds(&q, 2); err != nil {
		return err
	}
	z, err := c.findCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	members, err := c.collectRange(&z, &q)
	if err != nil {
		return err
	}
	if int64(len(members)) == z.Len() && len(members) != 0 {
		z.Clear()
	} else {
		for _, m := range members {
			if _, err := z.Remove(m.member); err != nil {
				return err
			}
		}
	}
	if err := z.Save(); err != nil {
		return err
	}
	c.notifyRemoved(keyspace.TypeZSet, c.Spec.Name, &z, int64(len(members)))
	c.Out.Int(int64(len(members)))
	return nil
}
