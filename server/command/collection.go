package command

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// Limits are the sizes up to which OBJECT ENCODING tells of a compact form: the
// parameters of the same names, which may change at any time.
type Limits struct {
	HashListpackEntries, HashListpackValue atomic.Int64
	SetIntsetEntries                       atomic.Int64
	SetListpackEntries, SetListpackValue   atomic.Int64
	ZSetListpackEntries, ZSetListpackValue atomic.Int64
	ListMaxListpackSize                    atomic.Int64
	// Those of a stream's nodes, by which it is trimmed.
	StreamNodeBytes, StreamNodeEntries atomic.Int64
	// HLLSparseBytes is the size above which a HyperLogLog becomes dense.
	HLLSparseBytes atomic.Int64
}

// defaultLimits are Redis's.
var defaultLimits = func() *Limits {
	var l Limits
	l.HashListpackEntries.Store(512)
	l.HashListpackValue.Store(64)
	l.SetIntsetEntries.Store(512)
	l.SetListpackEntries.Store(128)
	l.SetListpackValue.Store(64)
	l.ZSetListpackEntries.Store(128)
	l.ZSetListpackValue.Store(64)
	l.ListMaxListpackSize.Store(-2)
	l.StreamNodeBytes.Store(4096)
	l.StreamNodeEntries.Store(100)
	l.HLLSparseBytes.Store(3000)
	return &l
}()

func (c *Ctx) limits() *Limits {
	if c.Limits == nil {
		return defaultLimits
	}
	return c.Limits
}

// readCollection looks a key up for reading and refuses other types than t.
func (c *Ctx) readCollection(key []byte, t keyspace.Type) (keyspace.Collection, error) {
	e, err := c.Tx.Read(c.DB, key)
	if err == nil && c.Spec.Elements {
		e, err = c.settle(e, key)
	}
	if err != nil {
		return keyspace.Collection{}, err
	}
	col, err := c.Tx.Collection(e, t)
	return col, typed(err)
}

// settle looks a collection up again, in a state that stays, if its elements will be
// read one after the other.
func (c *Ctx) settle(e keyspace.Entry, key []byte) (keyspace.Entry, error) {
	if e.Separate() && c.Tx.Freeze() {
		return c.Tx.Inspect(c.DB, key)
	}
	return e, nil
}

// findCollection looks a key up for writing and refuses other types than t.
func (c *Ctx) findCollection(key []byte, t keyspace.Type) (keyspace.Collection, error) {
	e, err := c.Tx.Find(c.DB, key)
	if err != nil {
		return keyspace.Collection{}, err
	}
	col, err := c.Tx.Collection(e, t)
	return col, typed(err)
}

// typed makes a reply of the keyspace's error about types.
func typed(err error) error {
	if errors.Is(err, keyspace.ErrWrongType) {
		return resp.ErrWrongType
	}
	return err
}

// maxScratch is how large a value may be whose memory a Ctx keeps.
const maxScratch = 16 << 10

// get returns the value of an element; it is valid until get is called again.
func (c *Ctx) get(col *keyspace.Collection, element []byte) (value []byte, found bool, err error) {
	if cap(c.scratch) > maxScratch {
		c.scratch = nil
	}
	value, found, err = col.Get(c.scratch[:0], element)
	c.scratch = value
	return value, found, typed(err)
}

// replyLen replies the number of elements of the key in the first argument.
func (c *Ctx) replyLen(t keyspace.Type) error {
	col, err := c.readCollection(c.Args[1], t)
	if err != nil {
		return err
	}
	c.Out.Int(col.Len())
	return nil
}

// replyHas replies whether an element is there.
func (c *Ctx) replyHas(t keyspace.Type) error {
	col, err := c.readCollection(c.Args[1], t)
	if err != nil {
		return err
	}
	_, found, err := c.get(&col, c.Args[2])
	if err != nil {
		return err
	}
	c.Out.Int(boolInt(found))
	return nil
}

// removeAll removes the elements in the arguments from the second on and replies how
// many there were.
func (c *Ctx) removeAll(t keyspace.Type) error {
	col, err := c.findCollection(c.Args[1], t)
	if err != nil {
		return err
	}
	n := int64(0)
	for _, element := range c.Args[2:] {
		removed, err := col.Remove(element)
		if err != nil {
			return err
		}
		n += boolInt(removed)
	}
	if err := col.Save(); err != nil {
		return err
	}
	c.notifyRemoved(t, c.Spec.Name, &col, n)
	c.Out.Int(n)
	return nil
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// rangeArg parses an integer argument with bounds.
func (c *Ctx) rangeArg(i int, low, high int64) (int64, error) {
	n, err := c.integerArg(i)
	if err == nil && (n < low || n > high) {
		err = resp.Error(fmt.Sprintf("ERR value is out of range, value must between %d and %d", low, high))
	}
	return n, err
}

// positiveArg parses an argument that must be an integer of 0 or more.
func (c *Ctx) positiveArg(i int) (int64, error) {
	n, err := c.integerArg(i)
	if err != nil || n < 0 {
		return 0, resp.ErrNotPositive
	}
	return n, nil
}

// scanElements is HSCAN, SSCAN and ZSCAN; emit replies an element, in one item or
// two.
func (c *Ctx) scanElements(t keyspace.Type, emit func(l *list, element, value []byte) error) error {
	cursor, ok := ParseCursor(c.Args[2])
	if !ok {
		return resp.ErrInvalidCursor
	}
	col, err := c.readCollection(c.Args[1], t)
	if err != nil {
		return err
	}
	if !col.Exists() {
		c.Out.Array(2)
		c.Out.BulkString("0")
		c.Out.Array(0)
		return nil
	}
	count, match, err := c.elementScanOptions()
	if err != nil {
		return err
	}
	items := c.beginList()
	var failed error
	next, err := col.ScanElements(uint64(cursor), count, func(element, value []byte) {
		if match != nil && !keyspace.Match(match, element, false) || failed != nil {
			return
		}
		failed = emit(items, element, value)
	})
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	head := resp.Writer{Buf: make([]byte, 0, 64)}
	head.Array(2)
	head.BulkString(strconv.FormatUint(next, 10))
	items.end(head.Buf)
	return nil
}

func (c *Ctx) elementScanOptions() (count int64, match []byte, err error) {
	count = defaultScanCount
	for i := 3; i < len(c.Args); i += 2 {
		switch {
		case i+1 == len(c.Args):
			return 0, nil, resp.ErrSyntax
		case isWord(c.Args[i], "COUNT"):
			if count, err = c.integerArg(i + 1); err != nil {
				return 0, nil, err
			}
			if count < 1 {
				return 0, nil, resp.ErrSyntax
			}
		case isWord(c.Args[i], "MATCH"):
			if match = c.Args[i+1]; string(match) == "*" {
				match = nil // which has the empty element too
			}
		default:
			return 0, nil, resp.ErrSyntax
		}
	}
	return count, match, nil
}

// randomOptions are the count and WITH... of HRANDFIELD, SRANDMEMBER, ZRANDMEMBER.
type randomOptions struct {
	count    int64
	withWord bool
}

func (c *Ctx) parseRandomOptions(word string) (o randomOptions, err error) {
	if o.count, err = c.rangeArg(2, -math.MaxInt64, math.MaxInt64); err != nil {
		return o, err
	}
	if len(c.Args) > 4 || len(c.Args) == 4 && (word == "" || !isWord(c.Args[3], word)) {
		return o, resp.ErrSyntax
	}
	o.withWord = len(c.Args) == 4
	if o.withWord && (o.count < -math.MaxInt64/2 || o.count > math.MaxInt64/2) {
		return o, resp.ErrOutOfRange
	}
	return o, nil
}

// replyRandom replies one random element, or null.
func (c *Ctx) replyRandom(t keyspace.Type) error {
	col, err := c.readCollection(c.Args[1], t)
	if err != nil {
		return err
	}
	if live, err := col.Live(); err != nil || live == 0 {
		c.Out.Null()
		return err
	}
	element, _, err := col.Random(nil, nil)
	if err != nil {
		return err
	}
	c.Out.Bulk(element)
	return nil
}

// replyRandoms replies random elements: all different for a count above zero, with
// repetition below. value replies an element's value.
func (c *Ctx) replyRandoms(t keyspace.Type, o randomOptions, value func(v []byte) error) error {
	col, err := c.readCollection(c.Args[1], t)
	if err != nil {
		return err
	}
	live, err := col.Live()
	if err != nil {
		return err
	}
	if live == 0 || o.count == 0 {
		c.Out.Array(0)
		return nil
	}
	n := -o.count
	if o.count > 0 {
		n = min(o.count, live)
	}
	switch pairs := o.withWord && c.Out.Proto >= 3; {
	case n > math.MaxInt32:
		return resp.ErrOutOfRange
	case o.withWord && !pairs:
		c.Out.Array(int(2 * n))
	default:
		c.Out.Array(int(n))
	}
	reply := func(e, v []byte) error {
		if !o.withWord {
			c.Out.Bulk(e)
			return nil
		}
		if c.Out.Proto >= 3 {
			c.Out.Array(2)
		}
		c.Out.Bulk(e)
		return value(v)
	}
	if o.count > 0 {
		return sample(&col, live, n, reply)
	}
	most := c.MaxReply
	if most <= 0 {
		most = int64(len(c.Out.Buf)) + maxRepeated
	}
	var e, v []byte
	for range n {
		if e, v, err = col.Random(e[:0], v[:0]); err != nil {
			return err
		}
		if err := reply(e, v); err != nil {
			return err
		}
		if c.Out.Full() {
			return nil
		}
		if int64(len(c.Out.Buf)) > most {
			return ErrReplyTooLong
		}
	}
	return nil
}

// maxRepeated bounds such a reply, in bytes, where nothing else does: a count of 2^31 would
// take all memory, and go on when the client has gone and the node is to stop. A variable
// for the tests.
var maxRepeated int64 = 512 << 20

// ErrReplyTooLong ends a command whose reply is as long as it likes: elements with
// repetition. The client that asked is cut, as in Redis.
const ErrReplyTooLong resp.Error = "ERR The reply is longer than the limit of the client's output"

// sample calls emit for n different elements of a collection that has as many, of live
// ones.
func sample(col *keyspace.Collection, live, n int64, emit func(element, value []byte) error) error {
	if n == live {
		var failed error
		err := col.Each(func(e, v []byte) bool {
			failed = emit(e, v)
			return failed == nil
		})
		return errors.Join(err, failed)
	}
	if col.Inline() || n > live/3 {
		return sampleAll(col, n, emit)
	}
	seen := make(map[string]struct{}, n)
	var e, v []byte
	for int64(len(seen)) < n {
		var err error
		if e, v, err = col.Random(e[:0], v[:0]); err != nil {
			return err
		}
		if _, again := seen[string(e)]; again {
			continue
		}
		seen[string(e)] = struct{}{}
		if err := emit(e, v); err != nil {
			return err
		}
	}
	return nil
}

// sampleAll goes over the whole collection, and keeps n elements of it with even
// chances (Vitter's algorithm R).
func sampleAll(col *keyspace.Collection, n int64, emit func(element, value []byte) error) error {
	type pair struct{ element, value []byte }
	kept := make([]pair, 0, n)
	met := int64(0)
	err := col.Each(func(e, v []byte) bool {
		met++
		if int64(len(kept)) < n {
			kept = append(kept, pair{append([]byte(nil), e...), append([]byte(nil), v...)})
		} else if at := rand.Int64N(met); at < n {
			kept[at] = pair{append(kept[at].element[:0], e...), append(kept[at].value[:0], v...)}
		}
		return true
	})
	if err != nil {
		return err
	}
	rand.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
	for _, p := range kept {
		if err := emit(p.element, p.value); err != nil {
			return err
		}
	}
	return nil
}
