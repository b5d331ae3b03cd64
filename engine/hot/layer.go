package hot

import (
	"context"
	"hash/maphash"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"dkv/engine"
)

// Options configures a DB or a Layer.
type Options struct {
	// Bytes bounds the memory of the records that the engine has as well, keys and
	// overhead included.
	Bytes int64

	// What follows is a Layer's.

	// WriteBytes bounds the memory of what was written and the engine does not have
	// yet, but for one batch; default 64 MiB, and no more than that over an engine
	// that is no engine.Loader: it gets half of it as one batch. At half of it a
	// checkpoint begins.
	WriteBytes int64
	// Group returns how many bytes of a key name the group that it belongs to, whose keys
	// are often read together; 0: none. Keys that belong to none are not between those that
	// do. nil: there are no groups.
	Group func(key []byte) int
	// Interval is the longest that a write waits for a checkpoint; default a
	// minute.
	Interval time.Duration
	// Logger receives events; nil is slog.Default().
	Logger *slog.Logger
	// Version returns the version that a key carries, and how long the beginning is
	// that says so: all keys that begin like this carry it. 0: none; nil: no key
	// carries one. See fresh.go.
	Version func(key []byte) (version uint64, prefix int)
	// Versions is a bound: no key that the engine has carries a version above it.
	Versions uint64
}

const (
	defaultWriteBytes = 64 << 20
	minWriteBytes     = 64 << 10
	maxWriteBytes     = 4 << 30
	// maxBatchWriteBytes is the most for an engine that takes batches only.
	maxBatchWriteBytes = 64 << 20
	defaultInterval    = time.Minute

	// A generation takes a spaceShare-th of what is free on the disk at most, but
	// leastGeneration in any case; it is looked at after each spaceEvery bytes.
	spaceShare      = 4
	leastGeneration = 4 << 20
	spaceEvery      = 1 << 20

	// maxRanges is how many delete-ranges make a generation full: reads look for
	// them, and each batch that has one copies the others.
	maxRanges = 2048
)

func (o Options) withDefaults() Options {
	if o.WriteBytes <= 0 {
		o.WriteBytes = defaultWriteBytes
	}
	o.WriteBytes = min(max(o.WriteBytes, minWriteBytes), maxWriteBytes)
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Layer is an engine that takes writes in memory and writes them down to the
// engine below in batches of its own, see the package comment.
type Layer struct {
	below  engine.Engine
	loader engine.Loader     // below, if it is one
	many   engine.ManyGetter // likewise
	o      Options
	seed   maphash.Seed
	table  [stripes]stripe

	// current is replaced when a generation is frozen and when one has been written
	// down; the latter while frozen is not nil only, the former while it is.
	current atomic.Pointer[epoch]
	// visible is the number of the last record of the last whole batch.
	visible atomic.Uint64
	// written is the number of the last generation that the engine has.
	written atomic.Uint64
	// settled counts the times that the engine was about to change, see settleViews.
	settled atomic.Uint64
	views   viewList
	runs    runs

	// apply is held while the active generation is changed, or replaced. Lock
	// order: apply, views.mu; a stripe's lock is taken last.
	apply sync.Mutex

	// Apply's: how large the active generation may be for the disk's sake, and how
	// much was applied since that was looked at.
	space     int64
	sinceLook int
	// versions is the highest version that was written, see Options.Version.
	versions uint64

	closed atomic.Bool
	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	kick   chan struct{} // wakes the goroutine that writes down; has room for one
	done   sync.WaitGroup

	mu struct {
		sync.Mutex
		// changed is closed, and replaced, when a checkpoint has got on or failed.
		changed  chan struct{}
		err      error // of the last try
		failedAt time.Time
		fatal    bool
	}
	troubled atomic.Bool  // mu.err is not nil
	waiting  atomic.Int64 // how many wait for a checkpoint, see writeDown
	paced    uint64       // visible at the last pause of a checkpoint

	counts counters
}

var (
	_ engine.Engine     = (*Layer)(nil)
	_ engine.Rememberer = (*Layer)(nil)
)

// NewLayer puts a layer over e, which Close then closes.
func NewLayer(e engine.Engine, o Options) *Layer {
	l := &Layer{below: e, o: o.withDefaults(), seed: maphash.MakeSeed(), kick: make(chan struct{}, 1)}
	clean := int(max(o.Bytes, 0))
	if o.Group != nil {
		l.runs.init(o.Group, l.seed, clean/runShare)
		clean -= clean / runShare
	}
	for i := range l.table {
		l.table[i].limit = clean / stripes
	}
	if l.loader, _ = e.(engine.Loader); l.loader == nil {
		l.o.WriteBytes = min(l.o.WriteBytes, maxBatchWriteBytes)
	}
	l.many, _ = e.(engine.ManyGetter)
	l.space, l.versions = math.MaxInt64, o.Versions
	l.mu.changed = make(chan struct{})
	l.current.Store(&epoch{active: newGeneration(1, 0, l.versions)})
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.done.Go(l.run)
	return l
}

// Get implements engine.Reader.
func (l *Layer) Get(dst, key []byte) (value []byte, found bool, err error) {
	if l.closed.Load() {
		return dst, false, engine.ErrClosed
	}
	if len(key) == 0 {
		return l.below.Get(dst, key)
	}
	tag := tagOf(maphash.Bytes(l.seed, key))
	s := &l.table[stripeOf(tag)]
	s.mu.Lock()
	value, st := l.lookUp(s, dst, key, tag, l.current.Load(), l.visible.Load())
	gone := s.gone
	s.mu.Unlock()
	if st != unknown {
		return value, st == present, nil
	}
	value, found, err = l.below.Get(dst, key)
	if err == nil {
		s.fillLayer(l, key, value[len(dst):], found, tag, gone)
	}
	return value, found, err
}

// lookUp appends the value that key has at seq to dst, as far as the table knows.
// The stripe is locked.
func (l *Layer) lookUp(s *stripe, dst, key []byte, tag uint32, e *epoch, seq uint64) (value []byte, st state) {
	i := s.find(key, tag, e)
	if i >= 0 {
		switch n := s.slots[i]; n.kind() {
		case kindRing:
			r := s.at(n.pos)
			r.b[7] |= flagRead
			s.hits++
			if r.flags()&flagPresent == 0 || e.deleted(key, seq, s.through) {
				return dst, absent
			}
			return append(dst, r.value()...), present
		case e.active.kind():
			value, st = e.inActive(dst, key, ref(n.pos), seq)
		default:
			value, st = e.inFrozen(dst, key, ref(n.pos), seq)
		}
	}
	if st == unknown && (e.fresh(l.versionOf(key), s.through) || e.deleted(key, seq, s.through)) {
		st = absent
	}
	if st == unknown {
		s.misses++
		return dst, unknown
	}
	s.hits++
	if st == absent {
		value = dst
	}
	return value, st
}

// fillLayer keeps what the engine said after a miss, unless the key has a record
// by now, or may have had one since (then gone has changed).
func (s *stripe) fillLayer(l *Layer, key, value []byte, found bool, tag uint32, gone uint64) {
	size := cachedSize(len(key), len(value))
	s.mu.Lock()
	if s.gone == gone && s.fits(key, size) && s.find(key, tag, l.current.Load()) < 0 {
		s.insert(tag, presence(found), key, value, size)
	}
	s.mu.Unlock()
}

// Apply implements engine.Engine. It waits while the write buffer is full.
func (l *Layer) Apply(repr []byte) error {
	if l.closed.Load() {
		return engine.ErrClosed
	}
	count, err := validate(repr)
	if err != nil || count == 0 {
		return err
	}
	if err := l.waitForRoom(len(repr)); err != nil {
		return err
	}
	l.apply.Lock()
	defer l.apply.Unlock()
	e := l.current.Load() // its active generation stays, slots to the frozen one may go
	h := l.views.horizon(l.visible.Load(), e.active.since)
	records, err := engine.ReadBatch(repr)
	seq := h.visible
	for err == nil {
		kind, key, value, ok, rerr := records.Next()
		if err = rerr; err != nil || !ok {
			break
		}
		seq++
		if kind == engine.KindDeleteRange {
			l.runs.noteRange(seq, key, value)
			e.active.ranges.Add(seq, e.active.copyOf(key), e.active.copyOf(value))
		} else {
			l.versions = max(l.versions, l.versionOf(key))
			l.runs.note(seq, key)
			l.write(e, seq, key, value, kind == engine.KindDelete, h)
		}
	}
	if err != nil {
		return err // validate has seen to it
	}
	g := e.active
	g.ranges.Publish()
	g.index.note(g, g.fresh)
	g.fresh = g.fresh[:0]
	g.batchBytes += len(repr)
	l.mindSpace(len(repr))
	l.visible.Store(seq)
	if l.full(g, 0) && e.frozen == nil {
		l.freezeLocked()
	}
	return nil
}

// validate checks that repr is a batch, and returns the number of its records.
func validate(repr []byte) (uint32, error) {
	r, err := engine.ReadBatch(repr)
	if err != nil {
		return 0, err
	}
	for {
		if _, _, _, ok, err := r.Next(); err != nil || !ok {
			return r.Count(), err
		}
	}
}

// write takes up one record of a batch, which readers do not see yet.
func (l *Layer) write(e *epoch, seq uint64, key, value []byte, deleted bool, h horizon) {
	tag := tagOf(maphash.Bytes(l.seed, key))
	s := &l.table[stripeOf(tag)]
	g := e.active
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(key, tag, e)
	if i < 0 {
		r := g.addRecord(tag, 0, seq, key, value, deleted)
		s.addSlot(slot{tag&tagMask | g.kind()<<tagBits, uint32(r)})
		return
	}
	var below ref
	switch n := s.slots[i]; n.kind() {
	case g.kind():
		g.addVersion(ref(n.pos), seq, value, deleted, h, &s.spare)
		return
	case kindRing:
		// A reader that is not to see the new version asks the engine.
		s.kill(n.pos)
		s.held-- // the slot becomes the generation's
	default:
		below = ref(n.pos)
	}
	r := g.addRecord(tag, below, seq, key, value, deleted)
	s.slots[i] = slot{tag&tagMask | g.kind()<<tagBits, uint32(r)}
}

// full says whether the active generation has no room for a batch of n bytes.
func (l *Layer) full(g *generation, n int) bool {
	return g.size() >= min(l.o.WriteBytes/2, l.space) || g.ranges.Count() >= maxRanges ||
		len(*g.blocks.Load()) >= manyBlocks || g.batchBytes > 0 && g.batchBytes+n > engine.MaxBatchBytes
}

// mindSpace looks at the disk now and then: a generation has to find room there beside
// the log that has it too, and which is not cut before.
func (l *Layer) mindSpace(n int) {
	if l.sinceLook += n; l.loader == nil || l.sinceLook < spaceEvery {
		return
	}
	l.sinceLook, l.space = 0, math.MaxInt64
	if bytes, known := l.loader.Space(); known {
		l.space = max(bytes/spaceShare, leastGeneration)
	}
}

// waitForRoom waits until the active generation has room for a batch, or can be
// replaced.
func (l *Layer) waitForRoom(n int) error {
	began := time.Time{}
	defer func() {
		if !began.IsZero() {
			l.counts.stallNanos.Add(int64(time.Since(began)))
		}
	}()
	for {
		if err := l.stopped(); err != nil {
			return err
		}
		changed := l.changed()
		l.apply.Lock()
		e := l.current.Load()
		room := !l.full(e.active, n)
		if !room && e.frozen == nil {
			l.freezeLocked()
			room = true
		}
		l.apply.Unlock()
		if room {
			return nil
		}
		if began.IsZero() {
			began = time.Now()
			l.counts.stalls.Add(1)
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			return engine.ErrClosed
		}
	}
}

// freezeLocked gives the active generation to be written down. apply is held, and
// there is no other one frozen.
func (l *Layer) freezeLocked() {
	old := l.current.Load().active
	l.current.Store(&epoch{active: newGeneration(old.number+1, l.visible.Load(), l.versions), frozen: old})
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// GetDurable implements engine.Engine: what the engine says.
func (l *Layer) GetDurable(dst, key []byte) (value []byte, found bool, err error) {
	return l.below.GetDurable(dst, key)
}

// Writable implements engine.Engine.
func (l *Layer) Writable() error {
	if l.closed.Load() {
		return engine.ErrClosed
	}
	if err := l.below.Writable(); err != nil || !l.troubled.Load() {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.err
}

// Close implements engine.Engine. What was not written down is lost, as what an
// engine has not flushed is.
func (l *Layer) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	l.cancel()
	// The engine's Close ends an Apply that waits there.
	err := l.below.Close()
	l.done.Wait()
	return err
}
