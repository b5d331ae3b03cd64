package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"dkv/cluster/backup"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/cluster/slot"
	"dkv/engine"
)

// ErrNotReady says that a node has no data yet that could be copied.
var ErrNotReady = errors.New("the node has no data yet")

// copyMemtable is the memory for writing of an engine that is only opened to be
// looked at.
const copyMemtable = 1 << 20

// Backup makes a backup of all shards in dir, which must not exist, while the node
// serves: see package backup. Each shard is of one moment, all are of the time that it
// takes. Errors: ErrSaveInProgress, ErrUnsupported (nothing is on disk), ErrNotReady,
// backup.ErrExists, engine.ErrNoSpace, fs.ErrPermission, ctx's, and those of the
// disk; then dir is not there.
func (n *Node) Backup(ctx context.Context, dir string) (m backup.Manifest, err error) {
	if n.o.Diskless {
		return m, fmt.Errorf("cluster: backup of a diskless node: %w", ErrUnsupported)
	}
	if !n.saving.CompareAndSwap(false, true) {
		return m, ErrSaveInProgress
	}
	defer n.saving.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	id := n.identity()
	if len(n.list()) == 0 {
		return m, fmt.Errorf("cluster: backup: %w", ErrNotReady)
	}
	began := n.o.Clock()
	w, err := backup.Create(n.o.FS, dir, id.Incarnation)
	if err != nil {
		return m, backupError(err)
	}
	m = backup.Manifest{
		DataFormat: formatVersion, ClusterID: id.ClusterID, NodeID: id.NodeID, Engine: id.Engine, Created: began.UTC(),
	}
	if m, err = n.backup(ctx, w, m); err != nil {
		return m, backupError(errors.Join(err, w.Discard()))
	}
	n.lastSave.Store(n.o.Clock().Unix())
	n.o.Logger.Info("made a backup", "dir", dir, "bytes", m.Bytes(), "took", n.o.Clock().Sub(began).Round(time.Millisecond))
	return m, nil
}

func (n *Node) backup(ctx context.Context, w *backup.Writer, m backup.Manifest) (backup.Manifest, error) {
	slots := slot.NewMap(n.Shards())
	for i := range n.list() {
		s := &n.list()[i]
		if err := ctx.Err(); err != nil {
			return m, err
		}
		saved, err := s.Backup(w.ShardDir(uint16(s.id)), n.openCopy)
		if errors.Is(err, shard.ErrNothing) {
			err = ErrNotReady
		}
		if err != nil {
			return m, fmt.Errorf("cluster: backup of shard %d: %w", s.id, err)
		}
		m.Shards = append(m.Shards, manifestShard(slots, s.id, saved))
	}
	return w.Commit(ctx, m)
}

func manifestShard(slots slot.Map, id raftlog.ShardID, saved shard.Saved) backup.Shard {
	first, last := slots.Range(id)
	s := backup.Shard{
		ID: uint16(id), FirstSlot: uint16(first), LastSlot: uint16(last),
		Index: uint64(saved.Index), Term: uint64(saved.Term), Time: saved.Time, Keys: saved.Keys,
	}
	if p := saved.Source; p != nil {
		s.Source = &backup.Source{ClusterID: p.History, Index: uint64(p.Index), Term: uint64(p.Term)}
	}
	return s
}

// openCopy opens an engine that serves nobody, whose end is not the node's.
func (n *Node) openCopy(dir string) (engine.Engine, error) {
	return n.openDB(dir, copyMemtable, hooks{onFatal: func(error) {}, idle: true})
}

// backupError makes a full disk known as that.
func backupError(err error) error {
	if errors.Is(err, syscall.ENOSPC) && !errors.Is(err, engine.ErrNoSpace) {
		return fmt.Errorf("%w: %w", engine.ErrNoSpace, err)
	}
	return err
}

// ExplainBackup says in a sentence what kept a backup, or a restore, from being made.
func ExplainBackup(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, ErrSaveInProgress):
		return "another save or backup is under way"
	case errors.Is(err, backup.ErrExists), errors.Is(err, fs.ErrExist):
		return "the folder exists already; a backup is made in a new one"
	case errors.Is(err, engine.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return "no space left on the disk"
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &path):
		return "no permission: " + path.Path
	case errors.Is(err, fs.ErrPermission):
		return "no permission"
	case errors.Is(err, ErrUnsupported):
		return "a diskless node has nothing on disk to copy"
	case errors.Is(err, ErrNotReady):
		return ErrNotReady.Error()
	}
	return err.Error()
}
