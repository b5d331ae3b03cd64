package command

import (
	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errTrimBoth     resp.Error = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
	errTrimMaxLen   resp.Error = "ERR The MAXLEN argument must be >= 0."
	errTrimLimit    resp.Error = "ERR The LIMIT argument must be >= 0."
	errTrimLimitFor resp.Error = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
	errTrimNone     resp.Error = "ERR syntax error, XTRIM must be called with a trimming strategy"
	errTrimExact    resp.Error = "ERR syntax error, LIMIT cannot be used without the special ~ option"
	errXaddZero     resp.Error = "ERR The ID specified in XADD must be greater than 0-0"
	errXaddOver     resp.Error = "ERR The stream has exhausted the last possible ID, unable to add more items"
	errXaddSmall    resp.Error = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	errXaddLarge    resp.Error = "ERR Elements are too large to be stored"
	errXsetidAdded  resp.Error = "ERR entries_added must be positive"
	errXsetidGiven  resp.Error = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
	errXsetidMax    resp.Error = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
	errXsetidTop    resp.Error = "ERR The ID specified in XSETID is smaller than the target stream top item"
	errXsetidLen    resp.Error = "ERR The entries_added specified in XSETID is smaller than the target stream length"
)

// readStream looks a key up for reading and refuses other types than streams.
func (c *Ctx) readStream(key []byte) (*keyspace.Stream, error) {
	e, err := c.Tx.Read(c.DB, key)
	if err == nil && c.Spec.Elements {
		e, err = c.settle(e, key)
	}
	return c.stream(e, err)
}

// findStream looks a key up for writing and refuses other types than streams.
func (c *Ctx) findStream(key []byte) (*keyspace.Stream, error) {
	return c.stream(c.Tx.Find(c.DB, key))
}

func (c *Ctx) stream(e keyspace.Entry, err error) (*keyspace.Stream, error) {
	if err != nil {
		return nil, err
	}
	s, err := c.Tx.Stream(e)
	return s, typed(err)
}

// entryOptions are what XADD and XTRIM have before the id, or at their end.
type entryOptions struct {
	trims      bool
	trim       keyspace.Trim
	noMkStream bool
	// idAt is where the id stands; given: it is not "*", seqGiven: nor ms-*.
	idAt            int
	id              keyspace.StreamID
	given, seqGiven bool
}

// parseEntryOptions parses the options of XADD or XTRIM, from the second argument on.
func (c *Ctx) parseEntryOptions(xadd bool) (o entryOptions, err error) {
	limited := false
	i := 2
options:
	for ; i < len(c.Args); i++ {
		arg, more := c.Args[i], len(c.Args)-1-i
		switch {
		case xadd && cString(arg) == "*":
			break options
		case isWord(arg, "MAXLEN") && more > 0:
			i, err = c.parseTrim(&o, i, false)
		case isWord(arg, "MINID") && more > 0:
			i, err = c.parseTrim(&o, i, true)
		case isWord(arg, "LIMIT") && more > 0:
			i++
			limited = true
			if o.trim.Limit, err = c.integerArg(i); err == nil && o.trim.Limit < 0 {
				err = errTrimLimit
			}
		case xadd && isWord(arg, "NOMKSTREAM"):
			o.noMkStream = true
		case xadd:
			o.given = true
			o.id, o.seqGiven, err = parseStreamID(arg, 0, idOpen)
			if err == nil {
				break options
			}
		default:
			err = resp.ErrSyntax
		}
		if err != nil {
			return o, err
		}
	}
	o.idAt = i
	switch {
	case o.trim.Limit != 0 && !o.trims:
		err = errTrimLimitFor
	case !xadd && !o.trims:
		err = errTrimNone
	case limited && !o.trim.Approx:
		err = errTrimExact
	case !limited && o.trim.Approx:
		o.trim.Limit = c.trimLimit()
	}
	return o, err
}

// parseTrim parses MAXLEN or MINID at a position, and returns that of its end.
func (c *Ctx) parseTrim(o *entryOptions, i int, byID bool) (int, error) {
	if o.trims {
		return i, errTrimBoth
	}
	o.trims, o.trim.ByID, o.trim.Approx = true, byID, false
	i++
	if i+1 < len(c.Args) {
		switch cString(c.Args[i]) {
		case "~":
			o.trim.Approx = true
			i++
		case "=":
			i++
		}
	}
	var err error
	if byID {
		o.trim.MinID, err = c.strictID(i)
		return i, err
	}
	if o.trim.MaxLen, err = c.integerArg(i); err == nil && o.trim.MaxLen < 0 {
		err = errTrimMaxLen
	}
	return i, err
}

// trimLimit is the LIMIT of an approximate trim that has none: a hundred nodes.
func (c *Ctx) trimLimit() int64 {
	const otherwise, most = 10_000, 1_000_000
	n := 100 * c.limits().StreamNodeEntries.Load()
	if n <= 0 {
		return otherwise
	}
	return min(n, most)
}

func (c *Ctx) nodeLimits() keyspace.NodeLimits {
	l := c.limits()
	return keyspace.NodeLimits{Bytes: l.StreamNodeBytes.Load(), Entries: l.StreamNodeEntries.Load()}
}

// xadd is XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id
// field value [field value ...].
func xadd(c *Ctx) error {
	o, err := c.parseEntryOptions(true)
	if err != nil {
		return err
	}
	fields := c.Args[min(o.idAt+1, len(c.Args)):]
	if len(fields) < 2 || len(fields)%2 != 0 {
		return resp.ErrWrongArity(c.Spec.Name)
	}
	if o.given && o.seqGiven && o.id.IsZero() {
		return errXaddZero
	}
	e, err := c.Tx.Find(c.DB, c.Args[1])
	if err != nil {
		return err
	}
	s := &c.added
	defer func() { c.added = keyspace.Stream{} }()
	if err := c.Tx.OpenStream(s, e); err != nil {
		return typed(err)
	}
	if !s.Exists() && o.noMkStream {
		c.Out.Null()
		return nil
	}
	id, err := c.newID(s, &o)
	if err != nil {
		return err
	}
	size := 0
	for _, f := range fields {
		size += len(f)
	}
	if size > keyspace.MaxEntryBytes {
		return errXaddLarge
	}
	s.Append(id, fields, c.nodeLimits())
	removed := int64(0)
	if o.trims {
		if removed, err = s.Trim(o.trim); err != nil {
			return err
		}
	}
	s.Save()
	c.notify(keyspace.ClassStream, "xadd", c.Args[1])
	if removed > 0 {
		c.notify(keyspace.ClassStream, "xtrim", c.Args[1])
	}
	c.bulkID(id)
	return nil
}

// newID is the id of an entry that XADD adds.
func (c *Ctx) newID(s *keyspace.Stream, o *entryOptions) (id keyspace.StreamID, err error) {
	last := s.LastID
	switch {
	case last == keyspace.MaxStreamID:
		return id, errXaddOver
	case !o.given:
		if id.MS = uint64(c.Tx.Now()); id.MS <= last.MS {
			id, _ = last.Next()
		}
	case o.seqGiven || o.id.MS != last.MS:
		id = o.id
	default:
		id = keyspace.StreamID{MS: last.MS, Seq: last.Seq + 1}
	}
	if !last.Less(id) {
		return id, errXaddSmall
	}
	return id, nil
}

func xlen(c *Ctx) error {
	s, err := c.readStream(c.Args[1])
	if err == nil {
		c.Out.Int(s.Len())
	}
	return err
}

func xdel(c *Ctx) error {
	s, err := c.findStream(c.Args[1])
	if err != nil {
		return err
	}
	if !s.Exists() {
		c.Out.Int(0)
		return nil
	}
	ids, err := c.strictIDs(2)
	if err != nil {
		return err
	}
	n := int64(0)
	for _, id := range ids {
		deleted, err := s.Delete(id)
		if err != nil {
			return err
		}
		n += boolInt(deleted)
	}
	s.Save()
	if n > 0 {
		c.notify(keyspace.ClassStream, "xdel", c.Args[1])
	}
	c.Out.Int(n)
	return nil
}

func xtrim(c *Ctx) error {
	o, err := c.parseEntryOptions(false)
	if err != nil {
		return err
	}
	s, err := c.findStream(c.Args[1])
	if err != nil {
		return err
	}
	n, err := s.Trim(o.trim)
	if err != nil {
		return err
	}
	s.Save()
	if n > 0 {
		c.notify(keyspace.ClassStream, "xtrim", c.Args[1])
	}
	c.Out.Int(n)
	return nil
}

// xsetid is XSETID key last-id [ENTRIESADDED n] [MAXDELETEDID id].
func xsetid(c *Ctx) error {
	id, err := c.strictID(2)
	if err != nil {
		return err
	}
	added := int64(-1)
	var maxDeleted keyspace.StreamID
	for i := 3; i < len(c.Args); i += 2 {
		switch {
		case i+1 == len(c.Args):
			return resp.ErrSyntax
		case isWord(c.Args[i], "ENTRIESADDED"):
			if added, err = c.integerArg(i + 1); err == nil && added < 0 {
				err = errXsetidAdded
			}
		case isWord(c.Args[i], "MAXDELETEDID"):
			if maxDeleted, err = c.strictID(i + 1); err == nil && id.Less(maxDeleted) {
				err = errXsetidGiven
			}
		default:
			err = resp.ErrSyntax
		}
		if err != nil {
			return err
		}
	}
	s, err := c.findStream(c.Args[1])
	switch {
	case err != nil:
		return err
	case !s.Exists():
		return resp.ErrNoSuchKey
	case id.Less(s.MaxDeleted):
		return errXsetidMax
	case s.Len() > 0 && id.Less(s.Top()):
		return errXsetidTop
	case s.Len() > 0 && added != -1 && s.Len() > added:
		return errXsetidLen
	}
	if maxDeleted.IsZero() {
		maxDeleted = s.MaxDeleted
	}
	if added == -1 {
		added = int64(s.Added)
	}
	s.SetID(id, uint64(added), maxDeleted)
	s.Save()
	c.notify(keyspace.ClassStream, "xsetid", c.Args[1])
	c.Out.OK()
	return nil
}

func xrange(c *Ctx) error    { return c.replyRange(2, 3, false) }
func xrevrange(c *Ctx) error { return c.replyRange(3, 2, true) }

// replyRange replies the entries between the ids in two arguments.
func (c *Ctx) replyRange(start, end int, backwards bool) error {
	from, err := c.intervalStart(start)
	if err != nil {
		return err
	}
	to, err := c.intervalEnd(end)
	if err != nil {
		return err
	}
	count := int64(-1)
	for i := 4; i < len(c.Args); i += 2 {
		if !isWord(c.Args[i], "COUNT") || i+1 == len(c.Args) {
			return resp.ErrSyntax
		}
		if count, err = c.integerArg(i + 1); err != nil {
			return err
		}
		count = max(count, 0)
	}
	s, err := c.readStream(c.Args[1])
	switch {
	case err != nil:
		return err
	case !s.Exists():
		c.Out.Array(0)
		return nil
	case count == 0:
		c.Out.NullArray()
		return nil
	}
	if count < 0 {
		c.reads(s.Len())
	} else {
		c.reads(min(count, s.Len()))
	}
	return c.replyEntries(s, from, to, backwards, max(count, 0), nil)
}

// replyEntries replies an array of entries, of no more than count unless that is 0;
// each, if it is there, is told of every one.
func (c *Ctx) replyEntries(s *keyspace.Stream, from, to keyspace.StreamID, backwards bool, count int64, each func(id keyspace.StreamID) error) error {
	items := c.beginList()
	var failed error
	err := s.Range(from, to, backwards, func(id keyspace.StreamID, fields [][]byte) bool {
		c.replyEntry(id, fields)
		items.n++
		if each != nil {
			failed = each(id)
		}
		return failed == nil && int64(items.n) != count && c.watch(items.start)
	})
	if err == nil {
		err = failed
	}
	items.end(nil)
	return err
}

func (c *Ctx) replyEntry(id keyspace.StreamID, fields [][]byte) {
	c.Out.Array(2)
	c.bulkID(id)
	c.Out.Array(len(fields))
	for _, f := range fields {
		c.Out.Bulk(f)
	}
}
