package raftlog

import (
	"bytes"
	"reflect"
	"testing"
)

// FuzzRecord decodes anything: as a header, and as the meta of each kind. What
// decodes must come out the same after being encoded again.
func FuzzRecord(f *testing.F) {
	m := appendMeta{hasHard: true, hard: hardState{1, 2, 3}, first: 10, prevTerm: 1, count: 2}
	b := appendAppendMeta(nil, &m)
	b = appendEntryMeta(b, entryMeta{flags: entryHasData, term: 1, bytes: 100, crc: 5})
	b = appendEntryMeta(b, entryMeta{flags: entryHasType, term: 2, typ: 2})
	f.Add(b, uint64(100))
	f.Add(appendState(nil, &shardState{id: 1, hard: hardState{1, 2, 3}, last: 5, lastTerm: 2, conf: []byte("conf")}), uint64(0))
	f.Add(appendState([]byte{1}, &shardState{id: 1}), uint64(1<<63))
	h := make([]byte, recordHeaderBytes)
	putRecordHeader(h, recordHeader{kind: kindAppend, metaLen: 5, dataLen: 9, shard: 3, synced: 4096}, 77, 8192)
	f.Add(h, uint64(8192))
	f.Fuzz(func(t *testing.T, b []byte, n uint64) {
		if m, ok := parseAppendMeta(b, n); ok {
			again := appendAppendMeta(nil, &m)
			list := m.list
			for range m.count {
				var e entryMeta
				if e, list, ok = nextEntryMeta(list); !ok {
					t.Fatal("an entry of a checked list does not parse")
				}
				again = appendEntryMeta(again, e)
			}
			m2, ok := parseAppendMeta(again, n)
			m.list, m2.list = nil, nil
			if !ok || !reflect.DeepEqual(m, m2) || len(again) > len(b) {
				t.Fatalf("%+v became %+v", m, m2)
			}
		}
		if st, rest, ok := parseState(b); ok {
			st2, rest2, ok := parseState(append(appendState(nil, &st), rest...))
			if !ok || !reflect.DeepEqual(st, st2) || !bytes.Equal(rest, rest2) {
				t.Fatalf("%+v became %+v", st, st2)
			}
		}
		if sts, ok := parseStates(b); ok && len(sts) > len(b) {
			t.Fatal("more states than bytes")
		}
		if len(b) >= recordHeaderBytes {
			off := int64(n &^ (1<<63 | recordAlign - 1))
			// A checksum that is right, or the fuzzer never gets past it.
			b = bytes.Clone(b)
			h, _ := parseRecordHeader(b, 77, off)
			putRecordHeader(b, h, 77, off)
			h2, ok := parseRecordHeader(b, 77, off)
			if ok && (h != h2 || h2.dataLen > maxDataBytes) {
				t.Fatalf("%+v became %+v", h, h2)
			}
			if _, ok := parseRecordHeader(b, 77, off+8); ok {
				t.Fatal("a header parses at another offset")
			}
			if _, ok := parseRecordHeader(b, 78, off); ok {
				t.Fatal("a header parses in another segment")
			}
		}
	})
}

// FuzzOpen damages a log anywhere and opens it.
func FuzzOpen(f *testing.F) {
	f.Add(uint16(0), []byte{1})
	f.Add(uint16(4096), bytes.Repeat([]byte{0}, 300))
	f.Add(uint16(4200), []byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, off uint16, mask []byte) { damagedOpen(t, int64(off), mask) })
}
