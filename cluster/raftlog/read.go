package raftlog

import (
	"errors"
	"fmt"
	"io"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

const (
	minReadBytes = 4 << 10
	maxReadBytes = 256 << 10
)

// diskReader reads entries of a shard from the segments, a window of the file
// at a time: entries that stand close together take one read call.
type diskReader struct {
	s       *ShardLog
	maxSize uint64

	seg    *segment // referenced; nil at first
	at     int64    // offset of window in seg
	window []byte   // small entries share its memory; never reused
	out    []*raftpb.Entry
	size   uint64
}

func (r *diskReader) close() {
	if r.seg != nil {
		_ = r.seg.unref() // read only here
		r.seg = nil
	}
}

// read returns the entries lo to hi-1 as far as maxSize allows.
func (r *diskReader) read(lo, hi Index) ([]*raftpb.Entry, error) {
	for i := lo; i < hi; {
		off, n, err := r.locate(i)
		if err != nil {
			if i > lo && errors.Is(err, raft.ErrCompacted) {
				break
			}
			return nil, err
		}
		n = int(min(Index(n), hi-i))
		full, err := r.readRecord(off, i, n)
		if err != nil {
			return nil, err
		}
		if full {
			break
		}
		i += Index(n)
	}
	return r.out, nil
}

// locate finds entry i and references its segment, so that it is not
// overwritten while it is read.
func (r *diskReader) locate(i Index) (off int64, n int, err error) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if i <= s.mu.base {
		return 0, 0, raft.ErrCompacted
	}
	if i > s.mu.last {
		return 0, 0, raft.ErrUnavailable
	}
	seg, off, n := s.mu.locate(i)
	if seg != r.seg {
		if !seg.ref() {
			return 0, 0, ErrClosed
		}
		r.close()
		r.seg, r.window = seg, nil
	}
	return off, n, nil
}

// bytes returns n bytes of the segment at off. They are never written again.
func (r *diskReader) bytes(off, n int64) ([]byte, error) {
	if off >= r.at && off+n <= r.at+int64(len(r.window)) {
		b := r.window[off-r.at:]
		return b[:n:n], nil
	}
	if n > maxReadBytes/4 {
		b := make([]byte, n)
		_, err := r.seg.file.ReadAt(b, off)
		return b, r.readError(off, err)
	}
	want := int64(min(max(r.maxSize, minReadBytes), maxReadBytes))
	want = max(n, min(want, r.seg.end.Load()-off))
	b := make([]byte, want)
	got, err := r.seg.file.ReadAt(b, off)
	if int64(got) < n {
		return nil, r.readError(off, err)
	}
	r.at, r.window = off, b[:got]
	return b[:n:n], nil
}

func (r *diskReader) readError(off int64, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return r.corrupt(off, "file is too short")
	}
	return fmt.Errorf("raftlog: read %s at %d: %w", r.seg.name, off, err)
}

func (r *diskReader) corrupt(off int64, reason string) error {
	return &CorruptError{File: segmentName(r.seg.seq), Offset: off, Reason: reason}
}

// entryBox is a raftpb.Entry with what it points to, in one allocation.
type entryBox struct {
	e           raftpb.Entry
	term, index uint64
	typ         raftpb.EntryType
}

// readRecord adds n entries, from first on, of the record at off to r.out. full
// says that maxSize was reached.
func (r *diskReader) readRecord(off int64, first Index, n int) (full bool, err error) {
	b, err := r.bytes(off, recordHeaderBytes)
	if err != nil {
		return false, err
	}
	h, ok := parseRecordHeader(b, r.seg.seed, off)
	if !ok || h.kind != kindAppend || h.shard != r.s.id {
		return false, r.corrupt(off, "record header")
	}
	meta, err := r.bytes(off+recordHeaderBytes, int64(h.metaLen))
	if err != nil {
		return false, err
	}
	if checksum(meta) != h.metaCRC {
		return false, r.corrupt(off, "record meta: checksum")
	}
	m, ok := parseAppendMeta(meta, h.dataLen)
	if !ok || first < m.first || first+Index(n) > m.first+Index(m.count) {
		return false, r.corrupt(off, "record meta")
	}
	data := h.dataOffset(off)
	list := m.list
	for i := m.first; i < first+Index(n); i++ {
		var em entryMeta
		em, list, _ = nextEntryMeta(list)
		if i >= first {
			if full, err = r.readEntry(i, em, data); full || err != nil {
				return full, err
			}
		}
		data += em.bytes
	}
	return false, nil
}

// readEntry adds the entry whose data stands at off.
func (r *diskReader) readEntry(i Index, em entryMeta, off int64) (full bool, err error) {
	box := &entryBox{term: uint64(em.term), index: uint64(i), typ: raftpb.EntryType(em.typ)}
	box.e.Term, box.e.Index = &box.term, &box.index
	if em.flags&entryHasType != 0 {
		box.e.Type = &box.typ
	}
	size := entrySize(&box.e)
	if em.flags&entryHasData != 0 {
		size += 1 + varintSize(uint64(em.bytes)) + uint64(em.bytes)
	}
	if len(r.out) > 0 && r.size+size > r.maxSize {
		return true, nil
	}
	if em.flags&entryHasData != 0 {
		if box.e.Data, err = r.bytes(off, em.bytes); err != nil {
			return false, err
		}
		if checksum(box.e.Data) != em.crc {
			return false, r.corrupt(off, "entry data: checksum")
		}
	}
	r.size += size
	r.out = append(r.out, &box.e)
	return false, nil
}
