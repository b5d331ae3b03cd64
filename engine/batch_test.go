package engine_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"dkv/engine"
	"dkv/engine/enginetest"
)

type record struct {
	kind       engine.Kind
	key, value string
}

func records(t testing.TB, repr []byte) []record {
	t.Helper()
	r, err := engine.ReadBatch(repr)
	if err != nil {
		t.Fatal(err)
	}
	var out []record
	for {
		kind, key, value, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		out = append(out, record{kind, string(key), string(value)})
	}
}

// The wire form is what logs on disk hold: it must never change by accident.
func TestBatchWireForm(t *testing.T) {
	var b engine.Batch
	if got := hex.EncodeToString(b.Repr()); got != "010000000000000000000000" {
		t.Errorf("empty batch: %s", got)
	}
	b.Put([]byte("k"), []byte("val"))
	b.Delete([]byte("gone"))
	b.DeleteRange([]byte("a"), []byte("b"))
	b.DeleteRange([]byte("b"), []byte("b")) // empty: not recorded
	b.DeleteRange([]byte("b"), nil)
	b.DeleteRange(nil, []byte("c")) // from the first key that there can be
	b.DeleteRange(nil, []byte{0})
	const want = "010000000000000004000000" + "01016b0376616c" + "0004676f6e65" + "0f01610162" + "0f01000163"
	if got := hex.EncodeToString(b.Repr()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if b.Len() != len(want)/2 || b.Count() != 4 {
		t.Errorf("Len %d, Count %d", b.Len(), b.Count())
	}
	got := records(t, b.Repr())
	wantRecords := []record{{engine.KindPut, "k", "val"}, {engine.KindDelete, "gone", ""}, {engine.KindDeleteRange, "a", "b"}}
	if len(got) != 4 || got[0] != wantRecords[0] || got[1] != wantRecords[1] || got[2] != wantRecords[2] {
		t.Errorf("records %v", got)
	}
}

// TestBatchTime: a batch carries when it was made, and forgets it when it is used again.
func TestBatchTime(t *testing.T) {
	for _, c := range []struct{ set, want int64 }{
		{0, 0}, {1, 1}, {1_790_000_000_123, 1_790_000_000_123}, {1<<48 - 1, 1<<48 - 1}, {1 << 48, 0}, {-1, 0},
	} {
		var b engine.Batch
		b.Put([]byte("k"), []byte("v"))
		b.SetTime(c.set)
		if got := engine.BatchTime(b.Repr()); got != c.want {
			t.Errorf("SetTime(%d): %d, want %d", c.set, got, c.want)
		}
		if got := records(t, b.Repr()); len(got) != 1 {
			t.Errorf("SetTime(%d): records %v", c.set, got)
		}
		b.Reset()
		if got := engine.BatchTime(b.Repr()); got != 0 {
			t.Errorf("after Reset: %d", got)
		}
	}
	var b engine.Batch
	b.SetTime(0x060504030201)
	if got := hex.EncodeToString(b.Repr()); got != "010001020304050600000000" {
		t.Errorf("wire form %s", got)
	}
	if got := engine.BatchTime([]byte("short")); got != 0 {
		t.Errorf("of no batch: %d", got)
	}
}

func TestBatchTruncate(t *testing.T) {
	var b engine.Batch
	b.Truncate(b.Len(), 0) // of a batch that was never used
	b.Put([]byte("a"), []byte("1"))
	n, count := b.Len(), b.Count()
	want := bytes.Clone(b.Repr())
	b.Put([]byte("b"), bytes.Repeat([]byte("x"), 1000))
	b.Delete([]byte("c"))
	b.Truncate(n, count)
	if !bytes.Equal(b.Repr(), want) {
		t.Errorf("after Truncate: %x, want %x", b.Repr(), want)
	}
	b.Reset()
	if b.Len() != 12 || b.Count() != 0 || len(records(t, b.Repr())) != 0 {
		t.Errorf("after Reset: Len %d, Count %d", b.Len(), b.Count())
	}
}

// What does not fit is left out, and Err and Repr say so until it is undone.
func TestBatchOverflow(t *testing.T) {
	ov := engine.NewOverlay(&enginetest.Model{})
	ov.Put([]byte("a"), []byte("1"))
	mark := ov.Mark()
	ov.Put([]byte("b"), make([]byte, engine.MaxBatchBytes)) // never touched, so never in memory
	ov.Put([]byte("c"), []byte("3"))
	b := ov.Batch()
	if !errors.Is(b.Err(), engine.ErrBatchTooLarge) || b.Count() != 1 {
		t.Errorf("err %v, %d records", b.Err(), b.Count())
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("Repr of a batch that lacks mutations")
			}
		}()
		b.Repr()
	}()
	ov.Rollback(mark)
	if b.Err() != nil || len(records(t, b.Repr())) != 1 {
		t.Errorf("after Rollback: err %v", b.Err())
	}
}

func TestBatchReusesMemory(t *testing.T) {
	var b engine.Batch
	key, value := []byte("key"), make([]byte, 100)
	fill := func() {
		b.Reset()
		for range 100 {
			b.Put(key, value)
			b.Delete(key)
		}
		_ = b.Repr()
	}
	fill()
	if n := testing.AllocsPerRun(10, fill); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

func TestReadBatchRejects(t *testing.T) {
	var b engine.Batch
	b.Put([]byte("key"), []byte("value"))
	b.DeleteRange([]byte("a"), []byte("b"))
	good := b.Repr()
	change := func(at int, to byte) []byte {
		c := bytes.Clone(good)
		c[at] = to
		return c
	}
	for name, repr := range map[string][]byte{
		"nothing":          nil,
		"half a header":    good[:7],
		"version":          change(0, 2),
		"flags":            change(1, 1),
		"count too high":   change(8, 3),
		"count too low":    change(8, 1),
		"huge count":       change(11, 0xff),
		"kind":             change(12, 2),
		"key beyond end":   change(13, 0x7f),
		"empty key":        {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 'v'},
		"empty start":      {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 15, 0, 1, 'v'},
		"cut":              good[:len(good)-1],
		"empty range":      change(len(good)-1, 'a'),
		"bytes after":      append(bytes.Clone(good), 0),
		"long length":      append(bytes.Clone(b.Repr()[:12]), 0, 0x81, 0x00, 'x', 0),
		"length of 2^64-1": append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	} {
		if err := readAll(repr); !errors.Is(err, engine.ErrCorruptBatch) {
			t.Errorf("%s: err %v", name, err)
		}
	}
	if err := readAll(good); err != nil {
		t.Errorf("good batch: %v", err)
	}
}

func readAll(repr []byte) error {
	r, err := engine.ReadBatch(repr)
	if err != nil {
		return err
	}
	for {
		if _, _, _, ok, err := r.Next(); !ok || err != nil {
			return err
		}
	}
}

// FuzzReadBatch checks that the decoder takes any bytes, and that what it accepts
// has one wire form.
func FuzzReadBatch(f *testing.F) {
	rng := enginetest.RandOf(1)
	for range 5 {
		var b engine.Batch
		for range rng.IntN(20) {
			enginetest.RandomMutation(rng, &b)
		}
		f.Add(bytes.Clone(b.Repr()))
	}
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0x80})
	f.Fuzz(func(t *testing.T, repr []byte) {
		r, err := engine.ReadBatch(repr)
		var b engine.Batch
		for err == nil {
			var kind engine.Kind
			var key, value []byte
			var ok bool
			if kind, key, value, ok, err = r.Next(); err != nil || !ok {
				break
			}
			switch kind {
			case engine.KindPut:
				b.Put(key, value)
			case engine.KindDelete:
				b.Delete(key)
			case engine.KindDeleteRange:
				b.DeleteRange(key, value)
			}
		}
		switch {
		case err != nil:
			if !errors.Is(err, engine.ErrCorruptBatch) {
				t.Fatalf("err %v", err)
			}
		case !bytes.Equal(b.Repr(), repr):
			t.Fatalf("accepted %x, written again it is %x", repr, b.Repr())
		}
	})
}
