package slot

import (
	"testing"

	"dkv/cluster/raftlog"
)

func TestMap(t *testing.T) {
	for _, shards := range []int{1, 2, 3, 4, 5, 7, 16, 63, 64, 1000, Count} {
		m := NewMap(shards)
		if m.Shards() != shards || len(m.All()) != shards {
			t.Errorf("a map of %d shards has %d", shards, m.Shards())
		}
		next := 0
		smallest, largest := Count, 0
		for id := range shards {
			first, last := m.Range(raftlog.ShardID(id))
			if int(first) != next || last < first {
				t.Fatalf("%d shards: shard %d has %d to %d, want it to begin at %d", shards, id, first, last, next)
			}
			next = int(last) + 1
			smallest, largest = min(smallest, next-int(first)), max(largest, next-int(first))
			for _, s := range []Slot{first, (first + last) / 2, last} {
				if got := m.ShardOf(s); int(got) != id {
					t.Fatalf("%d shards: slot %d is in shard %d, want %d", shards, s, got, id)
				}
			}
		}
		if next != Count || largest-smallest > 1 {
			t.Errorf("%d shards: they end at %d, their sizes are from %d to %d", shards, next, smallest, largest)
		}
	}
}

func TestZeroMap(t *testing.T) {
	var m Map
	if m.Shards() != 1 || m.ShardOf(0) != 0 || m.ShardOf(Count-1) != 0 {
		t.Error("the zero map is not that of one shard")
	}
	if first, last := m.Range(0); first != 0 || last != Count-1 {
		t.Errorf("the zero map's range is %d to %d", first, last)
	}
}

func TestBadMapsPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"none":     func() { NewMap(0) },
		"too many": func() { NewMap(Count + 1) },
		"no shard": func() { NewMap(2).Range(2) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestOf(t *testing.T) {
	for key, want := range map[string]Slot{"foo": 12182, "{foo}bar": 12182, "": 0} {
		if got := Of([]byte(key)); got != want {
			t.Errorf("%q is in slot %d, want %d", key, got, want)
		}
	}
}
