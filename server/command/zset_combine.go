package command

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const errWeight resp.Error = "ERR weight value is not a float"

// aggregate says how scores of a member in several sets are combined.
type aggregate uint8

const (
	aggregateSum aggregate = iota
	aggregateMin
	aggregateMax
)

func (a aggregate) of(x, y float64) float64 {
	switch a {
	case aggregateMin:
		if y < x {
			return y
		}
		return x
	case aggregateMax:
		if y > x {
			return y
		}
		return x
	}
	if sum := x + y; !math.IsNaN(sum) {
		return sum
	}
	return 0 // inf and -inf
}

// source is an input of a combination: a sorted set, or a set, whose members all
// have the score 1.
type source struct {
	keyspace.Collection
	weight float64
}

// each calls emit for every member, with its score times the weight, or 0 when that is
// no number.
func (s *source) each(emit func(member []byte, score float64) error) error {
	var failed error
	err := s.Each(func(member, value []byte) bool {
		var score float64
		if score, failed = s.weighted(value); failed != nil {
			return false
		}
		if math.IsNaN(score) {
			score = 0 // inf times 0
		}
		failed = emit(member, score)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// weighted returns the score that a member has by its value times the weight, which may be no
// number.
func (s *source) weighted(value []byte) (score float64, err error) {
	if s.Type != keyspace.TypeZSet {
		return s.weight, nil
	}
	score, err = keyspace.ScoreOf(value)
	return score * s.weight, err
}

// errEnough ends a combination early.
const errEnough resp.Error = "ERR the limit is reached"

// combination is one of ZUNION, ZINTER, ZDIFF and their other forms, parsed.
type combination struct {
	sources    []source
	aggregate  aggregate
	withScores bool
	limit      int64 // of a count; 0: none
}

// combineForm says which options a command takes.
type combineForm struct {
	weights, store, count bool
}

// parseCombination parses what begins with the number of keys in argument i.
func (c *Ctx) parseCombination(i int, f combineForm) (o combination, err error) {
	n, err := c.integerArg(i)
	if err != nil {
		return o, err
	}
	if n < 1 {
		return o, resp.Error("ERR at least 1 input key is needed for '" + c.Spec.Name + "' command")
	}
	if n > int64(len(c.Args)-i-1) {
		return o, resp.ErrSyntax
	}
	for _, key := range c.Args[i+1 : i+1+int(n)] {
		s, err := c.readSource(key)
		if err != nil {
			return o, err
		}
		o.sources = append(o.sources, s)
	}
	err = c.parseCombineOptions(&o, i+1+int(n), f)
	return o, err
}

func (c *Ctx) readSource(key []byte) (source, error) {
	e, err := c.Tx.Read(c.DB, key)
	if err != nil {
		return source{}, err
	}
	t := keyspace.TypeZSet
	if e.Type == keyspace.TypeSet {
		t = keyspace.TypeSet
	}
	s := source{weight: 1}
	s.Collection, err = c.Tx.Collection(e, t)
	s.Own()
	return s, typed(err)
}

func (c *Ctx) parseCombineOptions(o *combination, i int, f combineForm) (err error) {
	for ; i < len(c.Args); i++ {
		arg, left := c.Args[i], len(c.Args)-i-1
		switch {
		case f.weights && isWord(arg, "WEIGHTS") && left >= len(o.sources):
			for j := range o.sources {
				i++
				var ok bool
				if o.sources[j].weight, ok = parseDouble(c.Args[i]); !ok {
					return errWeight
				}
			}
		case f.weights && isWord(arg, "AGGREGATE") && left >= 1:
			i++
			switch {
			case isWord(c.Args[i], "SUM"):
				o.aggregate = aggregateSum
			case isWord(c.Args[i], "MIN"):
				o.aggregate = aggregateMin
			case isWord(c.Args[i], "MAX"):
				o.aggregate = aggregateMax
			default:
				return resp.ErrSyntax
			}
		case !f.store && !f.count && isWord(arg, "WITHSCORES"):
			o.withScores = true
		case f.count && isWord(arg, "LIMIT") && left >= 1:
			i++
			if o.limit, err = c.limitArg(i); err != nil {
				return err
			}
		default:
			return resp.ErrSyntax
		}
	}
	return nil
}

// combineFunc calls emit for each member of the result, once, in no order.
type combineFunc func(c *Ctx, o *combination, emit func(member []byte, score float64) error) error

func zunion(c *Ctx) error      { return c.replyCombined(zunite, true) }
func zinter(c *Ctx) error      { return c.replyCombined(zintersect, true) }
func zdiff(c *Ctx) error       { return c.replyCombined(zsubtract, false) }
func zunionstore(c *Ctx) error { return c.storeCombined(zunite, true) }
func zinterstore(c *Ctx) error { return c.storeCombined(zintersect, true) }
func zdiffstore(c *Ctx) error  { return c.storeCombined(zsubtract, false) }

func (c *Ctx) replyCombined(f combineFunc, weights bool) error {
	o, err := c.parseCombination(1, combineForm{weights: weights})
	if err != nil {
		return err
	}
	members, err := c.collect(&o, f)
	if err != nil {
		return err
	}
	slices.SortFunc(members, func(a, b scoredMember) int {
		if order := cmp.Compare(a.score, b.score); order != 0 {
			return order
		}
		return bytes.Compare(a.member, b.member)
	})
	items := c.beginScored(o.withScores)
	for _, m := range members {
		items.add(m.member, m.score)
	}
	items.end()
	return nil
}

func (c *Ctx) storeCombined(f combineFunc, weights bool) error {
	o, err := c.parseCombination(2, combineForm{weights: weights, store: true})
	if err != nil {
		return err
	}
	members, err := c.collect(&o, f)
	if err != nil {
		return err
	}
	return c.storeScored(members, true)
}

func (c *Ctx) collect(o *combination, f combineFunc) (members []scoredMember, err error) {
	kept := c.keeps()
	err = f(c, o, func(member []byte, score float64) error {
		members = append(members, scoredMember{bytes.Clone(member), score})
		return kept.take(len(member))
	})
	return members, err
}

func zintercard(c *Ctx) error {
	o, err := c.parseCombination(1, combineForm{count: true})
	if err != nil {
		return err
	}
	n := int64(0)
	err = zintersect(c, &o, func([]byte, float64) error {
		if n++; n == o.limit {
			return errEnough
		}
		return nil
	})
	if err != nil && err != errEnough {
		return err
	}
	c.Out.Int(n)
	return nil
}
