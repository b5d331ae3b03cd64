package hot

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// runs keeps ranges of keys that are read again and again as a whole, decoded and in
// order: what an iterator would go over, so that it costs neither an iterator of the
// engine nor a merge of generations.
//
// Keys belong to groups (Options.Group), the collections of the keyspace. A range that
// lies in one group stays what it was until a record of the group is written, so all
// that a write has to do is to leave its number with the group. Groups share places by
// their hash: a collision costs a run that was still good.
type runs struct {
	group func(key []byte) int
	seed  maphash.Seed
	// changed is the number of the last write to the groups of a place, wide that of
	// the last delete-range over more than one group. Invariant: they are set before
	// the write becomes visible.
	changed [runPlaces]atomic.Uint64
	wide    atomic.Uint64
	parts   [runParts]runPart
}

const (
	runPlaces = 4096 // a power of two
	runParts  = 16   // a power of two
	runAsked  = 64   // of a part; a power of two

	// runShare: an eighth of the memory for clean records is for runs.
	runShare = 8
	// A run takes up to maxRunBytes, and up to a quarter of what its part may take.
	maxRunBytes = 64 << 10
	runFraction = 4
	// runOverhead is what a run takes beside its bytes, about.
	runOverhead = 256
)

// runPart is the runs of some ranges, by hash.
type runPart struct {
	mu sync.Mutex
	// byRange has the runs by the hash of their bounds, two ranges of one hash share
	// the place. first is the last that was used.
	byRange     map[uint64]*run
	first, last *run
	bytes       int
	limit       int
	// asked are ranges that were read of late and have no run.
	asked [runAsked]askedFor

	hits, evictions uint64
}

// askedFor is a range that was read, and when.
type askedFor struct{ hash, seq uint64 }

// run is a range of keys in one state. It does not change but for its place among
// the others.
type run struct {
	rangeID
	// seq is the state that it was read in.
	seq uint64
	// data has keys and values one after the other, ends where each ends.
	data []byte
	ends []uint32

	prev, next *run // guarded by the part's mu
}

// rangeID says which range a run is of.
type rangeID struct {
	lower, upper []byte
	keysOnly     bool
	hash         uint64
	place        uint32 // of the group
}

func (r *run) len() int { return len(r.ends) / 2 }

func (r *run) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return r.ends[2*i-1]
}

func (r *run) key(i int) []byte {
	from, to := r.start(i), r.ends[2*i]
	return r.data[from:to:to]
}

func (r *run) value(i int) []byte {
	from, to := r.ends[2*i], r.ends[2*i+1]
	return r.data[from:to:to]
}

func (r *run) size() int {
	return runOverhead + len(r.lower) + len(r.upper) + len(r.data) + 4*len(r.ends)
}

func (r *run) is(id *rangeID) bool {
	return r.keysOnly == id.keysOnly && bytes.Equal(r.lower, id.lower) && bytes.Equal(r.upper, id.upper)
}

// init gives the runs so many bytes; without groups or room there are none.
func (x *runs) init(group func(key []byte) int, seed maphash.Seed, limit int) {
	if group == nil || limit/runParts < 2*runOverhead {
		return
	}
	x.group, x.seed = group, seed
	for i := range x.parts {
		x.parts[i].limit = limit / runParts
	}
}

// note is told of each write of a key, before it is visible.
func (x *runs) note(seq uint64, key []byte) {
	if x.group == nil {
		return
	}
	if n := x.group(key); n != 0 {
		x.changed[x.placeOf(key[:n])].Store(seq)
	}
}

// noteRange is note for a range that is deleted.
func (x *runs) noteRange(seq uint64, lower, upper []byte) {
	if x.group == nil {
		return
	}
	if n := x.groupOf(lower, upper); n != 0 {
		x.changed[x.placeOf(lower[:n])].Store(seq)
		return
	}
	x.wide.Store(seq)
}

func (x *runs) placeOf(group []byte) uint32 {
	return uint32(maphash.Bytes(x.seed, group)) % runPlaces
}

// groupOf returns how long the name of the group is that a range lies in; 0: in more
// than one, or none.
func (x *runs) groupOf(lower, upper []byte) int {
	n := x.group(lower)
	if n == 0 || endsWithin(lower[:n], upper) {
		return n
	}
	return 0
}

// follows reports whether b is the first key behind all that begin with prefix.
func follows(b, prefix []byte) bool {
	n := len(prefix)
	for n > 0 && prefix[n-1] == 0xff {
		n--
	}
	if n == 0 || len(b) < n || b[n-1] != prefix[n-1]+1 || !bytes.Equal(b[:n-1], prefix[:n-1]) {
		return false
	}
	for _, c := range b[n:] {
		if c != 0 {
			return false
		}
	}
	return len(b) <= len(prefix)
}

// find returns the run of a range as it is in the state seq. When there is none, but
// the range was read not long ago and has stayed the same, wanted is true: whoever
// reads it now may put it here.
func (x *runs) find(id *rangeID, lower, upper []byte, keysOnly bool, seq uint64) (r *run, wanted bool) {
	if x.group == nil || len(lower) == 0 || len(upper) == 0 {
		return nil, false
	}
	n := x.groupOf(lower, upper)
	if n == 0 {
		return nil, false
	}
	id.lower, id.upper, id.keysOnly = lower, upper, keysOnly
	id.hash = maphash.Bytes(x.seed, lower) + 31*maphash.Bytes(x.seed, upper)
	id.place = x.placeOf(lower[:n])
	p := x.part(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	// Now, not sooner: a run that was put here since could be of a later state than what
	// had been written then.
	changed := max(x.changed[id.place].Load(), x.wide.Load())
	if r = p.byRange[id.hash]; r != nil && r.is(id) {
		// Of the two states there has been no write since the earlier one.
		if changed <= min(r.seq, seq) {
			p.use(r)
			p.hits++
			return r, false
		}
		if changed > r.seq {
			p.remove(r)
		}
	}
	a := &p.asked[id.hash/runParts%runAsked]
	if a.hash == id.hash && changed <= min(a.seq, seq) {
		return nil, true
	}
	*a = askedFor{id.hash, seq}
	return nil, false
}

func (x *runs) part(id *rangeID) *runPart { return &x.parts[id.hash%runParts] }

// room returns how many bytes a run of a range may have.
func (x *runs) room(id *rangeID) int {
	return min(maxRunBytes, x.part(id).limit/runFraction) - runOverhead
}

// put keeps a run, in place of those that were not used for longest.
func (x *runs) put(r *run) {
	p := x.part(&r.rangeID)
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.byRange[r.hash]; old != nil {
		p.remove(old)
	}
	for p.last != nil && p.bytes+r.size() > p.limit {
		p.remove(p.last)
		p.evictions++
	}
	if p.bytes+r.size() > p.limit {
		return
	}
	if p.byRange == nil {
		p.byRange = make(map[uint64]*run)
	}
	p.byRange[r.hash] = r
	p.bytes += r.size()
	p.link(r)
}

// use makes a run the last that was used.
func (p *runPart) use(r *run) {
	if p.first != r {
		p.unlink(r)
		p.link(r)
	}
}

func (p *runPart) remove(r *run) {
	delete(p.byRange, r.hash)
	p.bytes -= r.size()
	p.unlink(r)
}

func (p *runPart) link(r *run) {
	if r.next = p.first; r.next == nil {
		p.last = r
	} else {
		r.next.prev = r
	}
	p.first = r
}

func (p *runPart) unlink(r *run) {
	if r.prev == nil {
		p.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		p.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

func (x *runs) addTo(m *Metrics) {
	for i := range x.parts {
		p := &x.parts[i]
		p.mu.Lock()
		m.Capacity += uint64(p.limit)
		m.Bytes += uint64(p.bytes)
		m.Runs += uint64(len(p.byRange))
		m.RunBytes += uint64(p.bytes)
		m.RunHits += p.hits
		m.Evictions += p.evictions
		p.mu.Unlock()
	}
}
