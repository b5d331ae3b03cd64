package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errZaddXXNX resp.Error = "ERR XX and NX options at the same time are not compatible"
	errZaddGTLT resp.Error = "ERR GT, LT, and/or NX options at the same time are not compatible"
	errZaddIncr resp.Error = "ERR INCR option supports a single increment-element pair"
	errScoreNaN resp.Error = "ERR resulting score is not a number (NaN)"
)

// putScore sets the score of a member, which is there or fresh, and keeps the encoding
// up.
func (c *Ctx) putScore(z *keyspace.Collection, member []byte, score float64, fresh bool) error {
	l := c.limits()
	if fresh && (z.Len() >= l.ZSetListpackEntries.Load() || int64(len(member)) > l.ZSetListpackValue.Load()) {
		z.Encode(keyspace.ZSetSkiplist)
	}
	if score == 0 && z.RedisEncoding() == keyspace.ZSetListpack {
		score = 0 // a listpack keeps integers, which have no -0
	}
	if fresh {
		return z.AddScore(member, score)
	}
	_, err := z.PutScore(member, score)
	return err
}

// zaddOptions are the options of ZADD.
type zaddOptions struct{ nx, xx, gt, lt, ch, incr bool }

func (c *Ctx) parseZadd() (o zaddOptions, pairs [][]byte, err error) {
	i := 2
	for ; i < len(c.Args); i++ {
		switch arg := c.Args[i]; {
		case isWord(arg, "NX"):
			o.nx = true
		case isWord(arg, "XX"):
			o.xx = true
		case isWord(arg, "CH"):
			o.ch = true
		case isWord(arg, "INCR"):
			o.incr = true
		case isWord(arg, "GT"):
			o.gt = true
		case isWord(arg, "LT"):
			o.lt = true
		default:
			pairs = c.Args[i:]
		}
		if pairs != nil {
			break
		}
	}
	switch {
	case len(pairs) == 0 || len(pairs)%2 != 0:
		return o, nil, resp.ErrSyntax
	case o.nx && o.xx:
		return o, nil, errZaddXXNX
	case o.gt && o.nx, o.lt && o.nx, o.gt && o.lt:
		return o, nil, errZaddGTLT
	case o.incr && len(pairs) > 2:
		return o, nil, errZaddIncr
	}
	return o, pairs, nil
}

func zadd(c *Ctx) error {
	o, pairs, err := c.parseZadd()
	if err != nil {
		return err
	}
	return c.addScores(o, pairs)
}

// zincrby is ZADD with INCR, whose options it therefore knows: a word of theirs in
// the increment's place is one, and then something is missing.
func zincrby(c *Ctx) error {
	o, pairs, err := c.parseZadd()
	if err != nil {
		return err
	}
	o.incr = true
	return c.addScores(o, pairs)
}

// addScores is ZADD, given pairs of scores and members.
func (c *Ctx) addScores(o zaddOptions, pairs [][]byte) error {
	scores := make([]float64, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		score, ok := parseDouble(pairs[i])
		if !ok {
			return resp.ErrNotFloat
		}
		scores = append(scores, score)
	}
	z, err := c.findCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	var added, updated int64
	done := false
	score := 0.0
	for i := range scores {
		var change zaddChange
		if change, score, err = c.addScore(&z, o, pairs[2*i+1], scores[i]); err != nil {
			return err
		}
		added += boolInt(change == zaddAdded)
		updated += boolInt(change == zaddUpdated)
		done = done || change != zaddRefused
	}
	if err := z.Save(); err != nil {
		return err
	}
	switch {
	case added+updated == 0:
	case o.incr:
		c.notify(keyspace.ClassZSet, "zincr", c.Args[1])
	default:
		c.notify(keyspace.ClassZSet, "zadd", c.Args[1])
	}
	switch {
	case o.incr && !done:
		c.Out.Null()
	case o.incr:
		c.Out.Double(score)
	case o.ch:
		c.Out.Int(added + updated)
	default:
		c.Out.Int(added)
	}
	return nil
}

// zaddChange says what became of a pair of ZADD.
type zaddChange uint8

const (
	zaddRefused zaddChange = iota // by an option
	zaddSame
	zaddUpdated
	zaddAdded
)

func (c *Ctx) addScore(z *keyspace.Collection, o zaddOptions, member []byte, score float64) (zaddChange, float64, error) {
	old, found, err := z.Score(member)
	if err != nil {
		return 0, 0, err
	}
	if !found {
		if o.xx {
			return zaddRefused, 0, nil
		}
		return zaddAdded, score, c.putScore(z, member, score, true)
	}
	if o.nx {
		return zaddRefused, 0, nil
	}
	if o.incr {
		if score += old; math.IsNaN(score) {
			return 0, 0, errScoreNaN
		}
	}
	if o.gt && score <= old || o.lt && score >= old {
		return zaddRefused, 0, nil
	}
	if score == old { // 0 and -0 too
		return zaddSame, score, nil
	}
	return zaddUpdated, score, c.putScore(z, member, score, false)
}

func zrem(c *Ctx) error  { return c.removeAll(keyspace.TypeZSet) }
func zcard(c *Ctx) error { return c.replyLen(keyspace.TypeZSet) }

func zscore(c *Ctx) error {
	z, err := c.readCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	return c.replyScore(&z, c.Args[2])
}

func (c *Ctx) replyScore(z *keyspace.Collection, member []byte) error {
	score, found, err := z.Score(member)
	if err != nil {
		return typed(err)
	}
	if found {
		c.Out.Double(score)
	} else {
		c.Out.Null()
	}
	return nil
}

func zmscore(c *Ctx) error {
	z, err := c.readCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		if err := c.replyScore(&z, member); err != nil {
			return err
		}
	}
	return nil
}

func zrank(c *Ctx) error    { return c.replyRank(false) }
func zrevrank(c *Ctx) error { return c.replyRank(true) }

// replyRank counts the members on one side of a member.
func (c *Ctx) replyRank(backwards bool) error {
	withScore := len(c.Args) == 4
	if len(c.Args) > 4 || withScore && !isWord(c.Args[3], "WITHSCORE") {
		return resp.ErrSyntax
	}
	z, err := c.readCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	score, found, err := z.Score(c.Args[2])
	if err != nil {
		return err
	}
	if !found {
		if withScore {
			c.Out.NullArray()
		} else {
			c.Out.Null()
		}
		return nil
	}
	from, to := keyspace.Place{}, keyspace.BeforeMember(score, c.Args[2])
	if backwards {
		from, to = keyspace.AfterMember(score, c.Args[2]), keyspace.Place{}
	}
	rank, err := z.Count(from, to)
	if err != nil {
		return err
	}
	if withScore {
		c.Out.Array(2)
		c.Out.Int(rank)
		c.Out.Double(score)
		return nil
	}
	c.Out.Int(rank)
	return nil
}

func zscan(c *Ctx) error {
	return c.scanElements(keyspace.TypeZSet, func(l *list, member, value []byte) error {
		score, err := keyspace.ScoreOf(value)
		if err != nil {
			return err
		}
		l.add(member)
		l.add(resp.AppendDouble(nil, score))
		return nil
	})
}

func zrandmember(c *Ctx) error {
	if len(c.Args) == 2 {
		return c.replyRandom(keyspace.TypeZSet)
	}
	o, err := c.parseRandomOptions("WITHSCORES")
	if err != nil {
		return err
	}
	return c.replyRandoms(keyspace.TypeZSet, o, func(value []byte) error {
		score, err := keyspace.ScoreOf(value)
		c.Out.Double(score)
		return err
	})
}

func zpopmin(c *Ctx) error { return c.popScores(false) }
func zpopmax(c *Ctx) error { return c.popScores(true) }

func (c *Ctx) popScores(highest bool) error {
	if len(c.Args) > 3 {
		return resp.ErrSyntax
	}
	count, single := int64(1), true
	if len(c.Args) == 3 {
		var err error
		if count, err = c.positiveArg(2); err != nil {
			return err
		}
		single = false
	}
	z, err := c.findCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	if !z.Exists() || count == 0 {
		c.Out.Array(0)
		return nil
	}
	return c.replyPop(&z, highest, min(count, z.Len()), !single && c.Out.Proto >= 3)
}

// replyPop removes n members, of which there are as many, and replies them with
// their scores, as pairs or in a row.
func (c *Ctx) replyPop(z *keyspace.Collection, highest bool, n int64, pairs bool) error {
	if pairs {
		c.Out.Array(int(n))
	} else {
		c.Out.Array(int(2 * n))
	}
	return c.takeScores(z, highest, n, pairs)
}

// takeScores is replyPop without the head of the array.
func (c *Ctx) takeScores(z *keyspace.Collection, highest bool, n int64, pairs bool) error {
	err := z.Pop(highest, n, func(member []byte, score float64) {
		if pairs {
			c.Out.Array(2)
		}
		c.Out.Bulk(member)
		c.Out.Double(score)
	})
	if err != nil {
		return err
	}
	if err := z.Save(); err != nil {
		return err
	}
	event := "zpopmin"
	if highest {
		event = "zpopmax"
	}
	c.notifyRemoved(keyspace.TypeZSet, event, z, n)
	return nil
}

func zmpop(c *Ctx) error {
	p, err := c.parseManyPop(1, "MIN", "MAX")
	if err != nil {
		return err
	}
	popped, err := c.popSets(&p)
	if err == nil && !popped {
		c.Out.NullArray()
	}
	return err
}

// popSets replies members of the first sorted set that there is, with its name.
func (c *Ctx) popSets(p *manyPop) (popped bool, err error) {
	for _, key := range p.keys {
		z, err := c.findCollection(key, keyspace.TypeZSet)
		if err != nil {
			return false, err
		}
		if z.Exists() {
			c.Out.Array(2)
			c.Out.Bulk(key)
			return true, c.replyPop(&z, !p.first, min(p.count, z.Len()), true)
		}
	}
	return false, nil
}
