package raftlog

import "time"

const (
	// tickInterval is that of everysec.
	tickInterval = time.Second
	// slowSync is for how long writers go on while a background sync runs; as
	// in Redis with appendfsync everysec.
	slowSync = 2 * time.Second
	// maxEarlySyncBytes unsynced bytes start a background sync in the modes
	// that do not sync each append, so that the sync at a segment's end, which
	// writers wait for, has little to do.
	maxEarlySyncBytes = 16 << 20
)

// Sync returns when everything appended so far, and the newest hard state of
// every shard, is on disk. It costs nothing when it already is.
func (l *Log) Sync() error {
	if l.pending.Load() > 0 {
		if err := l.do(&request{fn: l.writePending, wake: make(chan struct{}, 1)}); err != nil {
			return err
		}
	}
	return l.syncActive()
}

// Sync is Log.Sync: there is one sync for all shards.
func (s *ShardLog) Sync() error { return s.l.Sync() }

// syncActive makes durable what was written before the call: all other
// segments are. Called with or without the token.
func (l *Log) syncActive() error {
	if l.closed.Load() {
		return ErrClosed
	}
	if l.active.Load().onDisk() {
		return l.failed()
	}
	l.syncing <- struct{}{}
	defer func() { <-l.syncing }()
	if l.closed.Load() {
		return ErrClosed
	}
	return l.syncSegment(l.active.Load())
}

// syncSegment needs the sync token. A sync that fails is not tried again: the
// kernel may have dropped the dirty pages and report success the next time.
func (l *Log) syncSegment(seg *segment) error {
	if err := l.failed(); err != nil {
		return err
	}
	if seg.onDisk() {
		return nil
	}
	end := seg.end.Load()
	start := l.o.Clock()
	if err := seg.file.SyncData(); err != nil {
		return l.fail("sync "+seg.name, err)
	}
	l.m.observeSync(l.o.Clock().Sub(start))
	seg.synced.Store(end)
	return nil
}

// awaitSlowSync holds writers up when a background sync takes too long: the
// disk does not keep up, and what may be lost would grow without bound. Token.
func (l *Log) awaitSlowSync() {
	started := l.syncStarted.Load()
	if started == 0 || l.fsync() != FsyncEverySec {
		return
	}
	if l.o.Clock().UnixNano()-started < int64(slowSync) {
		return
	}
	l.m.slowSyncs.Add(1)
	l.syncing <- struct{}{}
	<-l.syncing
}

func (l *Log) earlySyncBytes() int64 { return min(maxEarlySyncBytes, l.o.SegmentBytes/4) }

// kickSync asks for a background sync now.
func (l *Log) kickSync() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// run is the background goroutine.
func (l *Log) run() {
	defer l.background.Done()
	t := time.NewTicker(tickInterval)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
			l.backgroundSync()
		case <-t.C:
			l.tick()
		}
	}
}

// tick is the work of each second.
func (l *Log) tick() {
	if l.fsync() == FsyncEverySec {
		l.backgroundSync()
	}
	n := l.appended.Load()
	idle := n == l.idleAt
	l.idleAt = n
	if idle && l.failed() == nil {
		if err := l.do(&request{fn: l.writeMark, wake: make(chan struct{}, 1)}); err != nil {
			l.o.Logger.Warn("raftlog: write a mark", "error", err)
		}
	}
}

// backgroundSync syncs when something is unsynced. A failure is reported by
// fail; the error is for those who call next.
func (l *Log) backgroundSync() {
	l.syncStarted.Store(l.o.Clock().UnixNano())
	defer l.syncStarted.Store(0)
	_ = l.syncActive()
}
