package command

import (
	"dkv/engine/keyspace"
	"dkv/resp"
)

// xpending is XPENDING key group [[IDLE min-idle-time] start end count [consumer]].
func xpending(c *Ctx) (err error) {
	n := len(c.Args)
	if n != 3 && (n < 6 || n > 9) {
		return resp.ErrSyntax
	}
	var q pendingQuery
	if n > 3 {
		if q, err = c.parsePending(); err != nil {
			return err
		}
	}
	s, err := c.readStream(c.Args[1])
	if err != nil {
		return err
	}
	g, err := s.Group(c.Args[2])
	if err != nil {
		return err
	}
	if g == nil {
		return errNoKeyOrGroup(c.Args[1], c.Args[2])
	}
	if n == 3 {
		return c.replyPendingSummary(g)
	}
	return c.replyPending(g, &q)
}

type pendingQuery struct {
	minIdle, count int64
	from, to       keyspace.StreamID
	consumer       []byte
	named          bool
}

func (c *Ctx) parsePending() (q pendingQuery, err error) {
	at := 3
	if isWord(c.Args[3], "IDLE") {
		if q.minIdle, err = c.integerArg(4); err != nil {
			return q, err
		}
		if at = 5; len(c.Args) < 8 {
			return q, resp.ErrSyntax
		}
	}
	if q.count, err = c.integerArg(at + 2); err != nil {
		return q, err
	}
	if q.from, err = c.intervalStart(at); err != nil {
		return q, err
	}
	if q.to, err = c.intervalEnd(at + 1); err != nil {
		return q, err
	}
	if q.named = at+3 < len(c.Args); q.named {
		q.consumer = c.Args[at+3]
	}
	return q, nil
}

// replyPendingSummary replies how many entries are pending, the first and the last,
// and how many of each consumer.
func (c *Ctx) replyPendingSummary(g *keyspace.Group) error {
	c.Out.Array(4)
	c.Out.Int(g.Pending())
	if g.Pending() == 0 {
		c.Out.Null()
		c.Out.Null()
		c.Out.NullArray()
		return nil
	}
	err := g.EachPending(nil, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		c.bulkID(p.ID)
		return false
	})
	if err != nil {
		return err
	}
	last, err := g.LastPending()
	if err != nil {
		return err
	}
	c.bulkID(last)
	items := c.beginList()
	err = g.EachConsumer(func(consumer *keyspace.Consumer) bool {
		if consumer.Pending() != 0 {
			c.Out.Array(2)
			c.Out.Bulk(consumer.Name)
			c.Out.BulkInt(consumer.Pending())
			items.n++
		}
		return true
	})
	items.end(nil)
	return err
}

func (c *Ctx) replyPending(g *keyspace.Group, q *pendingQuery) (err error) {
	var consumer *keyspace.Consumer
	if q.named {
		if consumer, err = g.Consumer(q.consumer); err != nil {
			return err
		}
		if consumer == nil {
			c.Out.Array(0)
			return nil
		}
	}
	items := c.beginList()
	if q.count > 0 {
		var failed error
		err = g.EachPending(consumer, q.from, q.to, func(p keyspace.Pending) bool {
			idle := c.Tx.Now() - p.Time
			if q.minIdle != 0 && idle < q.minIdle {
				return true
			}
			var owner *keyspace.Consumer
			if owner, failed = g.Owner(&p); failed != nil {
				return false
			}
			c.Out.Array(4)
			c.bulkID(p.ID)
			c.Out.Bulk(owner.Name)
			c.Out.Int(max(idle, 0))
			c.Out.Int(p.Count)
			items.n++
			return int64(items.n) != q.count
		})
		if err == nil {
			err = failed
		}
	}
	items.end(nil)
	return err
}
