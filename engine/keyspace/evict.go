package keyspace

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"

	"dkv/engine"
)

// Policy says which keys make room for others, as maxmemory-policy names it
// (https://redis.io/docs/reference/eviction/).
type Policy uint8

// The policies of Redis.
const (
	NoEviction Policy = iota
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
	VolatileLRU
	VolatileLFU
	VolatileRandom
	VolatileTTL
)

var policyNames = [...]string{"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random",
	"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}

// ParsePolicy is the inverse of String.
func ParsePolicy(s string) (Policy, error) {
	if i := slices.Index(policyNames[:], s); i >= 0 {
		return Policy(i), nil
	}
	return 0, fmt.Errorf("keyspace: no eviction policy %q", s)
}

// String returns the policy's name.
func (p Policy) String() string { return policyNames[p] }

// Volatile reports whether only keys with an expiry go.
func (p Policy) Volatile() bool { return p >= VolatileLRU }

// Tracking is what the policy needs to know of keys.
func (p Policy) Tracking() Tracking {
	switch p {
	case AllKeysLRU, VolatileLRU:
		return TrackTimes
	case AllKeysLFU, VolatileLFU:
		return TrackUses
	}
	return TrackNone
}

// Victim is a key that may make room.
type Victim struct {
	DB    int // logical
	Key   []byte
	Bytes int64 // about what it takes, see Sampler.MeanBytes
	score uint64
}

// Sampler looks for keys to evict, and by the way learns how large keys are. It reads
// the keys of a shard in short runs: where a run ended the next one goes on, and every
// now and then one starts at a random place. So in time each key has its turn, as with
// the random choice that Redis makes, and a key costs a step of an iterator instead of
// a seek. It belongs to one goroutine.
type Sampler struct {
	// where the next run starts
	db     physical
	slot   Slot
	after  []byte // in slot, nil: its start
	runs   int    // left until a random place
	ttl    []byte // the key of the expiry index that volatile-ttl goes on from
	ttlAt  int64  // when it was last taken back to the start, ms
	volume [meanRuns]volume
	filled int // of volume
	next   int

	found []Victim
}

// volume is what a run has seen.
type volume struct{ keys, bytes int64 }

const (
	// runKeys is the most keys of a run.
	runKeys = 64
	// maxRunLooks bounds what is passed by in a run, for keys with an expiry.
	maxRunLooks = 16 * runKeys
	// meanRuns is how many of the latest runs MeanBytes goes by.
	meanRuns = 128
	// denseExpires: where one key in so many has an expiry, those are looked for among
	// all keys, otherwise in the expiry index.
	denseExpires = 8
	// ttlRestart is how long, in ms, volatile-ttl goes on from where it was, behind
	// the tombstones that it has left.
	ttlRestart = 1000
	// sampledElements is how many elements of a collection say how large all are.
	sampledElements = 8
	// keyOverhead is about what a record costs beside its name and value.
	keyOverhead = 24
)

// MeanBytes is about what a key of those that were seen lately takes, 0 when none was.
func (s *Sampler) MeanBytes() float64 {
	var sum volume
	for _, v := range s.volume[:s.filled] {
		sum.keys += v.keys
		sum.bytes += v.bytes
	}
	if sum.keys == 0 {
		return 0
	}
	return float64(sum.bytes) / float64(sum.keys)
}

func (s *Sampler) saw(keys, bytes int64) {
	if keys == 0 {
		return
	}
	s.volume[s.next] = volume{keys, bytes}
	s.next = (s.next + 1) % meanRuns
	s.filled = min(s.filled+1, meanRuns)
}

// Look reads a run of keys for MeanBytes.
func (s *Sampler) Look(tx *Tx) error {
	s.found = s.found[:0]
	return s.run(tx, NoEviction, runKeys)
}

// Victims returns up to want keys to evict, the best first, out of samples times as
// many that it looks at; none when the policy finds none. They are valid until the next
// call.
func (s *Sampler) Victims(tx *Tx, p Policy, want, samples int) ([]Victim, error) {
	s.found = s.found[:0]
	if p == NoEviction {
		return nil, nil
	}
	if p == VolatileTTL {
		err := s.nearest(tx, want)
		return s.found, err
	}
	total, empty := want*max(samples, 1), 0
	for len(s.found) < total && empty < 4 {
		before := len(s.found)
		run := s.run
		if p.Volatile() && tx.ks.sparse() {
			run = s.indexRun
		}
		if err := run(tx, p, min(runKeys, total-before)); err != nil {
			return nil, err
		}
		if len(s.found) == before {
			empty++
		}
	}
	slices.SortFunc(s.found, func(a, b Victim) int { return cmp.Compare(b.score, a.score) })
	// A small database is met more than once.
	seen := make(map[string]struct{}, want)
	s.found = slices.DeleteFunc(s.found, func(v Victim) bool {
		if len(seen) == want {
			return true
		}
		name := string(append(v.Key, byte(v.DB)))
		_, again := seen[name]
		seen[name] = struct{}{}
		return again
	})
	return s.found, nil
}

// sparse reports whether few keys have an expiry.
func (ks *Keyspace) sparse() bool {
	var sum count
	for i := range ks.counts {
		c := ks.counts[i].load()
		sum.keys += c.keys
		sum.expires += c.expires
	}
	return sum.expires*denseExpires < sum.keys
}

// place chooses where to start: a database, by how many keys it has, and a slot.
func (s *Sampler) place(ks *Keyspace) bool {
	var all int64
	for i := range ks.counts {
		all += max(ks.counts[i].keys.Load(), 0)
	}
	if all == 0 {
		return false
	}
	n := rand.Int64N(all)
	for i := range ks.counts {
		keys := max(ks.counts[i].keys.Load(), 0)
		if n < keys {
			s.db, s.slot, s.after = physical(i), Slot(rand.IntN(SlotCount)), nil
			// On the average a run more than the keys of a slot, so that no place
			// in a slot is met more often than another.
			s.runs = 1 + rand.IntN(int(2*keys/SlotCount/runKeys)+8)
			return true
		}
		n -= keys
	}
	return false
}

// run reads up to want keys that the policy may take. The end of a database is followed
// by its start.
func (s *Sampler) run(tx *Tx, p Policy, want int) error {
	if s.runs <= 0 && !s.place(tx.ks) {
		return nil
	}
	s.runs--
	w, err := tx.walk(s.db, walkOptions{first: s.slot, last: SlotCount - 1, after: s.after})
	if err != nil {
		return err
	}
	m, err := tx.openView()
	if err != nil {
		return cmp.Or(w.close(), err)
	}
	var keys, sum int64
	limit := len(s.found) + want
	for looks := 0; looks < maxRunLooks && len(s.found) < limit; looks++ {
		if !w.next() {
			s.slot, s.after = 0, nil
			break
		}
		s.slot, s.after = w.slot, append(s.after[:0], w.key...)
		meta, err := w.meta()
		if err != nil {
			w.err = err
			break
		}
		size, err := tx.sizeOf(s.db, w.slot, w.key, &meta)
		if err != nil {
			w.err = err
			break
		}
		keys, sum = keys+1, sum+size
		if p.Volatile() && meta.ExpireAt == 0 {
			continue
		}
		s.found = append(s.found, Victim{
			DB: m.logicalOf(s.db), Key: bytes.Clone(w.key), Bytes: size, score: tx.worthless(p, w.key),
		})
	}
	s.saw(keys, sum)
	return w.close()
}

// worthless is the higher the sooner a key goes. Keys that are equal to the policy go in
// any order.
func (tx *Tx) worthless(p Policy, key []byte) uint64 {
	worth := uint64(0)
	c := tx.ks.clocks()
	if c != nil && c.kind == p.Tracking() {
		switch hash := tx.ks.hash(key); c.kind {
		case TrackTimes:
			worth = uint64(c.idleOf(hash, tx.now))
		case TrackUses:
			worth = counterMask - uint64(c.usesOf(hash, tx.now))
		}
	}
	return worth<<32 | uint64(rand.Uint32())
}

// indexRun is run over the expiry index, from a random time between the first and the
// last on.
func (s *Sampler) indexRun(tx *Tx, p Policy, want int) error {
	it, err := tx.r.NewIter(engine.IterOptions{Lower: appendExpiryBound(nil, 0), Upper: []byte{kindExpiry + 1}, KeysOnly: true})
	if err != nil {
		return fmt.Errorf("keyspace: iterate expiry index: %w", err)
	}
	err = s.fromIndex(tx, p, it, want)
	if closeErr := it.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("keyspace: iterate expiry index: %w", closeErr)
	}
	return err
}

func (s *Sampler) fromIndex(tx *Tx, p Policy, it engine.Iterator, want int) error {
	if !it.Last() {
		return it.Err()
	}
	last, _, _, _, err := parseExpiryKey(it.Key())
	if err != nil || !it.First() {
		return cmp.Or(err, it.Err())
	}
	first, _, _, _, err := parseExpiryKey(it.Key())
	if err != nil {
		return err
	}
	ok := it.SeekGE(appendExpiryBound(nil, first+rand.Int64N(max(last-first, 0)+1)))
	limit := len(s.found) + want
	wrapped := false
	for looks := 0; looks < maxRunLooks && len(s.found) < limit; looks, ok = looks+1, it.Next() {
		if !ok {
			if wrapped || it.Err() != nil {
				return it.Err()
			}
			wrapped = true
			if ok = it.First(); !ok {
				return it.Err()
			}
		}
		if err := s.candidate(tx, p, it.Key()); err != nil {
			return err
		}
	}
	return it.Err()
}

// candidate takes the key of an index record, if it is the key's own expiry.
func (s *Sampler) candidate(tx *Tx, p Policy, indexKey []byte) error {
	expireAt, db, slot, key, err := parseExpiryKey(indexKey)
	if err != nil {
		return err
	}
	m, err := tx.openView()
	if err != nil {
		return err
	}
	v := Victim{DB: m.logicalOf(db), Key: bytes.Clone(key)}
	e, err := tx.find(v.DB, v.Key, &tx.value)
	if err != nil || !e.stored || e.was.ExpireAt != expireAt {
		return err
	}
	if v.Bytes, err = tx.sizeOf(db, slot, v.Key, &e.Meta); err != nil {
		return err
	}
	v.score = tx.worthless(p, v.Key)
	s.found = append(s.found, v)
	return nil
}

// nearest finds the keys whose time comes first, which the expiry index has in that
// order.
func (s *Sampler) nearest(tx *Tx, want int) error {
	if tx.now-s.ttlAt > ttlRestart || tx.now < s.ttlAt {
		s.ttl, s.ttlAt = nil, tx.now
	}
	o := engine.IterOptions{Lower: s.ttl, Upper: []byte{kindExpiry + 1}, KeysOnly: true}
	if s.ttl == nil {
		o.Lower = appendExpiryBound(nil, 0)
	}
	it, err := tx.r.NewIter(o)
	if err != nil {
		return fmt.Errorf("keyspace: iterate expiry index: %w", err)
	}
	ok := it.First()
	for looks := 0; ok && looks < maxRunLooks+want && len(s.found) < want && err == nil; looks, ok = looks+1, it.Next() {
		s.ttl = append(s.ttl[:0], it.Key()...)
		err = s.candidate(tx, VolatileTTL, it.Key())
	}
	err = cmp.Or(err, it.Err())
	if !ok {
		s.ttl = nil // what is there now may be nearer
	}
	if closeErr := it.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("keyspace: iterate expiry index: %w", closeErr)
	}
	return err
}

// sizeOf is about what a key takes: its records, as they are before compression, and
// what each costs beside. A collection's is estimated by its first elements.
func (tx *Tx) sizeOf(db physical, slot Slot, key []byte, m *Meta) (int64, error) {
	size := int64(keyOverhead + metaKeyHeader + len(key) + len(m.Body))
	if m.ExpireAt != 0 {
		size += int64(keyOverhead + expiryKeyHeader + len(key))
	}
	if m.Type == TypeString || m.Type == TypeNone {
		return size, nil
	}
	h, _, err := parseHead(m.Type, m.Body)
	if err != nil || !h.separate {
		return size, err
	}
	if h.away {
		slot = h.home
	}
	prefix := appendPrefix(nil, kindElement, db, slot, m.Version)
	it, err := tx.r.NewIter(engine.IterOptions{Lower: prefix, Upper: appendPrefix(nil, kindElement, db, slot, m.Version+1)})
	if err != nil {
		return 0, fmt.Errorf("keyspace: iterate elements: %w", err)
	}
	var n, sum int64
	ok := it.First()
	for ; ok && n < sampledElements; ok = it.Next() {
		var value []byte
		if value, err = it.Value(); err != nil {
			break
		}
		n++
		sum += int64(keyOverhead + len(it.Key()) + len(value))
		if m.Type == TypeZSet {
			sum += int64(keyOverhead + len(it.Key()) + scoreBytes)
		}
	}
	err = cmp.Or(err, it.Err(), it.Close())
	if err != nil {
		return 0, fmt.Errorf("keyspace: iterate elements: %w", err)
	}
	if n > 0 && ok {
		sum = int64(float64(sum) / float64(n) * float64(max(h.size, uint64(n))))
	}
	return size + sum, nil
}

// Evict deletes a key to make room, within a write Tx, unless it is not there any more,
// or is to have an expiry and has none. Like a deletion by a client it is an effect,
// which is logged, and watched.
func (tx *Tx) Evict(db int, key []byte, volatile bool) (evicted bool, err error) {
	e, err := tx.find(db, key, &tx.value)
	if err != nil || !e.stored || volatile && e.was.ExpireAt == 0 {
		return false, err
	}
	if !e.Exists() {
		tx.Delete(&e) // its time has come anyway
		return false, nil
	}
	tx.Note(ClassEvicted, "evicted", db, key)
	tx.remove(&e)
	return true, nil
}

// EachRange calls f with ranges of the engine's keys, in parts, that together hold all
// keys of the databases that have some: for whoever rewrites a store bit by bit.
func (ks *Keyspace) EachRange(parts int, f func(lower, upper []byte) error) error {
	for i := range ks.counts {
		if ks.counts[i].keys.Load() == 0 {
			continue
		}
		for _, kind := range [...]byte{kindElement, kindMeta, kindScore} {
			for part := range parts {
				bound := func(n int) []byte {
					at := n * SlotCount / parts
					return []byte{kind, byte(i), byte(at >> 8), byte(at)}
				}
				if err := f(bound(part), bound(part+1)); err != nil {
					return err
				}
			}
		}
	}
	return f([]byte{kindExpiry}, []byte{kindExpiry + 1})
}

// Large reports whether the batch has grown enough for a task of this kind, as Reap has
// it: an evicted key may be a collection with a thousand elements to delete.
func (tx *Tx) Large() bool { return tx.ov.Batch().Len() >= maxReapBytes }
