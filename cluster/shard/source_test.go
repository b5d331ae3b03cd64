package shard

import (
	"errors"
	"fmt"
	"testing"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"

	pb "go.etcd.io/raft/v3/raftpb"
)

// pair is a source and a replica, each a group of its own.
type pair struct {
	t       *testing.T
	source  *testNode
	replica *testNode
}

func newPair(t *testing.T) *pair {
	t.Helper()
	return &pair{t: t, source: newTestCluster(t, 1).nodes[1], replica: newTestCluster(t, 1).nodes[1]}
}

// copyAll is a full copy.
func (p *pair) copyAll() {
	p.t.Helper()
	pinned, at, hold, err := p.source.s.Pin()
	if err != nil {
		p.t.Fatal(err)
	}
	hold.Release()
	snap := p.replica.s.Replacement(SourcePosition{"history", at})
	if err := errors.Join(p.replica.store.receive(pinned, snap), pinned.Close()); err != nil {
		p.t.Fatal(err)
	}
	if err := p.replica.s.Replace(p.t.Context(), snap); err != nil {
		p.t.Fatal(err)
	}
}

// next is what the replica gets next; of all or of a few entries.
func (p *pair) next(maxBytes uint64) *SourceBatch {
	p.t.Helper()
	from, ok := p.replica.s.Source()
	if !ok {
		p.t.Fatal("the replica does not know its place")
	}
	b := &SourceBatch{From: from, To: from}
	entries, err := p.source.s.Committed(from.Index+1, maxBytes)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		b.To.Position = Position{raftlog.Index(e.GetIndex()), raftlog.Term(e.GetTerm())}
		if e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
			b.Batches = append(b.Batches, e.GetData())
		}
	}
	return b
}

func (p *pair) apply(b *SourceBatch) error {
	t := Task{Source: b}
	p.replica.s.Submit(&t)
	return t.Wait()
}

// follow brings the replica up to date.
func (p *pair) follow(maxBytes uint64) {
	p.t.Helper()
	for {
		b := p.next(maxBytes)
		if b.To == b.From {
			return
		}
		if err := p.apply(b); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (n *testNode) want(key, value string) {
	n.c.t.Helper()
	if got, found, err := n.get(key, ReadOptions{}); err != nil || !found || got != value {
		n.c.t.Fatalf("%s is %q (%v, %v), want %q", key, got, found, err, value)
	}
}

// TestReplicaFollows: copies, then batches of any size, over restarts on both sides.
// Data, counts and the database map follow, and the own records are its own.
func TestReplicaFollows(t *testing.T) {
	p := newPair(t)
	write := func(key, value string) {
		t.Helper()
		if err := run(p.source.s, put(t, key, []byte(value))); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "1")
	if err := run(p.replica.s, put(t, "mine", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	before := p.replica.s.Applied()
	changed := p.replica.s.Changed()
	p.replica.s.Follow(true)
	p.copyAll()
	select {
	case <-changed:
	default:
		t.Error("nobody was told that the state was replaced")
	}
	p.replica.want("a", "1")
	if _, found, _ := p.replica.get("mine", ReadOptions{}); found {
		t.Error("a key of the replaced state is still there")
	}
	if got := p.replica.s.Applied(); got <= before {
		t.Errorf("the position went from %d to %d", before, got)
	}
	for i := range 50 {
		write(fmt.Sprint("k", i), fmt.Sprint(i))
	}
	p.follow(300)
	p.replica.want("k49", "49")
	p.replica.restart()
	p.replica.s.Follow(true)
	write("b", "2")
	if err := run(p.source.s, func(tx *keyspace.Tx) { tx.SwapDB(0, 1) }); err != nil {
		t.Fatal(err)
	}
	p.source.restart() // a new term, with entries that hold nothing
	write("c", "3")
	p.follow(1 << 20)
	p.replica.want("c", "3")
	for db, want := range p.source.s.Keyspace().Counts() {
		if got := p.replica.s.Keyspace().Counts()[db]; got != want {
			t.Errorf("database %d: %+v, want %+v", db, got, want)
		}
	}
	at, ok := p.replica.s.Source()
	if !ok || !p.source.s.Has(at.Position) || at.Index != p.source.s.Applied() {
		t.Errorf("the replica is at %+v, the source at %d", at, p.source.s.Applied())
	}

	// Promoted: it goes on from what it has, and follows nobody.
	if err := p.apply(&SourceBatch{Forget: true}); err != nil {
		t.Fatal(err)
	}
	p.replica.s.Follow(false)
	if err := run(p.replica.s, put(t, "own", []byte("1"))); err != nil {
		t.Fatal(err)
	}
	if got := p.replica.s.Keyspace().Counts()[0].Keys; got != 2 { // c and own
		t.Errorf("%d keys after a write of its own, want 2", got)
	}
	p.replica.restart()
	if _, ok := p.replica.s.Source(); ok {
		t.Error("it knows its source after a restart")
	}
	p.replica.want("own", "1")
}

// TestReplicaRefuses: what a client writes, and what does not follow.
func TestReplicaRefuses(t *testing.T) {
	p := newPair(t)
	p.replica.s.Follow(true)
	if err := run(p.replica.s, put(t, "k", nil)); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a client's write: %v", err)
	}
	var found bool
	if err := run(p.replica.s, exists(t, "k", &found)); err != nil || found {
		t.Errorf("a client's read: %v, %v", found, err)
	}
	at := SourcePosition{"history", Position{5, 1}}
	if err := p.apply(&SourceBatch{From: at, To: at}); !errors.Is(err, ErrSourceMoved) {
		t.Errorf("before it was copied: %v", err)
	}
	p.copyAll()
	if err := run(p.source.s, put(t, "k", []byte("v"))); err != nil {
		t.Fatal(err)
	}
	b := p.next(1 << 20)
	for name, change := range map[string]func(b *SourceBatch){
		"another place":      func(b *SourceBatch) { b.From.Index-- },
		"another term":       func(b *SourceBatch) { b.From.Term++ },
		"another history":    func(b *SourceBatch) { b.From.History = "other" },
		"histories mixed":    func(b *SourceBatch) { b.To.History = "other" },
		"backwards":          func(b *SourceBatch) { b.To.Index = b.From.Index - 1 },
		"what is no batch":   func(b *SourceBatch) { b.Batches = [][]byte{[]byte("nonsense")} },
		"half of what is":    func(b *SourceBatch) { b.Batches = [][]byte{b.Batches[0][:len(b.Batches[0])-1]} },
		"a batch in between": func(b *SourceBatch) { b.Batches = append([][]byte{{1}}, b.Batches...) },
	} {
		bad := *b
		change(&bad)
		if err := p.apply(&bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, found, _ := p.replica.get("k", ReadOptions{}); found {
		t.Error("a part of what was refused is there")
	}
	if err := p.apply(b); err != nil {
		t.Fatal(err)
	}
	p.replica.want("k", "v")
	if err := p.apply(b); !errors.Is(err, ErrSourceMoved) {
		t.Errorf("the same once more: %v", err)
	}
}

// TestHeldLog: what a hold asks for can be read, what nobody holds is cut.
func TestHeldLog(t *testing.T) {
	p := newPair(t)
	s := p.source.s
	pinned, at, hold, err := s.Pin()
	if err != nil {
		t.Fatal(err)
	}
	defer pinned.Close()
	fill := func() {
		t.Helper()
		for range 20 {
			if err := run(s, put(t, "k", make([]byte, 20<<10))); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.Flush(), s.truncate()); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	if entries, err := s.Committed(at.Index+1, 1); err != nil || len(entries) != 1 {
		t.Errorf("held entries: %d, %v", len(entries), err)
	}
	if !s.Has(at) || s.Has(Position{at.Index, at.Term + 1}) || s.Has(Position{s.Applied() + 1, at.Term}) {
		t.Error("the log does not know its own places")
	}
	hold.Release()
	hold.Release()
	fill()
	if _, err := s.Committed(at.Index+1, 1); !errors.Is(err, ErrCut) {
		t.Errorf("entries that nobody holds: %v", err)
	}
	if s.Has(at) {
		t.Error("a place that the log does not reach back to")
	}
	if entries, err := s.Committed(s.Applied()+1, 1); err != nil || len(entries) != 0 {
		t.Errorf("beyond the end: %d, %v", len(entries), err)
	}
}
