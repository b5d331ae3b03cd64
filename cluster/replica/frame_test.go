package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"testing"

	"dkv/cluster/shard"
	"dkv/engine"
)

func batchOf(pairs ...string) []byte {
	var b engine.Batch
	for i := 0; i+1 < len(pairs); i += 2 {
		b.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return bytes.Clone(b.Repr())
}

var someFrames = []Frame{
	{Type: FrameHeartbeat, Sent: 1700000000000, Head: 7},
	{Type: FrameEntries, Sent: 1, Head: 9, At: shard.Position{Index: 9, Term: 2}, Prev: 4},
	{Type: FrameEntries, Head: 9, At: shard.Position{Index: 9, Term: 2}, Prev: 7, Batches: [][]byte{batchOf("a", "1"), batchOf("b", "2", "c", "")}},
	{Type: FrameChunk, At: shard.Position{Index: 3, Term: 1}, Prev: 3, Place: []byte("place"), Chunk: []byte("chunk"), Last: true},
	{Type: FrameChunk, At: shard.Position{Index: 3, Term: 1}, Place: []byte{}, Chunk: []byte{}},
	{Type: FrameMessages, Sent: 1, Head: 9, At: shard.Position{Index: 9, Term: 2}, Prev: 9, Messages: []byte("said")},
	{Type: FramePath, Sent: 1, Head: 9, At: shard.Position{Index: 9, Term: 2}, Prev: 9, Path: "abc,def"},
}

func TestFrames(t *testing.T) {
	for _, f := range someFrames {
		data := f.Append([]byte("before"))[len("before"):]
		got, err := ParseFrame(data)
		if err != nil || !reflect.DeepEqual(got, f) {
			t.Errorf("%+v came back as %+v, %v", f, got, err)
		}
		for i := range data {
			damaged := bytes.Clone(data)
			damaged[i] ^= 0x10
			if _, err := ParseFrame(damaged); !errors.Is(err, ErrFrame) {
				t.Errorf("type %d, byte %d damaged: %v", f.Type, i, err)
			}
		}
		for n := range data {
			if _, err := ParseFrame(data[:n]); !errors.Is(err, ErrFrame) {
				t.Errorf("type %d, cut to %d bytes: %v", f.Type, n, err)
			}
		}
	}
}

// TestFramesThatCannotBe have a good checksum.
func TestFramesThatCannotBe(t *testing.T) {
	whole := someFrames[2].Append(nil)
	for name, change := range map[string]func(b []byte) []byte{
		"another version":       func(b []byte) []byte { b[0]++; return b },
		"another type":          func(b []byte) []byte { b[1] = 9; return b },
		"unknown flags":         func(b []byte) []byte { b[2] = 2; return b },
		"a last one of entries": func(b []byte) []byte { b[2] = 1; return b },
		"what is reserved":      func(b []byte) []byte { b[7] = 1; return b },
		"backwards":             func(b []byte) []byte { binary.LittleEndian.PutUint64(b[40:], 10); return b },
		"more than entries":     func(b []byte) []byte { binary.LittleEndian.PutUint64(b[40:], 8); return b },
		"a length too long":     func(b []byte) []byte { b[48] = 0x7f; return b },
		"a long form of length": func(b []byte) []byte { return append(b, 0x80, 0) },
		"no batch":              func(b []byte) []byte { return append(b, 1, 1) },
		"a heartbeat's body":    func(b []byte) []byte { b[1] = byte(FrameHeartbeat); return b },
		"a chunk without place": func(b []byte) []byte { b[1] = byte(FrameChunk); return b[:frameHeaderBytes] },
	} {
		b := change(bytes.Clone(whole[:len(whole)-frameSumBytes]))
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
		if f, err := ParseFrame(b); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// FuzzParseFrame: no input panics, and what is taken for a frame is one.
func FuzzParseFrame(f *testing.F) {
	for _, fr := range someFrames {
		data := fr.Append(nil)
		f.Add(data[:len(data)-frameSumBytes])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		// With a checksum that is right, or nothing gets past it.
		data := binary.LittleEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
		fr, err := ParseFrame(data)
		if err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatalf("an error that is not ErrFrame: %v", err)
			}
			return
		}
		if again := fr.Append(nil); !bytes.Equal(again, data) {
			t.Fatalf("%x is written as %x", data, again)
		}
	})
}
