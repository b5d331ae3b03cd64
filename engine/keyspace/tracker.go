package keyspace

import (
	"math/rand/v2"
	"sync/atomic"
)

// Tracker keeps, for all keyspaces that share it, what an eviction policy goes by: when
// keys were last used, or how often. It is in memory, bounded, and costs a read nothing
// while no policy wants it. The zero value keeps nothing.
//
// Keys are known by their hashes, in buckets of a few words that make room for each
// other: a key that is not found there was not used lately, as far as is known. An
// access writes one word, without a lock; two at once may lose one of them.
//
// The figures are this node's: neither what was read on another node of a cluster nor
// what was before the start is in them.
type Tracker struct {
	clocks atomic.Pointer[clocks]
}

// Tracking is what a Tracker keeps.
type Tracking uint8

// TrackNone keeps nothing, TrackTimes when a key was used last (LRU), TrackUses how
// often (LFU).
const (
	TrackNone Tracking = iota
	TrackTimes
	TrackUses
)

// clocks is a table of words:
//
//	tag 8 | seconds 24              TrackTimes: since the table was made, and 1; they wrap around
//	tag 8 | minutes 16 | counter 8  TrackUses: as in Redis, see Redis's documentation of LFU eviction
//
// A word of 0 is free. The tag is of the hash, so that keys of a bucket can be told
// apart.
type clocks struct {
	kind    Tracking
	startMS int64
	words   []atomic.Uint32

	logFactor, decayMinutes atomic.Int64
}

const (
	bucketWords = 4
	tagShift    = 24
	clockMask   = 1<<tagShift - 1
	counterMask = 0xff
	minuteShift = 8
	minuteMask  = 0xffff
	// newCounter is what a new key's counter starts with, so that it is not evicted
	// before it could be used.
	newCounter = 5

	minTrackerWords = 1 << 16
	maxTrackerWords = 1 << 24
)

// Track says what is kept from now on, in a table of that many bytes, roughly. What was
// kept stays when only the size differs.
func (t *Tracker) Track(kind Tracking, bytes, nowMS int64) {
	old := t.clocks.Load()
	switch {
	case kind == TrackNone:
		t.clocks.Store(nil)
		return
	case old != nil && old.kind == kind:
		return
	}
	words := minTrackerWords
	for words < maxTrackerWords && int64(words)*8 <= bytes {
		words *= 2
	}
	c := &clocks{kind: kind, startMS: nowMS, words: make([]atomic.Uint32, words)}
	c.logFactor.Store(10)
	c.decayMinutes.Store(1)
	t.clocks.Store(c)
}

// SetLFU sets lfu-log-factor and lfu-decay-time (minutes; 0: counters never fall).
func (t *Tracker) SetLFU(logFactor, decayMinutes int64) {
	if c := t.clocks.Load(); c != nil {
		c.logFactor.Store(logFactor)
		c.decayMinutes.Store(decayMinutes)
	}
}

// Kind is what is kept.
func (t *Tracker) Kind() Tracking {
	if c := t.clocks.Load(); c != nil {
		return c.kind
	}
	return TrackNone
}

// Bytes is the memory that the table takes.
func (t *Tracker) Bytes() int64 {
	if c := t.clocks.Load(); c != nil {
		return int64(len(c.words)) * 4
	}
	return 0
}

// SetTracker is called before the keyspace is used; without it nothing is tracked.
func (ks *Keyspace) SetTracker(t *Tracker) { ks.tracker = t }

// clocks returns the table, nil when there is none.
func (ks *Keyspace) clocks() *clocks {
	if ks.tracker == nil {
		return nil
	}
	return ks.tracker.clocks.Load()
}

// bucket returns the words that a hash may be in, and its tag. The tag is never 0.
func (c *clocks) bucket(hash uint64) (words []atomic.Uint32, tag uint32) {
	at := int(hash) & (len(c.words) - 1) &^ (bucketWords - 1)
	return c.words[at : at+bucketWords : at+bucketWords], uint32(hash>>56) | 1
}

func find(words []atomic.Uint32, tag uint32) (i int, word uint32) {
	for i := range words {
		if w := words[i].Load(); w != 0 && w>>tagShift == tag {
			return i, w & clockMask
		}
	}
	return -1, 0
}

// touch notes a use of a key; created: it was not there before.
func (c *clocks) touch(hash uint64, nowMS int64, created bool) {
	words, tag := c.bucket(hash)
	i, word := find(words, tag)
	var now uint32
	switch {
	case c.kind == TrackTimes:
		now = c.second(nowMS)
	case created:
		now = minute(nowMS)<<minuteShift | newCounter
	default:
		now = minute(nowMS)<<minuteShift | c.more(c.counter(i, word, nowMS))
	}
	if i < 0 {
		i = c.oldest(words, nowMS)
	} else if word == now {
		return // most uses find the second there
	}
	words[i].Store(tag<<tagShift | now)
}

// oldest returns the word of a bucket that is least worth keeping.
func (c *clocks) oldest(words []atomic.Uint32, nowMS int64) (oldest int) {
	most := int64(-1)
	for i := range words {
		word := words[i].Load()
		if word == 0 {
			return i
		}
		worth := int64(0)
		if c.kind == TrackTimes {
			worth = c.idle(word&clockMask, nowMS)
		} else {
			worth = counterMask - int64(c.counter(i, word&clockMask, nowMS))
		}
		if worth > most {
			oldest, most = i, worth
		}
	}
	return oldest
}

// second is the time as words of TrackTimes have it.
func (c *clocks) second(nowMS int64) uint32 {
	return uint32((nowMS-c.startMS)/1000+1) & clockMask
}

// idle is how many seconds ago a word of TrackTimes was written.
func (c *clocks) idle(word uint32, nowMS int64) int64 {
	return int64((c.second(nowMS) - word) & clockMask)
}

func minute(nowMS int64) uint32 { return uint32(nowMS/60_000) & minuteMask }

// counter is the counter of the word that find has returned, less what time has taken.
func (c *clocks) counter(i int, word uint32, nowMS int64) uint32 {
	n := word & counterMask
	decay := c.decayMinutes.Load()
	if i < 0 || decay <= 0 {
		return n
	}
	periods := int64((minute(nowMS)-word>>minuteShift)&minuteMask) / decay
	return uint32(max(int64(n)-periods, 0))
}

// more counts a use, the less likely the more there were.
func (c *clocks) more(n uint32) uint32 {
	if n == counterMask {
		return n
	}
	base := float64(max(int64(n)-newCounter, 0))
	if rand.Float64() < 1/(base*float64(c.logFactor.Load())+1) {
		n++
	}
	return n
}

// idleOf is for how many seconds a key was not used; since the table was made when it
// is not known.
func (c *clocks) idleOf(hash uint64, nowMS int64) int64 {
	words, tag := c.bucket(hash)
	if i, word := find(words, tag); i >= 0 {
		return c.idle(word, nowMS)
	}
	return max((nowMS-c.startMS)/1000, 0) + 1
}

// usesOf is a key's counter; 0 when it is not known.
func (c *clocks) usesOf(hash uint64, nowMS int64) int64 {
	words, tag := c.bucket(hash)
	i, word := find(words, tag)
	return int64(c.counter(i, word, nowMS))
}

// set writes a key's word.
func (c *clocks) set(hash uint64, nowMS int64, word uint32) {
	words, tag := c.bucket(hash)
	i, _ := find(words, tag)
	if i < 0 {
		i = c.oldest(words, nowMS)
	}
	words[i].Store(tag<<tagShift | word&clockMask)
}

// touch notes a use of a key for whoever asks: OBJECT IDLETIME, and eviction.
func (ks *Keyspace) touch(hash uint64, nowMS int64, created bool) {
	if c := ks.clocks(); c != nil {
		c.touch(hash, nowMS, created)
		return
	}
	ks.access.touch(hash, nowMS)
}

// Idle returns for how many seconds the key has not been used, at least: see
// accessTable.
func (tx *Tx) Idle(e *Entry) int64 {
	if c := tx.ks.clocks(); c != nil && c.kind == TrackTimes {
		return c.idleOf(e.hash, tx.now)
	}
	return tx.ks.access.idle(e.hash, tx.now)
}

// SetIdle has Idle say that the key was last used that many seconds ago.
func (tx *Tx) SetIdle(e *Entry, seconds int64) {
	if c := tx.ks.clocks(); c != nil {
		if c.kind == TrackTimes {
			c.set(e.hash, tx.now, c.second(tx.now)-uint32(min(seconds, clockMask-1)))
		}
		return
	}
	tx.ks.access.setIdle(e.hash, tx.now, seconds)
}

// Uses returns how often the key was used, as OBJECT FREQ tells it, from 0 to 255.
// tracked is false when a policy that needs it is not in force.
func (tx *Tx) Uses(e *Entry) (n int64, tracked bool) {
	c := tx.ks.clocks()
	if c == nil || c.kind != TrackUses {
		return 0, false
	}
	return c.usesOf(e.hash, tx.now), true
}

// SetUses has Uses say n, if it says anything.
func (tx *Tx) SetUses(e *Entry, n int64) {
	if c := tx.ks.clocks(); c != nil && c.kind == TrackUses {
		c.set(e.hash, tx.now, minute(tx.now)<<minuteShift|uint32(min(n, counterMask)))
	}
}
