package keyspace

import (
	"bytes"
	"errors"
	"testing"
)

// refused reports whether a decoder refused its input, as it must: with ErrCorrupt.
func refused(t *testing.T, err error) bool {
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Fatalf("error %v", err)
	}
	return err != nil
}

func FuzzStreamState(f *testing.F) {
	s := streamState{LastID: StreamID{1_700_000_000_000, 3}, FirstID: StreamID{1_600_000_000_000, 0}, top: StreamID{1_700_000_000_000, 2}, Added: 500, groups: 1, nextGroup: 4}
	f.Add(s.append(nil))
	s.nodes, s.lowNode = 5, s.FirstID
	s.tail = newStreamNode(StreamID{1_700_000_000_000, 1}, [][]byte{[]byte("f"), []byte("v")})
	f.Add(s.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStreamState(b)
		if refused(t, err) {
			return
		}
		if again, err := parseStreamState(s.append(nil)); err != nil || again != s {
			t.Fatalf("%+v became %+v, %v", s, again, err)
		}
	})
}

func FuzzStreamNode(f *testing.F) {
	n := newStreamNode(StreamID{5, 1}, [][]byte{[]byte("f"), []byte("v")})
	n.add(StreamID{6, 0}, [][]byte{[]byte("g"), []byte("12345")})
	f.Add(uint64(5), uint64(1), n.append(nil))
	f.Fuzz(func(t *testing.T, ms, seq uint64, b []byte) {
		n, err := parseStreamNode(StreamID{ms, seq}, b)
		if refused(t, err) {
			return
		}
		if again, err := parseStreamNode(n.first, n.append(nil)); err != nil || again != n {
			t.Fatalf("%+v became %+v, %v", n, again, err)
		}
	})
}

func FuzzStreamEntry(f *testing.F) {
	f.Add(appendStreamEntry(nil, [][]byte{[]byte("field"), nil}))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := parseStreamEntry(nil, b)
		if refused(t, err) {
			return
		}
		again, err := parseStreamEntry(nil, appendStreamEntry(nil, fields))
		if err != nil || len(again) != len(fields) || !bytes.Equal(bytes.Join(again, []byte{0}), bytes.Join(fields, []byte{0})) {
			t.Fatalf("%q became %q, %v", fields, again, err)
		}
	})
}

func FuzzStreamGroup(f *testing.F) {
	g := Group{LastID: StreamID{7, 1}, EntriesRead: UnknownRead, number: 3, pending: 2, consumers: 1, nextConsumer: 9, high: StreamID{7, 0}}
	f.Add(byte(0), g.append(nil))
	c := Consumer{Name: []byte("name"), Seen: 5, Active: -1, pending: 4, bounds: bounds{low: StreamID{3, 3}, dead: 1}}
	f.Add(byte(1), c.append(nil))
	p := Pending{Time: 1_700_000_000_000, Count: 2, consumer: 300}
	f.Add(byte(2), p.append(nil))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		var once, twice []byte
		var err error
		switch kind % 3 {
		case 0:
			var g *Group
			if g, err = parseGroup(nil, b); refused(t, err) {
				return
			}
			once = g.append(nil)
			if g, err = parseGroup(nil, once); err == nil {
				twice = g.append(nil)
			}
		case 1:
			var c *Consumer
			if c, err = parseConsumer(1, b); refused(t, err) {
				return
			}
			once = c.append(nil)
			if c, err = parseConsumer(1, once); err == nil {
				twice = c.append(nil)
			}
		default:
			var p Pending
			if p, err = parsePending(StreamID{}, b); refused(t, err) {
				return
			}
			once = p.append(nil)
			if p, err = parsePending(StreamID{}, once); err == nil {
				twice = p.append(nil)
			}
		}
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x, %v", once, twice, err)
		}
	})
}

// The disk format must not change by accident.
func TestStreamFormat(t *testing.T) {
	fields := [][]byte{[]byte("f"), []byte("value")}
	n := newStreamNode(StreamID{5, 1}, fields)
	n.add(StreamID{5, 1}, fields)
	n.add(StreamID{6, 0}, fields)
	s := streamState{LastID: StreamID{300, 2}, FirstID: StreamID{5, 1}, top: StreamID{6, 0}, Added: 2, groups: 1, nextGroup: 1, nodes: 1, lowNode: StreamID{5, 1}, tail: n}
	if got := s.append(nil); string(got) != "\xac\x02\x02\xa7\x02\x01\xa6\x02\x00\xac\x02\x00\x02\x01\x01\x01\xa7\x02\x01\xa7\x02\x01"+
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x02\x00\x26\x08\x2f\x40\x07\xb4\xe8\xbf\xbe" {
		t.Errorf("state: %x", got)
	}
	if got := appendStreamEntry(nil, fields); string(got) != "\x02\x01f\x05value" {
		t.Errorf("entry: %x", got)
	}
	g := Group{LastID: StreamID{7, 1}, EntriesRead: UnknownRead, number: 3, pending: 2, consumers: 1, nextConsumer: 9, high: StreamID{7, 0}}
	if got := g.append(nil); string(got) != "\x03\x07\x01\x01\x02\x01\x09\x07\x00\x00\x00\x00" {
		t.Errorf("group: %x", got)
	}
	c := Consumer{Name: []byte("name"), Seen: 5, Active: -1, pending: 4, bounds: bounds{low: StreamID{3, 3}, dead: 1}}
	if got := c.append(nil); string(got) != "\x0a\x01\x04\x03\x03\x01\x04name" {
		t.Errorf("consumer: %x", got)
	}
	p := Pending{Time: 3, Count: 2, consumer: 300}
	if got := p.append(nil); string(got) != "\xac\x02\x06\x04" {
		t.Errorf("pending: %x", got)
	}
}

// The sizes are those that listpack.c of Redis gives.
func TestListpackSizes(t *testing.T) {
	for _, tc := range []struct {
		s    string
		size uint64
	}{
		{"", 2}, {"abc", 5}, {"0", 2}, {"127", 2}, {"128", 3}, {"-1", 3}, {"-4096", 3}, {"4096", 4}, {"32767", 4}, {"-32769", 5}, {"8388608", 6},
		{"2147483648", 10}, {"-9223372036854775808", 10}, {"9223372036854775808", 21}, {"01", 4}, {string(make([]byte, 63)), 65}, {string(make([]byte, 64)), 67},
		{string(make([]byte, 125)), 128}, {string(make([]byte, 126)), 130}, {string(make([]byte, 4096)), 4103}, {string(make([]byte, 20000)), 20008},
	} {
		if got := listpackString([]byte(tc.s)); got != tc.size {
			t.Errorf("%.20q of %d bytes: %d, want %d", tc.s, len(tc.s), got, tc.size)
		}
	}
}
