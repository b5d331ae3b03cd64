package keyspace

import "sort"

// scoreQueue holds the members of a sorted set that pops take next, in their order,
// as they were found by one walk. Without it each pop of a batch, and each batch, would
// seek them again, past what was popped before.
//
// Invariant: what is left of it are the first members of the set, from the end that it
// is popped at, in the state of the write Tx. So each score record that is written or
// deleted cuts the queue there (see scoreChanged), and it is forgotten when a change is
// undone, or others may have changed the set.
type scoreQueue struct {
	version Version
	highest bool
	all     []queuedScore
	next    int    // of all
	buf     []byte // what score keys have behind their prefix
	// window is how many members the next walk finds beyond those that are popped at
	// once: more, as long as they are popped before something cuts the queue.
	window int
}

type queuedScore struct {
	start, end int // of the record's key, in buf
	score      float64
}

// scoreQueues are the queues of sorted sets that were popped of late, by their version.
type scoreQueues [16]scoreQueue

const (
	// maxQueuedBytes is how much a queue has of members beyond those that are popped at
	// once, and the memory that it keeps.
	maxQueuedBytes = 16 << 10
	// maxScoreFill is how many members are taken from one walk.
	maxScoreFill = 1024
)

func (qs *scoreQueues) of(v Version) *scoreQueue { return &qs[v%Version(len(qs))] }

func (qs *scoreQueues) forget() {
	for i := range qs {
		qs[i].begin(0, false)
	}
}

// forgetPops forgets what pops would take next.
func (ks *Keyspace) forgetPops() {
	ks.popped.forget()
	ks.scores.forget()
}

// begin makes it the empty queue of a set.
func (q *scoreQueue) begin(v Version, highest bool) {
	q.version, q.highest, q.window = v, highest, 0
	q.clear()
}

func (q *scoreQueue) clear() {
	q.all, q.buf, q.next = q.all[:0], q.buf[:0], 0
	if cap(q.buf) > 2*maxQueuedBytes || cap(q.all) > maxScoreFill {
		q.all, q.buf = nil, nil
	}
}

// key returns what the score key of a queued member has behind its prefix.
func (q *scoreQueue) key(s queuedScore) []byte { return q.buf[s.start:s.end] }

// cut leaves what comes before a score record that has changed.
func (q *scoreQueue) cut(key []byte) {
	left := q.all[q.next:]
	n := sort.Search(len(left), func(i int) bool {
		if q.highest {
			return string(q.key(left[i])) <= string(key)
		}
		return string(q.key(left[i])) >= string(key)
	})
	if n < len(left) {
		q.all, q.window = q.all[:q.next+n], q.next
	}
}

// scoreChanged is called with what a score key that is written or deleted has behind
// its prefix.
func (c *Collection) scoreChanged(key []byte) {
	if q := c.tx.ks.scores.of(c.Version); q.version == c.Version {
		q.cut(key)
	}
}

// fill finds the members that are popped next, n of them or less.
func (c *Collection) fill(q *scoreQueue, n int64) error {
	q.clear()
	n = min(n, maxScoreFill)
	want := max(int(n), q.window)
	q.window = min(max(2*q.window, 1), popWindow)
	return c.Scores(Place{}, Place{}, q.highest, func(member []byte, score float64) bool {
		if len(q.all) >= int(n) && len(q.buf)+scoreBytes+len(member) > maxQueuedBytes {
			return false
		}
		start := len(q.buf)
		q.buf = appendScoreMember(q.buf, score, member)
		q.all = append(q.all, queuedScore{start, len(q.buf), score})
		return len(q.all) < want
	})
}

// popQueued is Pop for a set whose members are records.
func (c *Collection) popQueued(highest bool, n int64, emit func(member []byte, score float64)) error {
	q := c.tx.ks.scores.of(c.Version)
	if q.version != c.Version || q.highest != highest {
		q.begin(c.Version, highest)
	}
	for n > 0 {
		if q.next == len(q.all) {
			if err := c.fill(q, n); err != nil {
				q.begin(0, false)
				return err
			}
			if len(q.all) == 0 {
				return nil
			}
		}
		var last []byte
		for ; n > 0 && q.next < len(q.all); n-- {
			s := q.all[q.next]
			q.next++
			last = q.key(s)
			emit(last[scoreBytes:], s.score)
			c.removeScored(last)
		}
		if err := c.narrow(last, highest); err != nil {
			return err
		}
	}
	if q.next == len(q.all) {
		q.clear()
	}
	return nil
}

// removeScored removes a member that is there, whose score key has key behind its
// prefix: both records.
func (c *Collection) removeScored(key []byte) {
	tx := c.tx
	tx.elem = append(appendPrefix(tx.elem[:0], kindScore, c.db, c.homeSlot(), c.Version), key...)
	tx.ov.Delete(tx.elem)
	c.elementKey(key[scoreBytes:])
	tx.ov.Delete(tx.elem)
	c.dead++
	c.size--
	c.touched, c.dirty = true, true
}

// narrow sets a bound at the last member of a pop, whose score key has suffix behind
// its prefix: all that is left is behind it.
func (c *Collection) narrow(suffix []byte, highest bool) error {
	low, high, err := parseBounds(c.rest)
	if err != nil {
		return err
	}
	var buf [maxBoundBytes]byte
	switch {
	case !highest && len(suffix) < maxBoundBytes:
		low = append(append(buf[:0], suffix...), 0)
	case !highest:
		low = lowBound(suffix)
	case len(suffix) <= maxBoundBytes:
		high = suffix
	default:
		high = highBound(suffix)
	}
	c.setBounds(low, high)
	return nil
}
