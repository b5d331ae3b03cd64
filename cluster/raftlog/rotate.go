package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

const (
	// maxSpares files of dropped segments are kept to be written over.
	maxSpares = 1
	// maxMarginBytes, or an eighth of a segment, are kept by Reserve for hard
	// states, configurations and heads, so that these can be written (a vote,
	// an election) when the disk is full and entries are refused.
	maxMarginBytes = 1 << 20
)

func (l *Log) margin() int64 { return min(maxMarginBytes, l.o.SegmentBytes/8) }

// updateRoom publishes how much can be appended without asking the disk for
// more: to the active segment or, all of it, to the prepared one. Token.
func (l *Log) updateRoom() {
	var room int64
	if active := l.active.Load(); active != nil {
		room = active.room()
	}
	if l.next != nil {
		room = max(room, l.nextRoom)
	}
	l.room.Store(room)
}

// rotate seals the active segment and makes the next one active, with its head
// written and n more bytes of room. What is written to the new segment can
// count on the old one being on disk. Token.
//
// The steps, and what a crash after each leaves:
//
//	1 prepare the next file: header synced, name of a spare. A spare.
//	2 seal the active segment, sync it. The last segment, sealed: Open goes on
//	  with step 3.
//	3 rename the next file to its segment name, sync the directory. A last
//	  segment without a head.
//	4 write the head. A torn head is cut off, and written again by Open.
func (l *Log) rotate(n int64) error {
	if err := l.prepare(n); err != nil {
		return err
	}
	if old := l.active.Load(); !old.sealed {
		if _, err := l.put(old, &outRecord{buf: make([]byte, recordHeaderBytes), shard: noShard, kind: kindSeal}); err != nil {
			return err
		}
	}
	if err := l.activateNext(); err != nil {
		return err
	}
	return l.writeHead()
}

// activateNext does steps 2 (but for the seal) and 3 of rotate. Token.
func (l *Log) activateNext() error {
	l.syncing <- struct{}{}
	defer func() { <-l.syncing }()
	if old := l.active.Load(); old != nil {
		if err := l.syncSegment(old); err != nil {
			return err
		}
		old.endedAt.Store(l.o.Clock().UnixNano())
	}
	seg := l.next
	name := segmentName(seg.seq)
	if err := l.fs.Rename(l.path(seg.name), l.path(name)); err != nil {
		return l.noSpace("rename to "+name, err) // the next write tries again
	}
	if err := l.dir.Sync(); err != nil {
		return l.fail("sync directory", err)
	}
	seg.name = name
	l.next = nil
	l.mu.Lock()
	l.mu.segs = append(l.mu.segs, seg)
	l.mu.Unlock()
	l.active.Store(seg)
	l.updateRoom()
	return nil
}

// writeHead writes the first record of the active segment: all that is to be
// known of every shard should the segments before be dropped. Token.
func (l *Log) writeHead() error {
	rec := &outRecord{buf: make([]byte, recordHeaderBytes, 1024), shard: noShard, kind: kindHead}
	shards := *l.shardList.Load()
	rec.buf = binary.AppendUvarint(rec.buf, uint64(len(shards)))
	sts := make([]shardState, len(shards))
	for i, s := range shards {
		sts[i], _ = s.state()
		rec.buf = appendState(rec.buf, &sts[i])
	}
	rec.metaLen = len(rec.buf) - recordHeaderBytes
	seg := l.active.Load()
	if !seg.fits(rec.bytes()) {
		// Only a segment without any record, left by a crash of a program with
		// smaller segments or fewer shards, comes here.
		return fmt.Errorf("raftlog: %s is too small for its head", seg.name)
	}
	if _, err := l.put(seg, rec); err != nil {
		return err
	}
	for i, s := range shards {
		s.hardWritten(sts[i].hard)
	}
	return nil
}

// headBytes is what the next head takes.
func (l *Log) headBytes() int64 {
	n := int64(maxUvarintLen)
	for _, s := range *l.shardList.Load() {
		n += s.stateBytes()
	}
	return recordBytes(n, 0)
}

// prepare sees to it that l.next has room for a record of n bytes after its
// head: from a spare file, or a new one. Token.
func (l *Log) prepare(n int64) error {
	want := max(l.o.SegmentBytes, headerBytes+l.headBytes()+n+sealBytes)
	if l.next != nil && l.next.capacity >= want {
		return nil
	}
	sp := l.takeSpare(want)
	f, err := l.fs.OpenReadWrite(l.path(sp.name), writeCategory)
	if err != nil {
		return l.noSpace("create segment", err)
	}
	seg := newSegment(l.lastSeq()+1, l.o.Salt(), want, sp.name, f)
	if err := l.allocate(seg); err != nil {
		err = errors.Join(err, f.Close(), l.fs.Remove(l.path(sp.name)))
		return l.noSpace("create segment", err)
	}
	if err := f.Sync(); err != nil {
		return l.fail("sync "+sp.name, errors.Join(err, f.Close()))
	}
	if small := l.next; small != nil {
		if err := small.unref(); err != nil {
			l.o.Logger.Warn("raftlog: close", "file", small.name, "error", err)
		}
		l.keepSpare(spare{name: small.name, bytes: small.capacity})
	}
	l.next, l.nextRoom = seg, seg.room()-l.headBytes()
	l.updateRoom()
	return nil
}

// allocate gets the file's space from the disk and writes its header.
func (l *Log) allocate(seg *segment) error {
	st, err := seg.file.Stat()
	if err != nil {
		return err
	}
	seg.exists = st.Size()
	err = seg.file.Preallocate(0, seg.capacity)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		err = l.zeroFill(seg, seg.exists, seg.capacity)
	}
	if err != nil {
		return err
	}
	_, err = seg.file.WriteAt(seg.headerBlock(), 0)
	seg.exists = max(seg.exists, headerBytes)
	return err
}

// takeSpare returns a spare file for a segment of that size, one to be created
// when there is none.
func (l *Log) takeSpare(bytes int64) spare {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A file that is too large would keep its size for good: there is no way to
	// shorten it here. One that is smaller grows.
	if n := len(l.mu.spares); n > 0 && bytes == l.o.SegmentBytes {
		sp := l.mu.spares[n-1]
		l.mu.spares = l.mu.spares[:n-1]
		return sp
	}
	return spare{name: l.newSpareName(), bytes: bytes}
}

// newSpareName returns a name that no file has. Token.
func (l *Log) newSpareName() string {
	l.nextSpare++
	return spareName(l.nextSpare)
}

// keepSpare keeps a file, which already has a spare's name, for another
// segment, or removes it.
func (l *Log) keepSpare(sp spare) {
	l.mu.Lock()
	keep := len(l.mu.spares) < maxSpares && sp.bytes <= l.o.SegmentBytes
	if keep {
		l.mu.spares = append(l.mu.spares, sp)
	}
	l.mu.Unlock()
	if !keep {
		if err := l.fs.Remove(l.path(sp.name)); err != nil {
			l.o.Logger.Warn("raftlog: remove a spare", "file", sp.name, "error", err)
		}
	}
}

// lastSeq is the number of the newest segment, 0 when there is none.
func (l *Log) lastSeq() uint64 {
	if seg := l.active.Load(); seg != nil {
		return seg.seq
	}
	return 0
}

func (l *Log) path(name string) string { return l.fs.PathJoin(l.o.Dir, name) }
