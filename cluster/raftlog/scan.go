package raftlog

import (
	"errors"
	"fmt"
	"io"
)

// scanner reads a segment from its beginning to its end, for recovery.
type scanner struct {
	seg  *segment
	size int64 // of the file
	buf  []byte
	at   int64 // offset of buf in the file
}

// scanBytes is how much is read at a time.
const scanBytes = 1 << 20

// scanned is a record that is whole: all its checksums are right.
type scanned struct {
	recordHeader
	off  int64
	meta []byte // valid until the next call of the scanner
}

// bytes returns n bytes at off, fewer at the file's end. They are valid until
// the next call.
func (sc *scanner) bytes(off, n int64) ([]byte, error) {
	if n = min(n, sc.size-off); n <= 0 {
		return nil, nil
	}
	if off >= sc.at && off+n <= sc.at+int64(len(sc.buf)) {
		return sc.buf[off-sc.at:][:n], nil
	}
	want := min(max(n, scanBytes), sc.size-off)
	if int64(cap(sc.buf)) < want {
		sc.buf = make([]byte, want)
	}
	sc.buf, sc.at = sc.buf[:want], off
	got, err := sc.seg.file.ReadAt(sc.buf, off)
	if err != nil && !errors.Is(err, io.EOF) {
		sc.buf = sc.buf[:0]
		return nil, fmt.Errorf("read %s at %d: %w", sc.seg.name, off, err)
	}
	sc.buf = sc.buf[:got]
	return sc.buf[:min(n, int64(got))], nil
}

// record reads and verifies the record at off. A record that is not whole has
// a reason why; err is for reads that failed.
func (sc *scanner) record(off int64) (rec scanned, reason string, err error) {
	b, err := sc.bytes(off, recordHeaderBytes)
	if err != nil {
		return rec, "", err
	}
	h, ok := parseRecordHeader(b, sc.seg.seed, off)
	rec = scanned{recordHeader: h, off: off}
	switch {
	case !ok:
		return rec, "no valid record header", nil
	case h.dataOffset(off)+int64(h.dataLen) > sc.size:
		return rec, "record passes the end of the file", nil
	}
	data := h.dataOffset(off)
	rest, meta := int64(h.dataLen), sc
	if h.kind == kindAppend && rest > scanBytes/2 {
		// Reading the data would push the meta out of the buffer.
		meta = &scanner{seg: sc.seg, size: sc.size}
	}
	rec.meta, err = meta.bytes(off+recordHeaderBytes, int64(h.metaLen)+min(rest, scanBytes/2))
	if err != nil {
		return rec, "", err
	}
	rec.meta = rec.meta[:min(len(rec.meta), int(h.metaLen))]
	if len(rec.meta) < int(h.metaLen) || checksum(rec.meta) != h.metaCRC {
		return rec, "record meta: checksum", nil
	}
	if h.kind != kindAppend {
		if rest != 0 {
			return rec, "record has data that it should not have", nil
		}
		return rec, "", nil
	}
	m, ok := parseAppendMeta(rec.meta, h.dataLen)
	if !ok {
		return rec, "record meta", nil
	}
	for range m.count {
		var em entryMeta
		em, m.list, _ = nextEntryMeta(m.list)
		crc, err := sc.dataCRC(data, em.bytes)
		if err != nil {
			return rec, "", err
		}
		if crc != em.crc {
			return rec, "entry data: checksum", nil
		}
		data += em.bytes
	}
	return rec, "", nil
}

// dataCRC computes the checksum of n bytes at off, however many.
func (sc *scanner) dataCRC(off, n int64) (crc uint32, err error) {
	for n > 0 {
		b, err := sc.bytes(off, min(n, scanBytes))
		if err != nil {
			return 0, err
		}
		if len(b) == 0 {
			return ^crc, nil // the file ends here: not what was written
		}
		crc = crcOf(crc, b)
		off, n = off+int64(len(b)), n-int64(len(b))
	}
	return crc, nil
}

// strays looks behind off, where no whole record is, for record headers of this
// segment. It returns their offsets and the largest synced among them.
func (sc *scanner) strays(off int64) (offs []int64, synced int64, err error) {
	for at := off; at+recordHeaderBytes <= sc.size; at += recordAlign {
		b, err := sc.bytes(at, recordHeaderBytes)
		if err != nil {
			return nil, 0, err
		}
		if h, ok := parseRecordHeader(b, sc.seg.seed, at); ok {
			offs = append(offs, at)
			synced = max(synced, h.synced)
		}
	}
	return offs, synced, nil
}
