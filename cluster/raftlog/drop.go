package raftlog

import (
	"slices"
)

// droppable returns how many of the oldest segments can go: no shard needs an
// entry in them, and RetainBytes of such log remain.
func (l *Log) droppable() int {
	l.mu.Lock()
	segs := slices.Clone(l.mu.segs)
	l.mu.Unlock()
	if len(segs) < 2 {
		return 0
	}
	active := segs[len(segs)-1].seq
	needed := active + 1
	for _, s := range *l.shardList.Load() {
		if seq, _, ok := s.needed(); ok {
			needed = min(needed, seq)
		}
	}
	var unneeded int64
	n := 0
	for n < len(segs) && segs[n].seq < needed {
		unneeded += segs[n].end.Load() - headerBytes
		n++
	}
	n = min(n, len(segs)-1) // the active one stays
	k := 0
	for k < n {
		unneeded -= segs[k].end.Load() - headerBytes
		if unneeded < l.o.RetainBytes && !l.old(segs[k]) {
			break
		}
		k++
	}
	return k
}

// old says whether a segment that nobody needs has been kept for long enough.
func (l *Log) old(seg *segment) bool {
	if l.o.RetainTime <= 0 {
		return false
	}
	ended := seg.endedAt.Load()
	if ended == 0 {
		ended = l.openedAt.UnixNano()
	}
	return l.o.Clock().UnixNano()-ended > int64(l.o.RetainTime)
}

// DropOld lets go of what is kept beyond RetainTime. It is to be called from time to
// time; Truncate does the same where it cuts. Errors as Truncate's.
func (l *Log) DropOld() error {
	if l.o.RetainTime <= 0 {
		return nil
	}
	if err := l.usable(); err != nil {
		return err
	}
	if l.droppable() == 0 {
		return nil
	}
	return l.do(&request{fn: l.drop, wake: make(chan struct{}, 1)})
}

// drop lets the droppable segments go, the oldest first and one by one: the
// directory is synced before the next, so that a crash never leaves a gap in
// the numbers. Token.
func (l *Log) drop() error {
	n := l.droppable()
	if n == 0 {
		return nil
	}
	// What makes the entries unneeded may be in the active segment, and not on
	// disk: records that replace them, and the head that stands in for the
	// segments to go.
	if l.active.Load().end.Load() == headerBytes {
		if err := l.writeHead(); err != nil {
			return err
		}
	}
	if err := l.syncActive(); err != nil {
		return err
	}
	for range n {
		if err := l.dropOldest(); err != nil {
			return err
		}
	}
	l.updateRoom()
	return nil
}

func (l *Log) dropOldest() error {
	l.mu.Lock()
	seg, next := l.mu.segs[0], l.mu.segs[1]
	l.mu.segs = slices.Delete(l.mu.segs, 0, 1)
	reuse := seg.capacity <= l.o.SegmentBytes && len(l.mu.spares) < maxSpares
	l.mu.Unlock()
	for _, s := range *l.shardList.Load() {
		s.forget(next.seq)
	}
	// No shard leads to the segment any more; only who is reading it now still
	// has it, and then the file must not be written over.
	var err error
	sp := spare{bytes: seg.capacity}
	if reuse && seg.refs.Load() == 1 {
		sp.name = l.newSpareName()
		err = l.fs.Rename(l.path(seg.name), l.path(sp.name))
	} else {
		err = l.fs.Remove(l.path(seg.name))
	}
	if err != nil {
		return l.fail("drop "+seg.name, err)
	}
	if err := l.dir.Sync(); err != nil {
		return l.fail("sync directory", err)
	}
	l.m.dropped.Add(1)
	if err := seg.unref(); err != nil {
		l.o.Logger.Warn("raftlog: close", "file", seg.name, "error", err)
	}
	if sp.name != "" {
		l.keepSpare(sp)
	}
	return nil
}
