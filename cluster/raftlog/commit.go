package raftlog

import (
	"errors"
	"fmt"
	"syscall"

	"dkv/engine"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
)

// One goroutine at a time holds the token: it alone writes to the active
// segment, changes segments and drops them. There is no goroutine for this;
// callers pass the token among themselves. Who finds it free takes it, does all
// the requests that wait, its own among them, syncs once for all of them, and
// hands it on. So a lone caller does its work with no hop, and callers that
// come while a sync runs share the next one.
//
// The obvious design, a goroutine that owns the file and is sent the work, would
// cost a lone caller two wake-ups an append, and that is the common case.

// request is work for the token's holder: a record to write, or fn to call.
type request struct {
	rec   *outRecord
	fn    func() error
	shard *ShardLog
	sync  bool // return after a sync

	err  error
	done bool          // set before wake is sent to, when the request was done
	wake chan struct{} // one slot
	// behind says that the caller waits for the request before it, which is done
	// with it: it is not told of this one.
	behind bool
}

// outRecord is a record to be written.
type outRecord struct {
	// buf has room for the header, then the meta, then the data unless it is
	// given by entries.
	buf     []byte
	metaLen int
	dataLen int64
	// entries, when not nil, have the data that follows buf in the file.
	entries []*raftpb.Entry
	shard   ShardID
	kind    kind
}

func (r *outRecord) bytes() int64 { return recordBytes(int64(r.metaLen), r.dataLen) }

// do gets a request done, by this goroutine or by another one, and with it those
// behind it.
func (l *Log) do(r *request, behind ...*request) error {
	r.done, r.behind = false, false
	l.mu.Lock()
	l.mu.queue = append(l.mu.queue, r)
	for _, b := range behind {
		b.behind = true
		l.mu.queue = append(l.mu.queue, b)
	}
	if l.mu.busy {
		l.mu.Unlock()
		<-r.wake
		if r.done {
			return r.err
		}
		l.mu.Lock() // the token was handed to us
	}
	l.mu.busy = true
	batch := l.mu.queue
	l.mu.queue, l.freeQueue = l.freeQueue[:0], nil
	l.mu.Unlock()

	l.lead(batch)

	// Once its caller is told, a request and those behind it are the caller's again.
	for i, other := range batch {
		if other == r || other.behind {
			batch[i] = nil
		}
	}
	for i, other := range batch {
		if other != nil {
			other.done = true
			other.wake <- struct{}{}
			batch[i] = nil
		}
	}
	err := r.err
	l.mu.Lock()
	l.freeQueue = batch[:0]
	if len(l.mu.queue) > 0 {
		l.mu.queue[0].wake <- struct{}{}
	} else {
		l.mu.busy = false
	}
	l.mu.Unlock()
	return err
}

// lead does the requests of a batch in their order and syncs once for all.
func (l *Log) lead(batch []*request) {
	l.awaitSlowSync()
	sync := false
	for _, r := range batch {
		switch {
		case l.closed.Load():
			r.err = ErrClosed
		case r.fn != nil:
			r.err = r.fn()
		default:
			seg, off, err := l.write(r.rec)
			if r.err = err; err == nil {
				r.shard.written(seg, off)
				sync = sync || r.sync
			}
		}
	}
	if !sync {
		return
	}
	if err := l.syncActive(); err != nil {
		for _, r := range batch {
			if r.sync && r.err == nil {
				r.err = err
			}
		}
	}
}

// write appends a record, in a new segment when it does not fit the active
// one. On an error the log is as it was, or has failed. Token.
func (l *Log) write(r *outRecord) (*segment, int64, error) {
	if err := l.failed(); err != nil {
		return nil, 0, err
	}
	seg := l.active.Load()
	if seg.end.Load() == headerBytes {
		if err := l.writeHead(); err != nil {
			return nil, 0, err
		}
	}
	if n := r.bytes(); !seg.fits(n) {
		if err := l.rotate(n); err != nil {
			return nil, 0, err
		}
		seg = l.active.Load()
		if !seg.fits(n) {
			panic("raftlog: a new segment does not hold the record that it was made for")
		}
	}
	off, err := l.put(seg, r)
	return seg, off, err
}

// put writes a record at the end of the active segment. Token.
func (l *Log) put(seg *segment, r *outRecord) (off int64, err error) {
	off = seg.end.Load()
	size := r.bytes()
	synced := seg.synced.Load()
	putRecordHeader(r.buf, recordHeader{
		metaCRC: checksum(r.buf[recordHeaderBytes : recordHeaderBytes+r.metaLen]),
		metaLen: uint32(r.metaLen), dataLen: uint64(r.dataLen),
		shard: r.shard, kind: r.kind, synced: synced,
	}, seg.seed, off)
	if err := l.zeroAhead(seg, off+size, size); err != nil {
		return 0, l.noSpace("write", err)
	}
	n, err := l.putBytes(seg, off, r)
	if err != nil {
		if n > 0 {
			if err2 := l.takeBack(seg, off); err2 != nil {
				return 0, l.fail("take a partly written record back", errors.Join(err, err2))
			}
		}
		return 0, l.noSpace("write", err)
	}
	seg.exists = max(seg.exists, off+size)
	seg.claimed = max(seg.claimed, synced)
	seg.sealed = r.kind == kindSeal
	seg.end.Store(off + size)
	if r.kind != kindMark {
		seg.solid.Store(off + size)
	}
	l.updateRoom()
	l.m.bytes.Add(uint64(size))
	if l.fsync() != FsyncAlways && off+size-synced >= l.earlySyncBytes() {
		l.kickSync()
	}
	return off, nil
}

const (
	// inlineBytes of data are copied behind the header and written in one call.
	inlineBytes = 128 << 10
	// directBytes is from where a piece of a larger record is written by itself
	// instead of being copied into the scratch buffer.
	directBytes = 32 << 10
)

// putBytes writes the bytes of a record and returns how many were written.
func (l *Log) putBytes(seg *segment, off int64, r *outRecord) (written int64, err error) {
	put := func(b []byte) error {
		n, err := seg.file.WriteAt(b, off+written)
		written += int64(n)
		return err
	}
	if err = put(r.buf); err != nil || r.entries == nil {
		return written, err
	}
	small := l.scratch[:0]
	for _, e := range r.entries {
		// What was gathered goes first: the data stands in the entries' order.
		if len(small) > 0 && (len(e.Data) >= directBytes || len(small)+len(e.Data) > inlineBytes) {
			if err = put(small); err != nil {
				return written, err
			}
			small = small[:0]
		}
		if len(e.Data) < directBytes {
			small = append(small, e.Data...)
		} else if err = put(e.Data); err != nil {
			return written, err
		}
	}
	if len(small) > 0 {
		err = put(small)
	}
	l.scratch = small[:0]
	return written, err
}

// takeBack makes sure that what a failed write left at off is never read as a
// record, not even when the machine stops now. It is enough to clear the header:
// nothing else of it parses by itself.
func (l *Log) takeBack(seg *segment, off int64) error {
	if _, err := seg.file.WriteAt(zeros[:recordHeaderBytes], off); err != nil {
		return err
	}
	return seg.file.SyncData()
}

// zeroAhead keeps some of the file behind the record that ends at end filled,
// so that neither writes nor syncs have a change of its size or extents to deal
// with: see doc.go. What a recycled file held before serves as well. It does not
// pay for large records.
func (l *Log) zeroAhead(seg *segment, end, size int64) error {
	if end <= seg.exists || end >= seg.capacity || size > zeroChunkBytes/4 {
		return nil
	}
	if seg.file.Fd() == vfs.InvalidFd && !l.o.zeroFill {
		return nil
	}
	return l.zeroFill(seg, end, min(end+zeroChunkBytes, seg.capacity))
}

func (l *Log) zeroFill(seg *segment, from, to int64) error {
	for from < to {
		n, err := seg.file.WriteAt(zeros[:min(to-from, zeroChunkBytes)], from)
		from += int64(n)
		if err != nil {
			return err
		}
		seg.exists = max(seg.exists, from)
	}
	return nil
}

// noSpace makes the error of a full disk engine.ErrNoSpace.
func (l *Log) noSpace(op string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("raftlog: %s: %w (%w)", op, engine.ErrNoSpace, err)
	}
	return fmt.Errorf("raftlog: %s: %w", op, err)
}

// writeState writes a record with a shard's state. Token.
func (l *Log) writeState(s *ShardLog, k kind, st *shardState) error {
	rec := &outRecord{buf: make([]byte, recordHeaderBytes, 256), shard: s.id, kind: k}
	rec.buf = appendState(rec.buf, st)
	rec.metaLen = len(rec.buf) - recordHeaderBytes
	_, _, err := l.write(rec)
	return err
}

// writePending writes the hard states that are only in memory yet. Token.
func (l *Log) writePending() error {
	if l.pending.Load() == 0 {
		return l.failed()
	}
	for _, s := range *l.shardList.Load() {
		st, pending := s.state()
		if !pending {
			continue
		}
		if err := l.writeState(s, kindState, &st); err != nil {
			return err
		}
		s.hardWritten(st.hard)
	}
	return nil
}

// writeMark records up to where the active segment is on disk, when no record
// says so yet. Without it damage to the last records could not be told from
// their never having been synced. Token.
func (l *Log) writeMark() error {
	seg := l.active.Load()
	if seg.solid.Load() <= seg.claimed || !seg.onDisk() || !seg.fits(recordHeaderBytes) {
		return nil
	}
	_, _, err := l.write(&outRecord{buf: make([]byte, recordHeaderBytes), shard: noShard, kind: kindMark})
	return err
}
