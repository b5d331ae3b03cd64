package cluster

import (
	"context"
	"errors"
	"fmt"

	"dkv/cluster/backup"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"
)

// Errors of Restore.
var (
	// ErrNotEmpty: a backup is restored into a new folder.
	ErrNotEmpty = errors.New("the data folder has data in it already; a backup is restored into a new one")
	// ErrRestoring: Restore was cut short.
	ErrRestoring = errors.New("a backup was being restored into the folder, and not to the end; run it again, or remove the folder")
)

// RestoreOptions says what to restore into Options.Dir.
type RestoreOptions struct {
	// Backup is the backup's folder.
	Backup string
	// Until says how far the archive of the log in Options.LogArchiveDir is to be
	// replayed on it.
	Until Until
}

// RestoreReport says what Restore has done.
type RestoreReport struct {
	Manifest     backup.Manifest
	NewClusterID string
	Shards       []RestoredShard
}

// RestoredShard is where a shard's restored history ends.
type RestoredShard struct {
	ID raftlog.ShardID
	shard.Position
	Keys int64
	// Replayed entries of the archive are in it, Time is that of the last one that has
	// one, in Unix milliseconds, 0 when none has.
	Replayed uint64
	Time     int64
	// Ended says that the archive had no more.
	Ended bool
}

// restoredNode is the id of a node in the cluster of one that Restore makes.
const restoredNode = 1

// Restore makes a data folder, which is missing or empty, of a backup: a cluster of
// one node under a new cluster id, so that nobody takes it for the one that the
// backup is of. Options.Engine is the backup's when it is empty. It can be repeated
// when it was cut short; until it has succeeded the node does not open. After an error
// the folder is empty again. Errors: ErrNotEmpty, ErrEngine, ErrVersion, those of
// package backup, engine.ErrLocked, ctx's, and those of the disk.
func Restore(ctx context.Context, o Options, r RestoreOptions) (report RestoreReport, err error) {
	o.Peers, o.Join, o.Shards, o.PeerAddr = nil, false, 0, ""
	given := o.Engine
	o = o.withDefaults()
	if o.Diskless {
		return report, fmt.Errorf("cluster: restore: %w: a diskless node has no data folder", ErrUnsupported)
	}
	m, err := backup.ReadManifest(o.FS, r.Backup)
	if err != nil {
		return report, err
	}
	switch {
	case given == "":
		o.Engine = m.Engine
	case given != m.Engine:
		return report, fmt.Errorf("cluster: %s: %w: %s, asked for %s", r.Backup, ErrEngine, m.Engine, given)
	}
	if m.DataFormat < firstFormatVersion || m.DataFormat > formatVersion {
		return report, fmt.Errorf("cluster: %s: %w: %d, this program knows %d to %d", r.Backup, ErrVersion, m.DataFormat, firstFormatVersion, formatVersion)
	}
	if len(m.Shards) > MaxShards {
		return report, fmt.Errorf("cluster: %s: %w: %d shards", r.Backup, backup.ErrDamaged, len(m.Shards))
	}
	if err := r.Until.check(m, o.LogArchiveDir); err != nil {
		return report, fmt.Errorf("cluster: %w", err)
	}
	if err := o.validate(); err != nil {
		return report, err
	}
	n := &Node{o: o, fatal: make(chan error, 1)}
	defer func() { err = errors.Join(err, n.release()) }()
	if err := n.beginRestore(m); err != nil {
		return report, err
	}
	report = RestoreReport{Manifest: m, NewClusterID: n.identity().ClusterID}
	report.Shards, err = n.restoreShards(ctx, r, m)
	if err != nil {
		return report, errors.Join(backupError(err), n.abandonRestore())
	}
	id := *n.identity()
	id.State = stateReady
	return report, n.setIdentity(id)
}

// beginRestore locks the folder, refuses one with data, and writes down who the node
// is going to be.
func (n *Node) beginRestore(m backup.Manifest) (err error) {
	fs, dir := n.o.FS, n.o.Dir
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cluster: make folder: %w", err)
	}
	if n.lock, err = fs.Lock(fs.PathJoin(dir, "LOCK")); err != nil {
		return fmt.Errorf("cluster: %s: %w (%w)", dir, engine.ErrLocked, err)
	}
	id, found, err := readIdentity(fs, dir)
	switch {
	case err != nil:
		return err
	case found && id.State != stateRestoring:
		return fmt.Errorf("cluster: %s: %w", dir, ErrNotEmpty)
	case found:
		if err := n.removeData(); err != nil {
			return err
		}
	default:
		if err := n.checkEmpty(); err != nil {
			return fmt.Errorf("%w: %w", ErrNotEmpty, err)
		}
	}
	id = identity{
		Format: formatVersion, NodeID: restoredNode, Engine: m.Engine, Shards: len(m.Shards),
		State: stateRestoring, Created: n.o.Clock().UTC(),
	}
	if id.ClusterID, err = randomID(); err != nil {
		return err
	}
	if id.Incarnation, err = randomID(); err != nil {
		return err
	}
	if err := n.setIdentity(id); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(dir))
}

// removeData removes the log and the engines.
func (n *Node) removeData() error {
	fs := n.o.FS
	for _, name := range []string{"log", "shards"} {
		if err := fs.RemoveAll(fs.PathJoin(n.o.Dir, name)); err != nil {
			return fmt.Errorf("cluster: empty a half-restored folder: %w", err)
		}
	}
	return nil
}

// abandonRestore empties the folder. The identity goes last: without it the rest
// would be taken for somebody else's files.
func (n *Node) abandonRestore() error {
	if n.log != nil {
		if err := n.log.Close(); err != nil {
			return err
		}
	}
	if err := n.removeData(); err != nil {
		return err
	}
	if err := n.o.FS.Remove(n.o.FS.PathJoin(n.o.Dir, identityName)); err != nil {
		return fmt.Errorf("cluster: empty a half-restored folder: %w", err)
	}
	return nil
}

func (n *Node) restoreShards(ctx context.Context, r RestoreOptions, m backup.Manifest) (report []RestoredShard, err error) {
	parent, err := n.shardsDir()
	if err != nil {
		return nil, err
	}
	for i := range m.Shards {
		id := raftlog.ShardID(i)
		if err := backup.Copy(ctx, n.o.FS, r.Backup, m, uint16(i), n.o.FS.PathJoin(parent, shardName(id))); err != nil {
			return nil, err
		}
	}
	if err := syncDir(n.o.FS, parent); err != nil {
		return nil, err
	}
	if err := n.openLog(); err != nil {
		return nil, err
	}
	for i := range m.Shards {
		s, err := n.restoreShard(ctx, parent, m, &m.Shards[i], r.Until)
		if err != nil {
			return nil, fmt.Errorf("cluster: restore shard %d: %w", i, err)
		}
		report = append(report, s)
	}
	return report, nil
}

// restoreShard opens what was copied, brings it forward, and makes it the beginning of
// a new history.
func (n *Node) restoreShard(ctx context.Context, parent string, m backup.Manifest, s *backup.Shard, until Until) (r RestoredShard, err error) {
	r.ID, r.Time = raftlog.ShardID(s.ID), s.Time
	store, err := n.openStore(parent, r.ID)
	if err != nil {
		return r, err
	}
	set := []openShard{{id: r.ID, store: store}}
	defer func() { err = errors.Join(err, closeShards(set)) }()
	eng := store.Engine()
	r.Position = shard.Position{Index: raftlog.Index(s.Index), Term: raftlog.Term(s.Term)}
	if err := shard.CheckSaved(eng, r.Index); err != nil {
		return r, err
	}
	if until.set() {
		if err := n.replayArchive(ctx, eng, m, until, &r); err != nil {
			return r, err
		}
	}
	if err := shard.Refound(restoredNode, eng, n.log.Shard(r.ID), r.Position); err != nil {
		return r, err
	}
	saved, err := shard.ReadSaved(eng)
	r.Keys = saved.Keys
	return r, err
}
