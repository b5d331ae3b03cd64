package raftlog

import (
	"errors"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestAppendTogether: several shards' appends share one sync, and one that cannot be
// done does not keep the others from being done.
func TestAppendTogether(t *testing.T) {
	l, err := Open(testOptions(vfs.NewMem(), FsyncAlways))
	must(t, err)
	defer l.Close()
	shards := []*ShardLog{l.Shard(1), l.Shard(2), l.Shard(3)}
	before := l.Metrics().Syncs
	writes := make([]Write, len(shards))
	for i, s := range shards {
		writes[i] = Write{Shard: s, HardState: hard(1, 1, 0), Entries: entries(1, 1, 1, 10), MustSync: true}
	}
	writes[1].Entries = entries(3, 1, 1, 10)
	AppendTogether(writes)
	must(t, writes[0].Err)
	must(t, writes[2].Err)
	if !errors.Is(writes[1].Err, ErrGap) {
		t.Errorf("got %v, want ErrGap", writes[1].Err)
	}
	if got := l.Metrics().Syncs - before; got != 1 {
		t.Errorf("%d syncs, want 1", got)
	}
	for i, want := range []uint64{1, 0, 1} {
		if last, err := shards[i].LastIndex(); err != nil || last != want {
			t.Errorf("shard %d: last index %d, %v, want %d", shards[i].id, last, err, want)
		}
	}
	AppendTogether(nil)
}

// TestAppendTogetherBesideOthers: appends of several shards at once, beside those of
// single shards.
func TestAppendTogetherBesideOthers(t *testing.T) {
	l, err := Open(testOptions(vfs.NewMem(), FsyncAlways))
	must(t, err)
	defer l.Close()
	const rounds = 200
	var wg sync.WaitGroup
	for id := ShardID(0); id < 6; id += 2 {
		wg.Go(func() {
			for i := range Index(rounds) {
				writes := []Write{{Shard: l.Shard(id), HardState: hard(1, 1, 0), Entries: entries(i+1, 1, 1, 10), MustSync: true}}
				if id > 0 {
					writes = append(writes, Write{Shard: l.Shard(id + 1), HardState: hard(1, 1, 0), Entries: entries(i+1, 1, 1, 10), MustSync: true})
				}
				AppendTogether(writes)
				for _, w := range writes {
					if w.Err != nil {
						t.Error(w.Err)
					}
					if last, err := w.Shard.LastIndex(); err != nil || last != uint64(i)+1 {
						t.Errorf("last index %d, %v, want %d", last, err, i+1)
					}
				}
			}
		})
	}
	wg.Go(func() {
		for i := range Index(rounds) {
			if err := l.Shard(1).Append(hard(1, 1, 0), entries(i+1, 1, 1, 10), true); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
}
