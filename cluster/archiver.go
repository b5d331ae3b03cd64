package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"dkv/cluster/archive"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Sizes of an archive.
const (
	// archiveFileBytes and archiveFileTime end a file: what is whole can be moved
	// elsewhere.
	archiveFileBytes = 64 << 20
	archiveFileTime  = time.Hour
	// archiveReadBytes of log are read at a time, archiveSyncBytes synced.
	archiveReadBytes = 2 << 20
	archiveSyncBytes = 16 << 20
)

// archiver copies one shard's log to the archive, and holds the log until it is
// there. Its fields, but for mu, belong to run.
type archiver struct {
	n *Node
	s *openShard
	w *archive.Writer // nil: not open yet
	// hold keeps the log after at; nil: given up, see giveUp.
	hold *shard.Hold
	at   archive.Position // archived and on disk
	// placed says that at is a place of the log.
	placed bool
	began  time.Time // the file being written
	said   string    // the last failure that was logged

	mu struct {
		sync.Mutex
		status ArchiveStatus
	}
}

// ArchiveStatus is how the archive of a shard's log stands.
type ArchiveStatus struct {
	Shard raftlog.ShardID
	// Index is that of the last entry that is archived, on disk; Behind is how many
	// entries have been applied since.
	Index  raftlog.Index
	Behind uint64
	Bytes  uint64 // written since the start
	Gaps   uint64 // since the start: places where entries are missing
	Err    string // what keeps it from going on; empty: nothing
}

func (n *Node) newArchiver(s *openShard) *archiver {
	return &archiver{n: n, s: s, hold: s.KeepFrom(0)}
}

// ArchiveStatus returns one element a shard; none without an archive.
func (n *Node) ArchiveStatus() []ArchiveStatus {
	var list []ArchiveStatus
	for i := range n.list() {
		s := &n.list()[i]
		if s.archiver == nil {
			continue
		}
		s.archiver.mu.Lock()
		st := s.archiver.mu.status
		s.archiver.mu.Unlock()
		st.Shard = s.id
		st.Behind = uint64(s.Applied() - min(s.Applied(), st.Index))
		list = append(list, st)
	}
	return list
}

func (a *archiver) update(f func(st *ArchiveStatus)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.mu.status)
}

// run archives until ctx ends, and then once more.
func (a *archiver) run(ctx context.Context) {
	tick := time.NewTicker(a.n.o.LogArchiveInterval)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			over = true
		}
		err := a.step(ctx, over)
		a.note(err)
		if err != nil {
			a.giveUp()
		}
	}
	if a.w != nil {
		a.note(a.w.Close())
	}
	if a.hold != nil {
		a.hold.Release()
	}
}

// note logs a failure, once, and its end.
func (a *archiver) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	a.update(func(st *ArchiveStatus) { st.Err = text })
	if text == a.said {
		return
	}
	if err != nil {
		a.n.o.Logger.Error("the log cannot be archived", "shard", a.s.id, "err", err)
	} else {
		a.n.o.Logger.Info("the log is archived again", "shard", a.s.id)
	}
	a.said = text
}

// giveUp lets the log be cut when too much of it waits for an archive that fails.
func (a *archiver) giveUp() {
	pin := a.n.log.Pinned()
	if a.hold == nil || !pin.Pinned || pin.Shard != a.s.id || pin.NeededBytes <= a.n.o.LogArchiveMaxBytes || uint64(pin.UpTo) <= a.at.Index {
		return
	}
	a.hold.Release()
	a.hold = nil
	a.n.o.Logger.Error("the log is not kept for its archive any more: the archive will have a gap unless it goes on soon",
		"shard", a.s.id, "archived", a.at.Index, "log_bytes", pin.NeededBytes)
}

// step archives what has been applied since the last one.
func (a *archiver) step(ctx context.Context, last bool) error {
	if a.w == nil {
		if err := a.open(); err != nil {
			return err
		}
	}
	for {
		if !a.placed {
			if err := a.place(); err != nil {
				return err
			}
		}
		if a.s.Applied() <= raftlog.Index(a.at.Index) {
			return nil
		}
		// What is archived must never be missing in the log after a crash: the archive
		// would be of another history.
		if err := a.n.SyncLog(); err != nil {
			return err
		}
		more, err := a.copy(raftlog.Index(a.at.Index), a.s.Applied())
		if err != nil {
			// What the file has beyond a.at is not known to be on disk: another is begun.
			a.placed = false
			err = errors.Join(err, a.w.Close())
		}
		if errors.Is(err, shard.ErrCut) {
			continue
		}
		if err != nil || !more || ctx.Err() != nil && !last {
			return err
		}
	}
}

func (a *archiver) open() (err error) {
	id, fs := a.n.identity(), a.n.o.FS
	dir := fs.PathJoin(a.n.o.LogArchiveDir, id.ClusterID, strconv.FormatUint(id.NodeID, 10), shardName(a.s.id))
	a.w, err = archive.Open(archive.Options{FS: fs, Dir: dir, History: id.ClusterID, Shard: uint16(a.s.id)})
	if err == nil {
		a.at, _ = a.w.Last()
	}
	return err
}

// place finds where in the log to go on: behind what is archived where that is known,
// else at the log's beginning.
func (a *archiver) place() error {
	if a.at.Index > 0 {
		term, err := a.s.TermOf(raftlog.Index(a.at.Index))
		if err != nil && !errors.Is(err, shard.ErrCut) {
			return err
		}
		if err == nil && uint64(term) == a.at.Term {
			a.arrived()
			return nil
		}
	}
	start, err := a.s.LogStart()
	if err != nil {
		return err
	}
	if a.at.Index > 0 && uint64(start.Index) <= a.at.Index {
		a.n.o.Logger.Warn("the log is archived from its beginning again: it is not as it was",
			"shard", a.s.id, "archived", a.at.Index, "goes_on_after", start.Index)
	} else if a.at.Index > 0 {
		a.n.o.Logger.Warn("the archive of the log has a gap: make a new backup to be able to recover to a time after it",
			"shard", a.s.id, "archived", a.at.Index, "goes_on_after", start.Index)
		a.update(func(st *ArchiveStatus) { st.Gaps++ })
	}
	a.at = archive.Position{Index: uint64(start.Index), Term: uint64(start.Term)}
	a.arrived()
	return nil
}

// arrived says that all up to at is archived.
func (a *archiver) arrived() {
	a.placed = true
	if a.hold == nil {
		a.hold = a.s.KeepFrom(raftlog.Index(a.at.Index))
	}
	a.hold.Move(raftlog.Index(a.at.Index))
	a.update(func(st *ArchiveStatus) { st.Index = raftlog.Index(a.at.Index) })
}

// copy archives entries after one and up to another, but no more than are synced
// together; more says that there are more.
func (a *archiver) copy(from, upTo raftlog.Index) (more bool, err error) {
	if a.w.Bytes() == 0 || a.w.Bytes() > archiveFileBytes || a.n.o.Clock().Sub(a.began) > archiveFileTime {
		if err := a.w.Begin(a.at.Index+1, a.at.Term); err != nil {
			return false, err
		}
		a.began = a.n.o.Clock()
	}
	at, bytes := a.at, 0
	for from < upTo && bytes < archiveSyncBytes {
		entries, err := a.s.Committed(from+1, archiveReadBytes)
		if err != nil {
			return false, err
		}
		list, n := archived(entries)
		if len(list) == 0 {
			return false, fmt.Errorf("cluster: entry %d is not in the log", from+1)
		}
		if err := a.w.Append(list); err != nil {
			return false, err
		}
		bytes += n
		at = list[len(list)-1].Position
		from = raftlog.Index(at.Index)
	}
	if err := a.w.Sync(); err != nil {
		return false, err
	}
	a.at = at
	a.arrived()
	a.update(func(st *ArchiveStatus) { st.Bytes += uint64(bytes) })
	return from < upTo, nil
}

func archived(entries []*pb.Entry) (list []archive.Entry, bytes int) {
	for _, e := range entries {
		list = append(list, archive.Entry{
			Position: archive.Position{Index: e.GetIndex(), Term: e.GetTerm()},
			Type:     int32(e.GetType()), Data: e.GetData(),
		})
		bytes += len(e.GetData())
	}
	return list, bytes
}
