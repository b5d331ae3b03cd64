package transport

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzFrame: any bytes are either a row of records or an error, and what comes
// out is no more than what went in.
func FuzzFrame(f *testing.F) {
	r := record{kind: kindMessage, code: 1, shard: 2, id: 300, total: 4}
	f.Add(append(r.appendHead(nil), 1, 2, 3, 4), 2)
	cut := r.appendFirst(nil, []byte{1})
	f.Add(appendMore(cut, []byte{2, 3, 4}), 7)
	f.Add(append(cut, byte(kindAbort)), 1)
	f.Add([]byte{0x83, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}, 3)
	f.Fuzz(func(t *testing.T, b []byte, split int) {
		asm := assembler{limit: 1 << 16}
		sum := 0
		add := func(r record, _ bool) error {
			if uint64(len(r.body)) != r.total || r.kind == 0 || r.kind >= kindEnd {
				t.Fatalf("record %+v", r)
			}
			sum += len(r.body)
			return nil
		}
		// A frame ends anywhere, but a part of a record does not.
		split = min(max(split, 0), len(b))
		for _, frame := range [][]byte{b[:split], b[split:]} {
			if err := asm.frame(frame, add); err != nil {
				if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) {
					t.Fatal(err)
				}
				return
			}
		}
		if sum > len(b) || cap(asm.cut.body) > 1<<16 {
			t.Fatalf("%d bytes out of %d, %d are held", sum, len(b), cap(asm.cut.body))
		}
	})
}

func FuzzHandshake(f *testing.F) {
	h := hello{version: ProtocolVersion, cluster: "c", from: 1, incarnation: "i", to: 2, toIncarnation: "j"}
	f.Add(helloBody(h))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHello(b); err == nil && h.version == ProtocolVersion {
			again, err := parseHello(helloBody(h))
			if err != nil || again != h {
				t.Fatalf("%+v became %+v, %v", h, again, err)
			}
		}
		_, _ = parseWelcome(record{body: b})
		_, _, _, _ = parseChunk(record{body: b})
		_, _ = parseSnapshotHeader(record{kind: kindHeader, body: b})
	})
}

func TestFrameErrors(t *testing.T) {
	r := record{kind: kindReply, total: 4}
	first := r.appendFirst(nil, []byte{1})
	large := record{kind: kindReply, total: 1 << 20}
	tests := map[string]struct {
		b    []byte
		want error
	}{
		"unknown kind":     {[]byte{60, 0, 0, 0, 0}, ErrFormat},
		"truncated":        {r.appendHead(nil), ErrFormat},
		"two are cut":      {append(bytes.Clone(first), first...), ErrFormat},
		"a part too many":  {appendMore(bytes.Clone(first), make([]byte, 4)), ErrFormat},
		"no first part":    {appendMore(nil, []byte{1}), ErrFormat},
		"no abort":         {[]byte{byte(kindAbort)}, ErrFormat},
		"large shard":      {[]byte{byte(kindReply), 0, 0xff, 0xff, 0x7f, 0, 0}, ErrFormat},
		"too large":        {large.appendFirst(nil, nil), ErrTooLarge},
		"all in the first": {append([]byte{byte(kindReply | firstBit), 0, 0, 0, 1, 1}, 7), ErrFormat},
	}
	for name, test := range tests {
		asm := assembler{limit: 1000}
		if err := asm.frame(test.b, func(record, bool) error { return nil }); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func helloBody(h hello) []byte { return h.record().body }
