package keyspace

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func FuzzParseHead(f *testing.F) {
	f.Add(byte(TypeHash), []byte("\x00\x00\x00\x00"))
	f.Add(byte(TypeList-TypeList), []byte("\x11\x00\x03\x00\x7f\xff\xff\xff\xff\xff\xff\xff\x80\x02"))
	f.Add(byte(3), []byte("\x1d\x00\x05\x02\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00"))
	f.Add(byte(TypeSet), []byte("\x23\x3f\xff\x01\x80\x01"))
	f.Add(byte(TypeZSet), []byte("\x11\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00rest"))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		typ := Type(kind%5) + TypeList
		h, rest, err := parseHead(typ, b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, more, err := parseHead(typ, append(h.append(nil), rest...))
		if err != nil || again != h || !bytes.Equal(more, rest) {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzSplitField(f *testing.F) {
	f.Add([]byte("\x00value"))
	f.Add([]byte("\x01\x00\x00\x01\x8b\xcf\xe5\x68\x00value"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		value, expireAt, err := splitField(stored)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if again := appendField(nil, value, expireAt); !bytes.Equal(again, stored) {
			t.Fatalf("%x decoded and encoded is %x", stored, again)
		}
	})
}

func FuzzSplitFieldTime(f *testing.F) {
	f.Add(append(appendUint64(appendPrefix(nil, kindFieldTime, 1, 2, 3), 1_700_000_000_000), "field"...))
	f.Fuzz(func(t *testing.T, key []byte) {
		expireAt, field, err := splitFieldTime(key)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if again := append(appendUint64(bytes.Clone(key[:elementPrefixBytes]), uint64(expireAt)), field...); !bytes.Equal(again, key) {
			t.Fatalf("%x decoded and encoded is %x", key, again)
		}
	})
}

func FuzzInline(f *testing.F) {
	f.Add(byte(0), []byte("\x01f\x05value\x00\x00"))
	f.Add(byte(1), []byte("\x03abc\x00"))
	f.Add(byte(2), []byte("\x01m\x3f\xf0\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		typ := []Type{TypeHash, TypeSet, TypeZSet, TypeList}[kind%4]
		var again []byte
		for at := 0; ; {
			e, ok, err := nextInline(typ, b, at)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if !ok {
				break
			}
			if e.start != at || e.end <= at {
				t.Fatalf("an entry from %d to %d at %d", e.start, e.end, at)
			}
			again = appendInline(typ, again, e.element, e.value)
			at = e.end
		}
		if len(again) > len(b) {
			t.Fatalf("%x decoded and encoded is %x", b, again)
		}
	})
}

func FuzzSplitScore(f *testing.F) {
	for _, score := range []float64{0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), 5e-324, math.MaxFloat64} {
		key := appendPrefix(nil, kindScore, 1, 2, 3)
		f.Add(appendScoreMember(key, score, []byte("member")), scoreRecordValue(score))
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		score, member, err := splitScore(key, value)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again := appendScoreMember(bytes.Clone(key[:elementPrefixBytes]), score, member)
		if !bytes.Equal(again, key) || !bytes.Equal(scoreRecordValue(score), value) {
			t.Fatalf("%x, %x decoded and encoded is %x, %x", key, value, again, scoreRecordValue(score))
		}
	})
}

func FuzzParseBounds(f *testing.F) {
	f.Add([]byte("\x08abcdefgh\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		low, high, err := parseBounds(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, more, err := parseBounds(appendBounds(nil, low, high))
		if err != nil || !bytes.Equal(again, low) || !bytes.Equal(more, high) {
			t.Fatalf("%x, %x became %x, %x, %v", low, high, again, more, err)
		}
	})
}

// Score keys stand in the order of scores, then of members.
func TestScoreOrder(t *testing.T) {
	scores := []float64{math.Inf(-1), -math.MaxFloat64, -1e10, -1, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64,
		0x1p-1022, 0.1, 1, 1e10, math.MaxFloat64, math.Inf(1)}
	random := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		if f := math.Float64frombits(random.Uint64()); !math.IsNaN(f) {
			scores = append(scores, f)
		}
	}
	slices.Sort(scores)
	var last []byte
	for i, score := range scores {
		if scoreOfOrdered(orderedScore(score)) != score {
			t.Errorf("%v became %v", score, scoreOfOrdered(orderedScore(score)))
		}
		for _, member := range []string{"", "a", "a\x00", "b"} {
			key := appendScoreMember(nil, score, []byte(member))
			if (i == 0 || score != scores[i-1]) && bytes.Compare(last, key) >= 0 {
				t.Errorf("%v %q does not come after %x", score, member, last)
			}
			last = key
		}
	}
	if orderedScore(math.Copysign(0, -1)) != orderedScore(0) {
		t.Error("-0 is not where 0 is")
	}
}

// The disk format must not change by accident.
func TestCollectionFormat(t *testing.T) {
	h := head{separate: true, encoding: SetTable, away: true, home: 0x1234, moves: 1, size: 300, dead: 5}
	if got := h.append(nil); string(got) != "\x23\x12\x34\x01\xac\x02\x05" {
		t.Errorf("head: %x", got)
	}
	h = head{separate: true, encoding: HashTable, size: 2, tagged: true, nextExpiry: 0x0102030405060708}
	if got := h.append(nil); string(got) != "\x1d\x00\x02\x00\x01\x02\x03\x04\x05\x06\x07\x08" {
		t.Errorf("head of a hash with expiring fields: %x", got)
	}
	if got := appendField(nil, []byte("value"), 0x0102030405060708); string(got) != "\x01\x01\x02\x03\x04\x05\x06\x07\x08value" {
		t.Errorf("field: %x", got)
	}
	key := appendElement(appendPrefix(nil, kindElement, 1, 0x1234, 0x0102030405060708), []byte("member"))
	if string(key) != "e\x01\x12\x34\x01\x02\x03\x04\x05\x06\x07\x08\xcb\x7a\xc1\x0c"+
		"member" {
		t.Errorf("element: %x", key)
	}
	key = appendScoreMember(appendPrefix(nil, kindScore, 1, 0x1234, 2), -1.5, []byte("m"))
	if string(key) != "z\x01\x12\x34\x00\x00\x00\x00\x00\x00\x00\x02\x40\x07\xff\xff\xff\xff\xff\xffm" {
		t.Errorf("score: %x", key)
	}
	ends := listEnds{first: 0x0102030405060708, packed: 300}
	if got := ends.append(nil); string(got) != "\x01\x02\x03\x04\x05\x06\x07\x08\xac\x02" {
		t.Errorf("ends of a list: %x", got)
	}
	if got := appendPosition(nil, 1, 2, 3, 4); string(got) != "e\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x04" {
		t.Errorf("position: %x", got)
	}
	if got := appendInline(TypeHash, nil, []byte("f"), []byte("value")); string(got) != "\x01f\x05value" {
		t.Errorf("inline: %x", got)
	}
}
