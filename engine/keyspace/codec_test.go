package keyspace

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestSlotOf(t *testing.T) {
	// The values are those of CLUSTER KEYSLOT.
	for _, c := range []struct {
		key  string
		slot Slot
	}{
		{"", 0}, {"123456789", 12739}, {"foo", 12182}, {"bar", 5061}, {"hello", 866},
		{"{user1000}.following", 3443}, {"{user1000}.followers", 3443}, {"user1000", 3443},
		{"foo{}{bar}", 8363}, {"foo{{bar}}zap", 4015}, {"{bar", 4015}, {"foo{bar}{zap}", 5061},
	} {
		if got := SlotOf([]byte(c.key)); got != c.slot {
			t.Errorf("SlotOf(%q) = %d, want %d", c.key, got, c.slot)
		}
	}
}

// crc16 works on eight bytes at a time; the definition works on bits.
func TestCRC16Definition(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 70 {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(random.Uint32())
		}
		var want uint16
		for _, b := range p {
			want ^= uint16(b) << 8
			for range 8 {
				if want&0x8000 != 0 {
					want = want<<1 ^ 0x1021
				} else {
					want <<= 1
				}
			}
		}
		if got := crc16(p); got != want {
			t.Errorf("crc16(%x) = %04x, want %04x", p, got, want)
		}
	}
}

func FuzzSlotOf(f *testing.F) {
	for _, s := range []string{"", "a{b}c", "{}", "}{", "{a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		slot := SlotOf(key)
		if slot >= SlotCount {
			t.Fatalf("slot %d", slot)
		}
		if tag := hashTag(key); !bytes.ContainsAny(tag, "{}") && SlotOf(tag) != slot {
			t.Fatalf("tag %q of %q is in another slot", tag, key)
		}
		longer := append(append([]byte(nil), key...), "}x{"...)
		if tagOfPrefix(key) && SlotOf(longer) != slot {
			t.Fatalf("%q was taken for a whole tag", key)
		}
	})
}

// Engine keys must order as (database, slot, key) and (time, ...) do.
func TestKeyOrder(t *testing.T) {
	keys := []string{"", "\x00", "\x00\x00", "\x00\xff", "a", "a\x00", "aa", "b", "\xff", "\xff\xff"}
	slots := []Slot{0, 1, 255, 256, SlotCount - 1}
	times := []int64{1, 255, 256, 1 << 40, math.MaxInt64}
	var meta, expiry [][]byte
	for _, db := range []physical{0, 1, 15} {
		for _, slot := range slots {
			for _, key := range keys {
				meta = append(meta, appendMetaKey(nil, db, slot, []byte(key)))
				gotDB, gotSlot, gotKey, err := parseMetaKey(meta[len(meta)-1])
				if err != nil || gotDB != db || gotSlot != slot || string(gotKey) != key {
					t.Fatalf("%d %d %q: parsed as %d %d %q, %v", db, slot, key, gotDB, gotSlot, gotKey, err)
				}
			}
		}
	}
	for _, at := range times {
		for _, slot := range slots {
			for _, key := range keys {
				expiry = append(expiry, appendExpiryKey(nil, at, 3, slot, []byte(key)))
				gotAt, gotDB, gotSlot, gotKey, err := parseExpiryKey(expiry[len(expiry)-1])
				if err != nil || gotAt != at || gotDB != 3 || gotSlot != slot || string(gotKey) != key {
					t.Fatalf("%d %d %q: parsed as %d %d %d %q, %v", at, slot, key, gotAt, gotDB, gotSlot, gotKey, err)
				}
			}
		}
	}
	for _, list := range [][][]byte{meta, expiry} {
		for i := 1; i < len(list); i++ {
			if bytes.Compare(list[i-1], list[i]) >= 0 {
				t.Fatalf("%x does not stand before %x", list[i-1], list[i])
			}
		}
	}
}

func TestMetaRoundTrip(t *testing.T) {
	for _, m := range []Meta{
		{Type: TypeString, Body: []byte{}},
		{Type: TypeString, Body: []byte("value"), ExpireAt: 1},
		{Type: TypeString, Form: FormRaw, Body: []byte{0}, ExpireAt: math.MaxInt64},
		{Type: TypeString, Form: FormText, Body: []byte("10")},
		{Type: TypeHash, Version: 7, Body: []byte("size")},
		{Type: TypeStream, Version: math.MaxUint64, Body: []byte{}, ExpireAt: 5},
	} {
		got, err := DecodeMeta(m.AppendTo(nil))
		if err != nil || got.Type != m.Type || got.Form != m.Form || got.ExpireAt != m.ExpireAt ||
			got.Version != m.Version || !bytes.Equal(got.Body, m.Body) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
	}
}

// The disk format must not change by accident.
func TestMetaFormat(t *testing.T) {
	m := Meta{Type: TypeString, Form: FormRaw, ExpireAt: 0x0102030405060708, Body: []byte("v")}
	if got := m.AppendTo(nil); !bytes.Equal(got, []byte("\x31\x01\x02\x03\x04\x05\x06\x07\x08v")) {
		t.Errorf("string: %x", got)
	}
	m = Meta{Type: TypeHash, Version: 9, Body: []byte("b")}
	if got := m.AppendTo(nil); !bytes.Equal(got, []byte("\x05\x00\x00\x00\x00\x00\x00\x00\x09b")) {
		t.Errorf("hash: %x", got)
	}
}

func FuzzDecodeMeta(f *testing.F) {
	for _, s := range []string{"", "\x01", "\x01abc", "\x11abcdefgh", "\x71", "\x05abcdefgh", "\x0500000000\x30", "\x80", "\x07"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMeta(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if again := m.AppendTo(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x decoded and encoded is %x", b, again)
		}
		if _, err := m.Encoding(); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("error %v", err)
		}
	})
}

func TestEncoding(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), maxEmbeddedString))
	for _, c := range []struct {
		value string
		form  Form
		want  string
	}{
		{"", FormAuto, "embstr"}, {"0", FormAuto, "int"}, {"-1", FormAuto, "int"}, {"-0", FormAuto, "embstr"},
		{"9223372036854775807", FormAuto, "int"}, {"9223372036854775808", FormAuto, "embstr"},
		{"01", FormAuto, "embstr"}, {"1", FormRaw, "raw"}, {"1", FormText, "embstr"},
		{long, FormAuto, "embstr"}, {long + "x", FormAuto, "raw"}, {long + "x", FormText, "raw"},
	} {
		m := Meta{Type: TypeString, Form: c.form, Body: []byte(c.value)}
		if got, err := m.Encoding(); got != c.want || err != nil {
			t.Errorf("%q, form %d: %s, want %s", c.value, c.form, got, c.want)
		}
	}
}

func TestParseInt(t *testing.T) {
	for _, s := range []string{
		"0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808", "123456789012345678",
	} {
		n, ok := ParseInt([]byte(s))
		if want, err := strconv.ParseInt(s, 10, 64); err != nil || !ok || n != want {
			t.Errorf("%q: %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{
		"", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "-9223372036854775809",
		"18446744073709551615", "18446744073709551616", "99999999999999999999", "1e3", "１",
	} {
		if n, ok := ParseInt([]byte(s)); ok {
			t.Errorf("%q: %d", s, n)
		}
	}
}

func FuzzParseInt(f *testing.F) {
	f.Add([]byte("-9223372036854775808"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := ParseInt(b)
		if ok != (strconv.FormatInt(n, 10) == string(b)) {
			t.Fatalf("%q: %d, %v", b, n, ok)
		}
		if want, err := strconv.ParseInt(string(b), 10, 64); err == nil && !ok && strconv.FormatInt(want, 10) == string(b) {
			t.Fatalf("%q was refused", b)
		}
	})
}

func TestDBMap(t *testing.T) {
	m := identityMap
	random := rand.New(rand.NewPCG(3, 4))
	var want [Databases]physical
	for i := range want {
		want[i] = physical(i)
	}
	for range 1000 {
		a, b := random.IntN(Databases), random.IntN(Databases)
		m = m.swapped(a, b)
		want[a], want[b] = want[b], want[a]
		if !m.valid() {
			t.Fatalf("%x is not a permutation", uint64(m))
		}
		for i, db := range want {
			if m.of(i) != db || m.logicalOf(db) != i {
				t.Fatalf("%x: database %d is %d, want %d", uint64(m), i, m.of(i), db)
			}
		}
	}
	if dbMap(0).valid() {
		t.Error("a map of zeros passed as a permutation")
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(uint64(0))
	f.Add(uint64(math.MaxUint64))
	var table cursorTable
	table.init()
	known := table.put(scanPosition{db: 1, slot: 5, key: "key"})
	f.Fuzz(func(t *testing.T, n uint64) {
		c := Cursor(n)
		if c.Slot() >= SlotCount || makeCursor(c.Slot(), c.token()) != c {
			t.Fatalf("cursor %d: slot %d, token %d", n, c.Slot(), c.token())
		}
		if _, ok := table.get(c, 1); ok != (c == known) {
			t.Fatalf("cursor %d found: %v", n, ok)
		}
	})
}

func TestCursorTableIsBounded(t *testing.T) {
	var table cursorTable
	table.init()
	first := table.put(scanPosition{slot: 1, key: "first"})
	var last Cursor
	for range maxCursors {
		last = table.put(scanPosition{slot: 2, key: "later"})
	}
	if _, ok := table.get(first, 0); ok {
		t.Error("the oldest position is still there")
	}
	if key, ok := table.get(last, 0); !ok || key != "later" {
		t.Error("the newest position is gone")
	}
	huge := string(make([]byte, maxCursorBytes+1))
	last = table.put(scanPosition{slot: 3, key: huge})
	if key, ok := table.get(last, 0); !ok || len(key) != len(huge) {
		t.Error("the newest position is gone because it is large")
	}
	if n := len(table.mu.positions); n != 1 {
		t.Errorf("%d positions beside one that takes all the room", n-1)
	}
	table.put(scanPosition{slot: 4, key: "small"})
	if table.mu.bytes != len("small") {
		t.Errorf("%d bytes accounted for 5", table.mu.bytes)
	}
}
