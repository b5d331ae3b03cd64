package command

import (
	"dkv/engine/keyspace"
	"dkv/resp"
)

// xinfoKey looks up the stream in an argument of XINFO.
func (c *Ctx) xinfoKey() (*keyspace.Stream, error) {
	s, err := c.readStream(c.Args[2])
	if err == nil && !s.Exists() {
		err = resp.ErrNoSuchKey
	}
	return s, err
}

// fullEntries is how many entries XINFO STREAM FULL shows if it is not told.
const fullEntries = 10

// xinfoStream is XINFO STREAM key [FULL [COUNT count]].
func xinfoStream(c *Ctx) error {
	s, err := c.xinfoKey()
	if err != nil {
		return err
	}
	n := len(c.Args)
	if n == 3 {
		return c.describeStream(s)
	}
	if n != 4 && n != 6 || !isWord(c.Args[3], "FULL") || n == 6 && !isWord(c.Args[4], "COUNT") {
		return c.subcommandSyntax()
	}
	count := int64(fullEntries)
	if n == 6 {
		if count, err = c.integerArg(5); err != nil {
			return err
		}
		if count < 0 {
			count = fullEntries
		}
	}
	return c.describeFully(s, count)
}

// streamHeader replies what both forms begin with. Redis keeps entries in the leaves of
// a tree: its leaves are told as they would be there, and as nodes one for each and
// the root.
func (c *Ctx) streamHeader(s *keyspace.Stream) {
	c.field("length").Int(s.Len())
	c.field("radix-tree-keys").Int(s.Nodes())
	c.field("radix-tree-nodes").Int(s.Nodes() + 1)
	c.field("last-generated-id")
	c.bulkID(s.LastID)
	c.field("max-deleted-entry-id")
	c.bulkID(s.MaxDeleted)
	c.field("entries-added").Int(int64(s.Added))
	c.field("recorded-first-entry-id")
	c.bulkID(s.FirstID)
}

// field replies the name of a field of a map, whose value must follow.
func (c *Ctx) field(name string) *resp.Writer {
	c.Out.BulkString(name)
	return c.Out
}

func (c *Ctx) describeStream(s *keyspace.Stream) error {
	c.Out.Map(10)
	c.streamHeader(s)
	c.field("groups").Int(s.Groups())
	for _, end := range [...]struct {
		name      string
		backwards bool
	}{{"first-entry", false}, {"last-entry", true}} {
		c.field(end.name)
		found := false
		err := s.Range(keyspace.StreamID{}, keyspace.MaxStreamID, end.backwards, func(id keyspace.StreamID, fields [][]byte) bool {
			c.replyEntry(id, fields)
			found = true
			return false
		})
		if err != nil {
			return err
		}
		if !found {
			c.Out.Null()
		}
	}
	return nil
}

// describeFully shows up to count entries, and of each group and consumer as many
// pending ones; 0 is all.
func (c *Ctx) describeFully(s *keyspace.Stream, count int64) error {
	c.Out.Map(9)
	c.streamHeader(s)
	c.field("entries")
	if err := c.replyEntries(s, keyspace.StreamID{}, keyspace.MaxStreamID, false, count, nil); err != nil {
		return err
	}
	c.field("groups").Array(int(s.Groups()))
	var failed error
	err := s.EachGroup(func(g *keyspace.Group) bool {
		c.Out.Map(7)
		c.field("name").Bulk(g.Name())
		c.field("last-delivered-id")
		c.bulkID(g.LastID)
		c.replyLag(s, g)
		c.field("pel-count").Int(g.Pending())
		c.field("pending")
		if failed = c.describePending(g, nil, count); failed == nil {
			failed = c.describeConsumers(g, count)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return err
}

func (c *Ctx) describeConsumers(g *keyspace.Group, count int64) error {
	c.field("consumers").Array(int(g.Consumers()))
	var failed error
	err := g.EachConsumer(func(consumer *keyspace.Consumer) bool {
		c.Out.Map(5)
		c.field("name").Bulk(consumer.Name)
		c.field("seen-time").Int(consumer.Seen)
		c.field("active-time").Int(consumer.Active)
		c.field("pel-count").Int(consumer.Pending())
		c.field("pending")
		failed = c.describePending(g, consumer, count)
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return err
}

// describePending replies what is pending of a group, or of one of its consumers.
func (c *Ctx) describePending(g *keyspace.Group, consumer *keyspace.Consumer, count int64) error {
	items := c.beginList()
	var failed error
	err := g.EachPending(consumer, keyspace.StreamID{}, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		if consumer != nil {
			c.Out.Array(3)
			c.bulkID(p.ID)
		} else {
			var owner *keyspace.Consumer
			if owner, failed = g.Owner(&p); failed != nil {
				return false
			}
			c.Out.Array(4)
			c.bulkID(p.ID)
			c.Out.Bulk(owner.Name)
		}
		c.Out.Int(p.Time)
		c.Out.Int(p.Count)
		items.n++
		return int64(items.n) != count
	})
	if err == nil {
		err = failed
	}
	items.end(nil)
	return err
}

// replyLag replies how many entries a group has read and how many it has not, as far as
// that is known.
func (c *Ctx) replyLag(s *keyspace.Stream, g *keyspace.Group) {
	c.field("entries-read")
	if g.EntriesRead == keyspace.UnknownRead {
		c.Out.Null()
	} else {
		c.Out.Int(g.EntriesRead)
	}
	c.field("lag")
	read := g.EntriesRead
	switch {
	case s.Added == 0:
		read = 0
	case read == keyspace.UnknownRead || hasTombstones(s, g.LastID):
		if read = distance(s, g.LastID); read == keyspace.UnknownRead {
			c.Out.Null()
			return
		}
	}
	c.Out.Int(int64(s.Added) - read)
}

func xinfoGroups(c *Ctx) error {
	s, err := c.xinfoKey()
	if err != nil {
		return err
	}
	c.Out.Array(int(s.Groups()))
	return s.EachGroup(func(g *keyspace.Group) bool {
		c.Out.Map(6)
		c.field("name").Bulk(g.Name())
		c.field("consumers").Int(g.Consumers())
		c.field("pending").Int(g.Pending())
		c.field("last-delivered-id")
		c.bulkID(g.LastID)
		c.replyLag(s, g)
		return true
	})
}

func xinfoConsumers(c *Ctx) error {
	s, err := c.xinfoKey()
	if err != nil {
		return err
	}
	g, err := s.Group(c.Args[3])
	if err != nil {
		return err
	}
	if g == nil {
		return errNoSuchGroup(c.Args[3], c.Args[2])
	}
	now := c.Tx.Now()
	c.Out.Array(int(g.Consumers()))
	return g.EachConsumer(func(consumer *keyspace.Consumer) bool {
		inactive := int64(-1)
		if consumer.Active != -1 {
			inactive = now - consumer.Active
		}
		c.Out.Map(4)
		c.field("name").Bulk(consumer.Name)
		c.field("pending").Int(consumer.Pending())
		c.field("idle").Int(max(now-consumer.Seen, 0))
		c.field("inactive").Int(inactive)
		return true
	})
}

func xinfoHelp(c *Ctx) error {
	c.help("XINFO",
		"CONSUMERS <key> <group>",
		"    Show the consumers of a group.",
		"GROUPS <key>",
		"    Show the groups of a stream.",
		"STREAM <key> [FULL [COUNT <count>]]",
		"    Show what a stream is like.")
	return nil
}

// streamBytes is about what the records of a stream take: the first samples of its
// entries times their number, and what its groups have pending.
func streamBytes(s *keyspace.Stream, samples int64) (int64, error) {
	const recordKey = 1 + 1 + 2 + 8 + 1 + 16 // see the package keyspace
	var n, total int64
	err := s.Range(keyspace.StreamID{}, keyspace.MaxStreamID, false, func(_ keyspace.StreamID, fields [][]byte) bool {
		n++
		total += recordOverhead + recordKey + 1
		for _, f := range fields {
			total += int64(len(f)) + 1
		}
		return n != samples
	})
	if err != nil {
		return 0, err
	}
	if n > 0 {
		total = int64(float64(total) / float64(n) * float64(s.Len()))
	}
	err = s.EachGroup(func(g *keyspace.Group) bool {
		total += 2*recordOverhead + 2*recordKey + int64(len(g.Name()))
		total += (g.Pending() + g.Consumers()) * (2*recordOverhead + 3*recordKey)
		return true
	})
	return total, err
}
