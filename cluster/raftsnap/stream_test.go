package raftsnap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"slices"
	"testing"

	"dkv/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRoundTrip sends stores of many shapes; what was received is the same, also
// after it was switched to.
func TestRoundTrip(t *testing.T) {
	rng := seedOf(t)
	for name, make := range map[string]func(e engine.Engine){
		"Empty": func(engine.Engine) {},
		"One": func(e engine.Engine) {
			var b engine.Batch
			b.Put([]byte{0}, nil)
			must(t, e.Apply(b.Repr()))
		},
		"Many":  func(e engine.Engine) { fill(t, e, rng, 30_000, 60) },
		"Large": func(e engine.Engine) { fill(t, e, rng, 30, 3*ChunkBytes) },
		"Mixed": func(e engine.Engine) {
			fill(t, e, rng, 5000, 100)
			fill(t, e, rng, 5, 8<<20)
			var b engine.Batch
			b.Put(bytes.Repeat([]byte("key"), ChunkBytes/2), []byte("under a large key"))
			b.Put([]byte{0}, nil)
			b.Put([]byte{0xff, 0xff}, nil)
			b.DeleteRange([]byte("2"), []byte("5"))
			must(t, e.Apply(b.Repr()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			from := sender(t)
			make(from)
			st := testStore(t, storeOptions(vfs.NewMem()))
			old := st.Engine()
			r, err := st.Receive(1, []byte("meta"), 0)
			must(t, err)
			src := testSource(t, from, ChunkBytes)
			// What is written after the snapshot was taken does not belong to it.
			want := from.NewSnapshot()
			defer want.Close()
			fill(t, from, rng, 100, 100)
			send(t, r, src)
			eng, err := st.Switch(r)
			must(t, err)
			if eng != st.Engine() {
				t.Error("Switch did not return the current engine")
			}
			if err := sameContents(eng, want); err != nil {
				t.Error(err)
			}
			if meta, ok := st.Pending(); !ok || string(meta) != "meta" {
				t.Errorf("pending: %q, %v", meta, ok)
			}
			must(t, st.Done())
			must(t, st.Retire(old))
		})
	}
}

// TestChunkSizes: a chunk is full with the record that takes it to its size, so it
// has one large record at most.
func TestChunkSizes(t *testing.T) {
	rng := seedOf(t)
	from := sender(t)
	fill(t, from, rng, 3000, 100)
	fill(t, from, rng, 20, 2*ChunkBytes)
	for i, p := range pieces(t, testSource(t, from, ChunkBytes)) {
		c, err := parseChunk(p.data)
		must(t, err)
		records, err := engine.ReadBatch(c.repr)
		must(t, err)
		size, largest, count := 0, 0, records.Count()
		for range count {
			_, key, value, _, err := records.Next()
			must(t, err)
			largest = max(largest, len(key)+len(value))
			size += len(key) + len(value)
		}
		if size-largest >= ChunkBytes {
			t.Errorf("chunk %d has %d bytes in %d records, the largest %d", i, size, count, largest)
		}
		if !p.last && len(c.repr) < ChunkBytes {
			t.Errorf("chunk %d is not full: %d bytes", i, len(c.repr))
		}
	}
}

// TestResume breaks the stream off after each chunk. The source makes the same
// chunk again from the same position, and what does not follow is refused and
// changes nothing.
func TestResume(t *testing.T) {
	rng := seedOf(t)
	from := sender(t)
	fill(t, from, rng, 500, 200)
	src := testSource(t, from, 1000)
	list := pieces(t, src)
	if len(list) < 20 {
		t.Fatalf("%d chunks", len(list))
	}
	st := testStore(t, storeOptions(vfs.NewMem()))
	old := st.Engine()
	first, err := st.Receive(7, []byte("meta"), 0)
	must(t, err)
	for i, p := range list {
		r, err := st.Receive(7, []byte("meta"), 0)
		must(t, err)
		if r != first {
			t.Fatalf("chunk %d: another receiver for the same id", i)
		}
		if i > 0 && !bytes.Equal(r.Position(), list[i-1].position) {
			t.Fatalf("chunk %d: position %x, want %x", i, r.Position(), list[i-1].position)
		}
		for _, j := range []int{rng.IntN(len(list)), i - 1, i + 1} {
			if j == i || j < 0 || j >= len(list) {
				continue
			}
			if err := r.Chunk(list[j].data, list[j].position, list[j].last); !errors.Is(err, ErrOutOfOrder) {
				t.Fatalf("chunk %d in place of %d: %v", j, i, err)
			}
		}
		data, position, last, err := src.Next(r.Position())
		must(t, err)
		if !bytes.Equal(data, p.data) || !bytes.Equal(position, p.position) || last != p.last {
			t.Fatalf("chunk %d is another one when it is made again", i)
		}
		must(t, r.Chunk(data, position, last))
	}
	// The sender did not learn that all arrived.
	r, err := st.Receive(7, []byte("meta"), 0)
	must(t, err)
	if r != first || !r.Complete() {
		t.Fatal("the complete receiver is not there for its id")
	}
	must(t, trySend(r, src))
	eng, err := st.Switch(r)
	must(t, err)
	if err := sameContents(eng, from); err != nil {
		t.Error(err)
	}
	must(t, st.Retire(old))
}

// TestForeignPosition: a position of another source, or no position at all.
func TestForeignPosition(t *testing.T) {
	rng := seedOf(t)
	from := sender(t)
	fill(t, from, rng, 100, 100)
	a, b := testSource(t, from, 500), testSource(t, from, 500)
	listA, listB := pieces(t, a), pieces(t, b)
	if _, _, _, err := a.Next(listB[0].position); !errors.Is(err, ErrPosition) {
		t.Errorf("a position of another source: %v", err)
	}
	if _, _, _, err := a.Next([]byte("x")); !errors.Is(err, ErrPosition) {
		t.Errorf("no position: %v", err)
	}
	st := testStore(t, storeOptions(vfs.NewMem()))
	r, err := st.Receive(1, nil, 0)
	must(t, err)
	must(t, r.Chunk(listA[0].data, listA[0].position, false))
	if err := r.Chunk(listB[1].data, listB[1].position, false); !errors.Is(err, ErrOutOfOrder) {
		t.Errorf("a chunk of another source: %v", err)
	}
	must(t, a.Close())
	must(t, a.Close())
	if _, _, _, err := a.Next(nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Next of a closed source: %v", err)
	}
}

// TestEveryBit flips each bit of a stream, its positions included, and cuts it at
// each byte. All of that is refused, and the true stream goes through after it.
func TestEveryBit(t *testing.T) {
	from := sender(t)
	var b engine.Batch
	for i := range 12 {
		b.Put(fmt.Appendf(nil, "key%02d", i), bytes.Repeat([]byte{byte(i)}, i*3%7))
	}
	must(t, from.Apply(b.Repr()))
	list := pieces(t, testSource(t, from, 50))
	st := testStore(t, storeOptions(vfs.NewMem()))
	r, err := st.Receive(1, nil, 0)
	must(t, err)
	refused := func(i int, what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrCorruptChunk) && !errors.Is(err, ErrOutOfOrder) {
			t.Fatalf("chunk %d, %s: %v", i, what, err)
		}
	}
	for i, p := range list {
		before := r.Position()
		for bit := range len(p.data) * 8 {
			data := slices.Clone(p.data)
			data[bit/8] ^= 1 << (bit % 8)
			refused(i, fmt.Sprintf("bit %d", bit), r.Chunk(data, p.position, p.last))
		}
		for bit := range len(p.position) * 8 {
			position := slices.Clone(p.position)
			position[bit/8] ^= 1 << (bit % 8)
			refused(i, fmt.Sprintf("bit %d of the position", bit), r.Chunk(p.data, position, p.last))
		}
		for n := range len(p.data) {
			refused(i, fmt.Sprintf("%d bytes", n), r.Chunk(p.data[:n], p.position, p.last))
		}
		for n := range len(p.position) {
			refused(i, fmt.Sprintf("%d bytes of position", n), r.Chunk(p.data, p.position[:n], p.last))
		}
		refused(i, "a byte more", r.Chunk(append(slices.Clone(p.data), 0), p.position, p.last))
		refused(i, "last against the flag", r.Chunk(p.data, p.position, !p.last))
		if !bytes.Equal(r.Position(), before) {
			t.Fatalf("chunk %d: a refused one moved the position", i)
		}
		must(t, r.Chunk(p.data, p.position, p.last))
	}
	if !r.Complete() {
		t.Fatal("not complete")
	}
}

// chunkOf makes a chunk of a batch that no source would make, with a checksum that
// fits.
func chunkOf(before mark, b *engine.Batch, last bool) piece {
	data, after := makeChunk(before, b, last)
	var key []byte
	records, _ := engine.ReadBatch(b.Repr())
	for {
		_, k, _, ok, err := records.Next()
		if !ok || err != nil {
			return piece{data, makePosition(after, key), last}
		}
		key = k
	}
}

// TestBadContents: chunks with true checksums that no source makes.
func TestBadContents(t *testing.T) {
	st := testStore(t, storeOptions(vfs.NewMem()))
	r, err := st.Receive(1, nil, 0)
	must(t, err)
	var good engine.Batch
	good.Put([]byte("m"), nil)
	p := chunkOf(mark{stream: 5}, &good, false)
	must(t, r.Chunk(p.data, p.position, false))
	at, _, err := parsePosition(r.Position())
	must(t, err)
	for name, c := range map[string]struct {
		make func(b *engine.Batch)
		last bool
	}{
		"Delete":      {func(b *engine.Batch) { b.Delete([]byte("x")) }, false},
		"DeleteRange": {func(b *engine.Batch) { b.DeleteRange([]byte("x"), []byte("y")) }, true},
		"Twice":       {func(b *engine.Batch) { b.Put([]byte("x"), nil); b.Put([]byte("x"), nil) }, false},
		"Falling":     {func(b *engine.Batch) { b.Put([]byte("y"), nil); b.Put([]byte("x"), nil) }, true},
		"Behind":      {func(b *engine.Batch) { b.Put([]byte("a"), nil) }, false},
		"SameKey":     {func(b *engine.Batch) { b.Put([]byte("m"), nil) }, false},
		"Empty":       {func(b *engine.Batch) {}, false},
	} {
		var b engine.Batch
		c.make(&b)
		p := chunkOf(at, &b, c.last)
		if err := r.Chunk(p.data, p.position, p.last); !errors.Is(err, ErrCorruptChunk) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none engine.Batch
	p = chunkOf(at, &none, true)
	p.position = makePosition(mark{at.stream, at.records, binary.LittleEndian.Uint64(p.data[len(p.data)-8:])}, []byte("m"))
	must(t, r.Chunk(p.data, p.position, true))
}

// FuzzChunk: no input makes parseChunk panic, and what it accepts it understood:
// made again from its parts it is the same.
func FuzzChunk(f *testing.F) {
	var b engine.Batch
	for i := range 5 {
		b.Put(fmt.Appendf(nil, "key%d", i), bytes.Repeat([]byte("v"), i*40))
		data, _ := makeChunk(mark{stream: rand.Uint64(), records: 3, checksum: 9}, &b, i == 2)
		f.Add(data[:len(data)-checksumBytes])
	}
	f.Add([]byte{chunkVersion})
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := parseChunk(body); err != nil && !errors.Is(err, ErrCorruptChunk) {
			t.Fatal(err)
		}
		// With a checksum that fits, or the parser would hardly ever be reached.
		data := binary.LittleEndian.AppendUint64(slices.Clone(body), crc64.Checksum(body, checksums))
		c, err := parseChunk(data)
		if err != nil {
			if !errors.Is(err, ErrCorruptChunk) {
				t.Fatal(err)
			}
			return
		}
		var again engine.Batch
		records, err := engine.ReadBatch(c.repr)
		must(t, err)
		for {
			_, key, value, ok, err := records.Next()
			must(t, err)
			if !ok {
				break
			}
			again.Put(key, value)
		}
		made, after := makeChunk(c.before, &again, c.last)
		if !bytes.Equal(made, data) || after != c.after {
			t.Fatalf("%x was understood as %x", data, made)
		}
	})
}
