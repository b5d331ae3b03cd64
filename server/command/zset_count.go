package command

import "dkv/engine/keyspace"

func zcount(c *Ctx) error    { return c.countRange(byScore) }
func zlexcount(c *Ctx) error { return c.countRange(byLex) }

func (c *Ctx) countRange(by zrangeBy) error {
	q := zrangeQuery{by: by}
	if err := c.parseZrangeBounds(&q, 2); err != nil {
		return err
	}
	z, err := c.readCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	var n int64
	if by == byScore {
		n, err = z.Count(q.places())
	} else {
		n, err = q.countLex(&z)
	}
	c.Out.Int(n)
	return err
}

// countLex counts the members of a range of members.
func (q *zrangeQuery) countLex(z *keyspace.Collection) (n int64, err error) {
	from, to, empty, err := q.lexPlaces(z)
	if err != nil || empty {
		return 0, err
	}
	if (q.lowLex.infinite != 0 || from.IsBound()) && (q.topLex.infinite != 0 || to.IsBound()) {
		return z.Count(from, to) // all scores are the same, or both ends open
	}
	err = q.eachByLex(z, func([]byte, float64) bool {
		n++
		return true
	})
	return n, err
}
