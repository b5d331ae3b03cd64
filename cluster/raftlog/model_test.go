package raftlog

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
)

// modelShard is what a shard must look like. Values: a state of the model is
// copied by copying the map.
type modelShard struct {
	base    Index // before the first entry
	prev    Term
	entries []*raftpb.Entry // never changed in place
	hard    hardState
	mark    Index
	voters  []uint64
}

func (m *modelShard) last() Index { return m.base + Index(len(m.entries)) }

func (m *modelShard) term(i Index) Term {
	if i == m.base {
		return m.prev
	}
	return Term(m.entries[i-m.base-1].GetTerm())
}

// model drives a log with random operations and remembers every state that the
// log was in. A crash must bring back one of those from durable on.
type model struct {
	r       *rand.Rand
	l       *Log
	o       Options
	history []map[ShardID]modelShard
	durable int
}

const modelShards = 3

func newModel(tb testing.TB, seed uint64, o Options) *model {
	o.Salt = testSalt(seed)
	m := &model{r: newModelRand(seed), o: o, history: []map[ShardID]modelShard{{}}}
	m.l = mustOpen(tb, o)
	return m
}

func (m *model) now() map[ShardID]modelShard { return m.history[len(m.history)-1] }

// will says that the next record, if it survives, makes this shard's state.
func (m *model) will(id ShardID, s modelShard) {
	next := maps.Clone(m.now())
	next[id] = s
	m.history = append(m.history, next)
}

// did says that what was issued is acknowledged.
func (m *model) did(synced bool) {
	if synced {
		m.durable = len(m.history) - 1
	}
}

// step does one random operation.
func (m *model) step(tb testing.TB) {
	id := ShardID(m.r.IntN(modelShards))
	s := m.now()[id]
	log := m.l.Shard(id)
	always := m.l.fsync() == FsyncAlways
	switch p := m.r.IntN(100); {
	case p < 60:
		first := s.last() + 1
		if low := max(Index(s.hard.commit), s.mark, s.base) + 1; m.r.IntN(6) == 0 && low < first {
			first = low + Index(m.r.IntN(int(first-low)+1))
		}
		term := s.term(first-1) + Term(m.r.IntN(8)/7)
		if first <= s.last() {
			term = s.term(s.last()) + 1
		}
		es := entries(first, term, 1+m.r.IntN(4), []int{0, 10, 100, 100, 700, 2500, 9000}[m.r.IntN(7)])
		s.entries = append(slices.Clip(s.entries[:first-s.base-1]), es...)
		var hs *raftpb.HardState
		old := s.hard
		if m.r.IntN(2) == 0 {
			s.hard = hardState{term: uint64(term), vote: 1, commit: min(uint64(s.last()), s.hard.commit+uint64(m.r.IntN(5)))}
			hs = hard(s.hard.term, s.hard.vote, s.hard.commit)
		}
		m.will(id, s)
		must(tb, log.Append(hs, es, true))
		m.did(always || old.term != s.hard.term || old.vote != s.hard.vote)
	case p < 70: // a commit index alone: not a record
		s.hard.commit = min(uint64(s.last()), s.hard.commit+uint64(m.r.IntN(5)))
		if s.hard.term == 0 {
			break
		}
		m.now()[id] = s
		must(tb, log.Append(hard(s.hard.term, s.hard.vote, s.hard.commit), nil, false))
	case p < 75:
		s.hard.term, s.hard.vote = s.hard.term+1, uint64(m.r.IntN(3))
		m.will(id, s)
		must(tb, log.Append(hard(s.hard.term, s.hard.vote, s.hard.commit), nil, true))
		m.did(true) // in every mode
	case p < 78:
		s.voters = []uint64{uint64(m.r.IntN(5)), 7}
		m.will(id, s)
		must(tb, log.SetConfState(&raftpb.ConfState{Voters: s.voters}))
		m.did(always)
	case p < 90:
		s.mark = max(s.mark, s.base+Index(s.hard.commit-min(s.hard.commit, uint64(s.base))))
		m.now()[id] = s
		must(tb, log.Truncate(s.mark))
	case p < 92:
		s.base = s.last() + Index(m.r.IntN(100))
		s.prev = s.prev + 1 + Term(len(s.entries))
		s.entries, s.mark, s.voters = nil, s.base, []uint64{1}
		s.hard.commit = uint64(s.base)
		rises := s.hard.term < uint64(s.prev)
		if rises {
			s.hard.term, s.hard.vote = uint64(s.prev), 0
		}
		m.will(id, s)
		must(tb, log.Reset(s.base, s.prev, &raftpb.ConfState{Voters: s.voters}))
		m.did(always || rises)
	case p < 95:
		must(tb, m.l.Sync())
		m.did(true)
	case p < 97:
		m.l.tick()
	default:
		must(tb, log.Reserve(int64(m.r.IntN(6000))))
	}
}

// match says why l is not in that state, if it is not.
func match(tb testing.TB, l *Log, state map[ShardID]modelShard) string {
	for id := range ShardID(modelShards) {
		s, want := l.Shard(id), state[id]
		first, _ := s.FirstIndex()
		last, _ := s.LastIndex()
		if Index(last) != want.last() {
			return fmt.Sprintf("shard %d: last is %d, not %d", id, last, want.last())
		}
		if first != uint64(want.base)+1 && Index(first) > want.mark+1 || Index(first) <= want.base {
			return fmt.Sprintf("shard %d: first is %d, base %d, mark %d", id, first, want.base, want.mark)
		}
		if term, err := s.Term(first - 1); err != nil || Term(term) != want.term(Index(first)-1) {
			return fmt.Sprintf("shard %d: term of %d is %d, %v", id, first-1, term, err)
		}
		got := readAll(tb, s)
		for i, e := range want.entries[first-1-uint64(want.base):] {
			if !sameEntry(got[i], e) {
				return fmt.Sprintf("shard %d: entry %d is another", id, e.GetIndex())
			}
		}
		hs, cs, _ := s.InitialState()
		if hs.GetTerm() != want.hard.term || hs.GetVote() != want.hard.vote {
			return fmt.Sprintf("shard %d: hard state %v, not %v", id, hs, want.hard)
		}
		if c := hs.GetCommit(); c+1 < first || c > last || c > max(want.hard.commit, uint64(want.mark)) {
			return fmt.Sprintf("shard %d: commit %d, not %d", id, c, want.hard.commit)
		}
		if !slices.Equal(cs.Voters, want.voters) {
			return fmt.Sprintf("shard %d: voters %v, not %v", id, cs.Voters, want.voters)
		}
	}
	return ""
}

// recovered fails unless l is in a state of the history, from lo to hi. It
// returns which.
func (m *model) recovered(tb testing.TB, l *Log, lo, hi int) int {
	tb.Helper()
	why := ""
	for k := hi; k >= lo; k-- {
		w := match(tb, l, m.history[k])
		if w == "" {
			return k
		}
		if why == "" {
			why = w
		}
	}
	tb.Fatalf("recovered none of the states %d to %d; the last: %s", lo, hi, why)
	return 0
}

func testSeed() uint64 { return uint64(time.Now().UnixNano()) % 1e9 }

// seeds runs f with fixed seeds, those that once failed among them, and a new one.
func seeds(t *testing.T, n int, f func(t *testing.T, seed uint64)) {
	list := []uint64{testSeed()}
	for i := range n {
		list = append(list, uint64(i+1))
	}
	for _, seed := range list {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { f(t, seed) })
	}
}

func TestModel(t *testing.T) {
	seeds(t, 3, func(t *testing.T, seed uint64) {
		mode := FsyncMode(seed % 3)
		o := testOptions(vfs.NewMem(), mode)
		if seed%2 == 0 {
			o.SegmentBytes, o.CacheBytes, o.zeroFill = 20_000, 5000, true
		}
		m := newModel(t, seed, o)
		var dropped uint64
		for i := range 1000 {
			m.step(t)
			if i%10 == 0 {
				k := len(m.history) - 1
				m.recovered(t, m.l, k, k)
			}
			if m.r.IntN(100) == 0 {
				dropped += m.l.Metrics().Dropped
				must(t, m.l.Close())
				m.l = mustOpen(t, m.o)
				k := len(m.history) - 1
				m.recovered(t, m.l, k, k)
			}
		}
		if dropped == 0 {
			t.Fatal("no segment was ever dropped")
		}
		must(t, m.l.Close())
	})
}

func TestIndexTermAndCut(t *testing.T) {
	var x index
	a, b := newSegment(1, 0, 0, "", nil), newSegment(2, 0, 0, "", nil)
	x.reset(10, 3)
	for i := Index(11); i <= 30; i++ {
		seg := a
		if i > 20 {
			seg = b
		}
		x.add(seg, int64(i)*8, Term(i/10))
	}
	if x.term(10) != 3 || x.term(11) != 1 || x.term(19) != 1 || x.term(20) != 2 || x.term(30) != 3 {
		t.Fatal("terms")
	}
	if seg, off, n := x.locate(21); seg != b || off != 21*8 || n != 1 {
		t.Fatalf("located at %d", off)
	}
	x.forget(2)
	if x.base != 20 || x.baseTerm != 2 || x.term(20) != 2 || x.term(21) != 2 || len(x.runs) != 1 {
		t.Fatalf("after forget: %+v", x)
	}
	x.cut(25)
	x.cut(25)
	if x.last != 24 || x.term(24) != 2 {
		t.Fatalf("after cut: %+v", x)
	}
	if seq, upTo, ok := x.needed(22); !ok || seq != 2 || upTo != 24 {
		t.Fatal("needed")
	}
	if _, _, ok := x.needed(24); ok {
		t.Fatal("needed past the end")
	}
	x.cut(21)
	if x.last != 20 || len(x.runs) != 0 || x.term(20) != 2 {
		t.Fatalf("after cutting all: %+v", x)
	}
}

func flip(tb testing.TB, fs vfs.FS, name string, off int64, mask byte) {
	tb.Helper()
	f, err := fs.OpenReadWrite(name, "test")
	must(tb, err)
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	must(tb, err)
	_, err = f.WriteAt([]byte{b[0] ^ mask}, off)
	must(tb, err)
	must(tb, f.Close())
}

func newModelRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
