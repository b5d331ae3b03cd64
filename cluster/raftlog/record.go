package raftlog

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// A record is the unit that a crash keeps or loses as a whole. It begins at a
// multiple of 8 in its segment; integers are little endian.
//
//	 0  header crc   4  CRC32C of bytes 4 to 32, seeded by the segment's salt
//	                    and number and by the record's offset in the file
//	 4  meta crc     4  CRC32C of the meta bytes
//	 8  meta length  4
//	12  shard        2
//	14  kind         1
//	15  zero         1
//	16  data length  8
//	24  synced       8  what stands before this offset of the segment was on
//	                    disk when the record was written
//	32  meta
//	 .  data            of the entries, one after the other
//	 .  up to 7 bytes to a multiple of 8, of no meaning
//
// The seed is why what a recycled file held before never parses, nor does
// anything that a client puts into a value: the salt is not known outside.
// The header has a checksum of its own so that recovery finds the records after
// a damaged one; through the meta it covers the data: the meta holds the
// checksum of each entry's data, so one entry is read and verified by itself.
//
// Meta by kind; u is an unsigned varint:
//
//	head    u count of shards, and for each: state
//	append  flags 1 (bit 0: hard state), [u term, u vote, u commit],
//	        u index of the first entry, u term of the entry before it,
//	        u count, and for each entry: flags 1 (bit 0: has data, bit 1: has
//	        type), u term, u type, u data length, data crc 4
//	state   state: a hard state or configuration that came without entries
//	reset   state: the shard's log is empty and goes on after state.last
//	mark    nothing; it is written for what it says about synced
//	seal    nothing; the segment ends here, complete
//
//	state = u shard, u term, u vote, u commit, u mark, u last, u last term,
//	        u length, raftpb.ConfState
type recordHeader struct {
	metaCRC uint32
	metaLen uint32
	shard   ShardID
	kind    kind
	dataLen uint64
	synced  int64
}

type kind uint8

const (
	kindHead kind = 1 + iota
	kindAppend
	kindState
	kindReset
	kindMark
	kindSeal
	kindEnd // one above the last
)

const (
	recordHeaderBytes = 32
	recordAlign       = 8

	// maxDataBytes bounds the data length of one record, far above what a raft
	// group proposes, so that sums of lengths cannot overflow.
	maxDataBytes = 1 << 40
	// minEntryMetaBytes is the least that an entry takes in an append's meta.
	minEntryMetaBytes = 8

	appendHasHard  = 1
	entryHasData   = 1
	entryHasType   = 2
	noShard        = ShardID(math.MaxUint16) // in records of no one shard
	maxUvarintLen  = binary.MaxVarintLen64
	maxEntryMeta   = 1 + 3*maxUvarintLen + 4
	maxAppendStart = 1 + 6*maxUvarintLen
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// recordBytes is what a record takes in its segment.
func recordBytes(metaLen, dataLen int64) int64 {
	return (recordHeaderBytes + metaLen + dataLen + recordAlign - 1) &^ (recordAlign - 1)
}

func (h *recordHeader) bytes() int64 { return recordBytes(int64(h.metaLen), int64(h.dataLen)) }

// dataOffset is where the data begins in a record at off.
func (h *recordHeader) dataOffset(off int64) int64 { return off + recordHeaderBytes + int64(h.metaLen) }

func headerCRC(b []byte, seed uint32, off int64) uint32 {
	return crc32.Update(seed^uint32(off/recordAlign), castagnoli, b[4:recordHeaderBytes])
}

// putRecordHeader fills b[:32].
func putRecordHeader(b []byte, h recordHeader, seed uint32, off int64) {
	binary.LittleEndian.PutUint32(b[4:], h.metaCRC)
	binary.LittleEndian.PutUint32(b[8:], h.metaLen)
	binary.LittleEndian.PutUint16(b[12:], uint16(h.shard))
	b[14] = byte(h.kind)
	b[15] = 0
	binary.LittleEndian.PutUint64(b[16:], h.dataLen)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.synced))
	binary.LittleEndian.PutUint32(b, headerCRC(b, seed, off))
}

// parseRecordHeader reads b[:32], the bytes at offset off of a segment. Most
// of what is not a record is told from one before the checksum is computed.
func parseRecordHeader(b []byte, seed uint32, off int64) (h recordHeader, ok bool) {
	if len(b) < recordHeaderBytes || b[14] == 0 || b[14] >= byte(kindEnd) || b[15] != 0 {
		return h, false
	}
	h = recordHeader{
		metaCRC: binary.LittleEndian.Uint32(b[4:]),
		metaLen: binary.LittleEndian.Uint32(b[8:]),
		shard:   ShardID(binary.LittleEndian.Uint16(b[12:])),
		kind:    kind(b[14]),
		dataLen: binary.LittleEndian.Uint64(b[16:]),
		synced:  int64(binary.LittleEndian.Uint64(b[24:])),
	}
	if h.dataLen > maxDataBytes || h.synced < 0 || h.synced > off {
		return h, false
	}
	return h, binary.LittleEndian.Uint32(b) == headerCRC(b, seed, off)
}

// hardState is a raftpb.HardState by value.
type hardState struct{ term, vote, commit uint64 }

// shardState is what is to be known about a shard besides its entries.
type shardState struct {
	id       ShardID
	hard     hardState
	mark     Index // Truncate was called up to here
	last     Index
	lastTerm Term
	conf     []byte // encoded raftpb.ConfState; empty: none
}

func appendState(b []byte, st *shardState) []byte {
	for _, v := range [...]uint64{uint64(st.id), st.hard.term, st.hard.vote, st.hard.commit,
		uint64(st.mark), uint64(st.last), uint64(st.lastTerm), uint64(len(st.conf))} {
		b = binary.AppendUvarint(b, v)
	}
	return append(b, st.conf...)
}

// parseState reads a state and returns what follows it. conf is a part of b.
func parseState(b []byte) (st shardState, rest []byte, ok bool) {
	var v [8]uint64
	for i := range v {
		if v[i], b, ok = uvarint(b); !ok {
			return st, nil, false
		}
	}
	if v[0] >= uint64(noShard) || v[7] > uint64(len(b)) {
		return st, nil, false
	}
	n := int(v[7])
	return shardState{
		id:   ShardID(v[0]),
		hard: hardState{term: v[1], vote: v[2], commit: v[3]},
		mark: Index(v[4]), last: Index(v[5]), lastTerm: Term(v[6]),
		conf: b[:n:n],
	}, b[n:], true
}

// parseStates reads the meta of a head.
func parseStates(b []byte) (sts []shardState, ok bool) {
	n, b, ok := uvarint(b)
	if !ok || n > uint64(len(b)) {
		return nil, false
	}
	sts = make([]shardState, n)
	for i := range sts {
		if sts[i], b, ok = parseState(b); !ok {
			return nil, false
		}
	}
	return sts, len(b) == 0
}

// appendMeta is the meta of an append without its list of entries.
type appendMeta struct {
	hasHard  bool
	hard     hardState
	first    Index
	prevTerm Term // of entry first-1
	count    int
	list     []byte // count encoded entryMeta
}

// entryMeta describes an entry of an append.
type entryMeta struct {
	flags byte
	term  Term
	typ   uint32
	bytes int64
	crc   uint32
}

func appendAppendMeta(b []byte, m *appendMeta) []byte {
	if m.hasHard {
		b = append(b, appendHasHard)
		b = binary.AppendUvarint(b, m.hard.term)
		b = binary.AppendUvarint(b, m.hard.vote)
		b = binary.AppendUvarint(b, m.hard.commit)
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(m.first))
	b = binary.AppendUvarint(b, uint64(m.prevTerm))
	return binary.AppendUvarint(b, uint64(m.count))
}

func appendEntryMeta(b []byte, e entryMeta) []byte {
	b = append(b, e.flags)
	b = binary.AppendUvarint(b, uint64(e.term))
	b = binary.AppendUvarint(b, uint64(e.typ))
	b = binary.AppendUvarint(b, uint64(e.bytes))
	return binary.LittleEndian.AppendUint32(b, e.crc)
}

// parseAppendMeta reads and checks all of an append's meta, its list included:
// nextEntryMeta cannot fail on the list afterwards, and the lengths of the
// entries sum up to dataLen.
func parseAppendMeta(b []byte, dataLen uint64) (m appendMeta, ok bool) {
	if len(b) == 0 || b[0]&^appendHasHard != 0 {
		return m, false
	}
	m.hasHard = b[0]&appendHasHard != 0
	b = b[1:]
	if m.hasHard {
		for _, p := range [...]*uint64{&m.hard.term, &m.hard.vote, &m.hard.commit} {
			if *p, b, ok = uvarint(b); !ok {
				return m, false
			}
		}
	}
	var v [3]uint64
	for i := range v {
		if v[i], b, ok = uvarint(b); !ok {
			return m, false
		}
	}
	m.first, m.prevTerm = Index(v[0]), Term(v[1])
	if v[0] == 0 || v[2] == 0 || v[2] > uint64(len(b)/minEntryMetaBytes) || v[0] > math.MaxUint64-v[2] {
		return m, false
	}
	m.count, m.list = int(v[2]), b
	var sum uint64
	for range m.count {
		var e entryMeta
		if e, b, ok = nextEntryMeta(b); !ok || uint64(e.bytes) > dataLen-sum {
			return m, false
		}
		sum += uint64(e.bytes)
	}
	return m, len(b) == 0 && sum == dataLen
}

func nextEntryMeta(b []byte) (e entryMeta, rest []byte, ok bool) {
	if len(b) < minEntryMetaBytes || b[0]&^(entryHasData|entryHasType) != 0 {
		return e, nil, false
	}
	e.flags = b[0]
	b = b[1:]
	var v [3]uint64
	for i := range v {
		if v[i], b, ok = uvarint(b); !ok {
			return e, nil, false
		}
	}
	if len(b) < 4 || v[1] > math.MaxInt32 || v[2] > maxDataBytes {
		return e, nil, false
	}
	e.term, e.typ, e.bytes = Term(v[0]), uint32(v[1]), int64(v[2])
	e.crc = binary.LittleEndian.Uint32(b)
	return e, b[4:], true
}

func uvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
