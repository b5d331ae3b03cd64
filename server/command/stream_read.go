package command

import (
	"math"
	"slices"
	"time"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errReadGroup   resp.Error = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
	errReadNoAck   resp.Error = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
	errReadNoGroup resp.Error = "ERR Missing GROUP option for XREADGROUP"
	errReadDollar  resp.Error = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer " +
		"by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
	errReadNew resp.Error = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
)

// streamRead is an XREAD or XREADGROUP.
type streamRead struct {
	grouped         bool // XREADGROUP
	group, consumer []byte
	count           int64 // of entries from each stream; 0: all
	block           int64 // ms; 0: for ever, below 0: not at all
	noAck           bool
	keys            [][]byte
	// idsAt is where the ids stand; ids are what they mean: entries above them are
	// wanted. The greatest id stands for ">".
	idsAt int
	ids   []keyspace.StreamID
}

func xread(c *Ctx) error {
	q, err := c.parseStreamRead(false)
	if err != nil {
		return err
	}
	if len(q.keys) > 1 {
		c.Tx.Freeze()
	}
	news := false
	for i := range q.keys {
		s, err := c.readStream(q.keys[i])
		if err == nil {
			err = c.resolveID(&q, i, s)
		}
		if err != nil {
			return err
		}
		news = news || q.ids[i].Less(s.Top())
	}
	if !news {
		return c.awaitStreams(&q)
	}
	c.Tx.Freeze()
	streams := c.beginList()
	for i, key := range q.keys {
		s, err := c.stream(c.Tx.Inspect(c.DB, key))
		if err != nil {
			return err
		}
		if !q.ids[i].Less(s.Top()) {
			continue
		}
		if c.Out.Full() {
			break
		}
		c.beginStream(streams, key)
		from, _ := q.ids[i].Next()
		if err := c.replyEntries(s, from, keyspace.MaxStreamID, false, q.count, nil); err != nil {
			return err
		}
	}
	return c.endStreams(&q, streams)
}

// xreadgroup is XREADGROUP GROUP group consumer ...: what it delivers is pending
// until it is acknowledged.
func xreadgroup(c *Ctx) error {
	q, err := c.parseStreamRead(true)
	if err != nil {
		return err
	}
	for i, key := range q.keys {
		s, err := c.readStream(key)
		if err != nil {
			return err
		}
		g, err := s.Group(q.group)
		if err != nil {
			return err
		}
		if g == nil {
			return resp.Error("NOGROUP No such key '" + cString(key) + "' or consumer group '" + cString(q.group) + "' in XREADGROUP with GROUP option")
		}
		if err := c.resolveID(&q, i, s); err != nil {
			return err
		}
	}
	streams := c.beginList()
	for i, key := range q.keys {
		if err := c.readFromGroup(&q, streams, key, q.ids[i]); err != nil {
			return err
		}
	}
	return c.endStreams(&q, streams)
}

func (c *Ctx) parseStreamRead(grouped bool) (q streamRead, err error) {
	q.block, q.grouped = -1, grouped
	streams, named := 0, false
	for i := 1; i < len(c.Args) && streams == 0 && err == nil; i++ {
		arg, more := c.Args[i], len(c.Args)-1-i
		switch {
		case isWord(arg, "BLOCK") && more > 0:
			i++
			q.block, err = c.blockArg(i)
		case isWord(arg, "COUNT") && more > 0:
			i++
			q.count, err = c.integerArg(i)
			q.count = max(q.count, 0)
		case isWord(arg, "STREAMS") && more > 0:
			streams = i + 1
		case isWord(arg, "GROUP") && more > 1:
			if !grouped {
				return q, errReadGroup
			}
			q.group, q.consumer, named = c.Args[i+1], c.Args[i+2], true
			i += 2
		case isWord(arg, "NOACK"):
			if !grouped {
				return q, errReadNoAck
			}
			q.noAck = true
		default:
			err = resp.ErrSyntax
		}
	}
	if err != nil {
		return q, err
	}
	n := len(c.Args) - streams
	switch {
	case streams == 0:
		return q, resp.ErrSyntax
	case n%2 != 0:
		symbol := "$"
		if grouped {
			symbol = ">"
		}
		return q, resp.Error("ERR Unbalanced '" + c.Spec.Name + "' list of streams: for each stream key an ID or '" + symbol + "' must be specified.")
	case grouped && !named:
		return q, errReadNoGroup
	}
	q.idsAt = streams + n/2
	q.keys = c.Args[streams:q.idsAt]
	q.ids = make([]keyspace.StreamID, n/2)
	return q, nil
}

// blockArg parses a timeout in ms.
func (c *Ctx) blockArg(i int) (int64, error) {
	n, ok := keyspace.ParseInt(c.Args[i])
	switch {
	case !ok:
		return 0, resp.ErrTimeoutNotInt
	case n < 0:
		return 0, resp.ErrTimeoutNegative
	case n > math.MaxInt64-c.Tx.Now():
		return 0, resp.ErrTimeoutOutOfRange
	}
	return n, nil
}

// resolveID parses an id and gives "$" its meaning.
func (c *Ctx) resolveID(q *streamRead, i int, s *keyspace.Stream) (err error) {
	switch arg := c.Args[q.idsAt+i]; cString(arg) {
	case "$":
		if q.grouped {
			return errReadDollar
		}
		q.ids[i] = s.LastID
	case ">":
		if !q.grouped {
			return errReadNew
		}
		q.ids[i] = keyspace.MaxStreamID
	default:
		q.ids[i], err = c.strictID(q.idsAt + i)
	}
	return err
}

// beginStream begins the reply of what one stream has.
func (c *Ctx) beginStream(streams *list, key []byte) {
	if c.Out.Proto < 3 {
		c.Out.Array(2)
	}
	c.Out.Bulk(key)
	streams.n++
}

// endStreams ends the reply; when no stream had anything the command waits.
func (c *Ctx) endStreams(q *streamRead, streams *list) error {
	if streams.n == 0 {
		return c.awaitStreams(q)
	}
	if c.Out.Proto < 3 {
		streams.end(nil)
		return nil
	}
	head := resp.Writer{Proto: c.Out.Proto}
	head.Map(streams.n)
	streams.prepend(head)
	return nil
}

// awaitStreams is what a read comes to that has found nothing: with BLOCK it waits
// until one of the streams changes, or, for a group, is gone. A command that may not
// wait (in EXEC, in a script) replies as when its time is over.
func (c *Ctx) awaitStreams(q *streamRead) error {
	if q.block < 0 || !c.MayWait {
		c.Out.NullArray()
		return nil
	}
	c.Wishes = c.Wishes[:0]
	for _, key := range q.keys {
		c.Wishes = append(c.Wishes, Wish{Key: key, Type: keyspace.TypeStream, Any: q.grouped})
	}
	c.Again = c.again(q)
	return ErrWait
}

// streamTimeout is the Spec.Timeout of XREAD and XREADGROUP: what BLOCK says.
func streamTimeout(args [][]byte) (time.Duration, bool) {
	for i := 1; i+1 < len(args); i++ {
		switch {
		case isWord(args[i], "BLOCK"):
			n, ok := keyspace.ParseInt(args[i+1])
			if !ok || n < 0 {
				return 0, false
			}
			d, err := waitMillis(n)
			return d, err == nil
		case isWord(args[i], "COUNT"):
			i++
		case isWord(args[i], "GROUP"):
			i += 2
		case isWord(args[i], "STREAMS"):
			return 0, false
		}
	}
	return 0, false
}

// again returns the command to run when one of the streams has changed: the same, but
// with what "$" meant. ">" stays: it means what the group has not read by then.
func (c *Ctx) again(q *streamRead) [][]byte {
	args := slices.Clone(c.Args)
	for i, id := range q.ids {
		if at := q.idsAt + i; cString(args[at]) == "$" {
			args[at] = id.AppendText(nil)
		}
	}
	return args
}

// readFromGroup delivers what a consumer has asked for of one stream.
func (c *Ctx) readFromGroup(q *streamRead, streams *list, key []byte, after keyspace.StreamID) error {
	s, err := c.stream(c.Tx.Inspect(c.DB, key)) // anew: it may be named twice
	if err != nil {
		return err
	}
	g, err := s.Group(q.group)
	if err != nil {
		return err
	}
	consumer, err := c.consumer(key, g, q.consumer)
	if err != nil {
		return err
	}
	switch {
	case after != keyspace.MaxStreamID:
		c.beginStream(streams, key)
		from, _ := after.Next()
		err = c.replyHistory(s, g, consumer, from, q.count)
	case g.LastID.Less(s.Top()):
		c.beginStream(streams, key)
		from, _ := g.LastID.Next()
		err = c.replyEntries(s, from, keyspace.MaxStreamID, false, q.count, func(id keyspace.StreamID) error {
			advance(s, g, id)
			if q.noAck {
				return nil
			}
			p, err := g.Look(id)
			if err != nil {
				return err
			}
			p.Time, p.Count = c.Tx.Now(), 1
			consumer.Active = c.Tx.Now()
			return g.Assign(&p, consumer)
		})
	}
	if err != nil {
		return err
	}
	return g.Save()
}

// consumer returns the consumer of that name in a group of a key, made if needed, which has been seen now.
func (c *Ctx) consumer(key []byte, g *keyspace.Group, name []byte) (*keyspace.Consumer, error) {
	consumer, err := g.Consumer(name)
	if err != nil {
		return nil, err
	}
	if consumer == nil {
		consumer = g.CreateConsumer(name)
		c.notify(keyspace.ClassStream, "xgroup-createconsumer", key)
	}
	consumer.Seen = c.Tx.Now()
	return consumer, nil
}

// replyHistory replies what is pending of a consumer, which counts as delivered again.
func (c *Ctx) replyHistory(s *keyspace.Stream, g *keyspace.Group, consumer *keyspace.Consumer, from keyspace.StreamID, count int64) error {
	items := c.beginList()
	var fields [][]byte
	var failed error
	err := g.EachPending(consumer, from, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
		var found bool
		if fields, found, failed = s.Get(fields[:0], p.ID); failed != nil {
			return false
		}
		items.n++
		if !found { // deleted since
			c.Out.Array(2)
			c.bulkID(p.ID)
			c.Out.NullArray()
		} else {
			c.replyEntry(p.ID, fields)
			p.Time = c.Tx.Now()
			p.Count++
			failed = g.Assign(&p, consumer)
		}
		return failed == nil && int64(items.n) != count
	})
	if err == nil {
		err = failed
	}
	items.end(nil)
	return err
}

// advance notes that a group has read an entry: as long as no entry behind it was
// deleted, it is known how many of all that were it is.
func advance(s *keyspace.Stream, g *keyspace.Group, id keyspace.StreamID) {
	if g.EntriesRead != keyspace.UnknownRead && !hasTombstones(s, id) {
		g.EntriesRead++
	} else if s.Added != 0 {
		g.EntriesRead = distance(s, id)
	}
	g.LastID = id
}

// hasTombstones reports whether entries from an id on may have been deleted.
func hasTombstones(s *keyspace.Stream, from keyspace.StreamID) bool {
	return s.Len() != 0 && !s.MaxDeleted.IsZero() && !s.MaxDeleted.Less(s.FirstID) && !s.MaxDeleted.Less(from)
}

// distance is how many entries were added up to an id, or UnknownRead.
func distance(s *keyspace.Stream, id keyspace.StreamID) int64 {
	added := int64(s.Added)
	switch order := id.Compare(s.LastID); {
	case added == 0:
		return 0
	case order == 0, order < 0 && s.Len() == 0:
		return added
	case order > 0:
		return keyspace.UnknownRead
	}
	if s.MaxDeleted.IsZero() || s.MaxDeleted.Less(s.FirstID) {
		switch id.Compare(s.FirstID) {
		case -1:
			return added - s.Len()
		case 0:
			return added - s.Len() + 1
		}
	}
	return keyspace.UnknownRead
}
