package cluster

import (
	"errors"
	"fmt"
	"strconv"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"
	"dkv/engine/hot"
	"dkv/engine/keyspace"

	pb "go.etcd.io/raft/v3/raftpb"
)

// firstIndex is the position of a new cluster's shards before their first entry.
// It is not zero so that a member that joins with an empty log can tell that it
// needs a raft snapshot.
const firstIndex raftlog.Index = 1

// firstTerm is the term at firstIndex.
const firstTerm raftlog.Term = 1

// Memory that one shard's engine gets at least, however many there are.
const (
	minShardMemtable     = 4 << 20
	defaultShardMemtable = 32 << 20
)

// openFolder makes or checks the folder and its identity. A folder whose
// creation was cut short by a crash is emptied: nothing in it was ever
// acknowledged.
func (n *Node) openFolder() error {
	fs, dir := n.o.FS, n.o.Dir
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cluster: make folder: %w", err)
	}
	lock, err := fs.Lock(fs.PathJoin(dir, "LOCK"))
	if err != nil {
		return fmt.Errorf("cluster: %s: %w (%w)", dir, engine.ErrLocked, err)
	}
	n.lock = lock
	id, found, err := readIdentity(fs, dir)
	if err != nil {
		return err
	}
	if found {
		if err := id.check(n.o); err != nil {
			return err
		}
		n.rememberAddr(id)
	} else if err := n.checkEmpty(); err != nil {
		return err
	}
	if found && id.State == stateReady {
		return n.upgrade(id)
	}
	for _, name := range []string{"log", "shards"} {
		if err := fs.RemoveAll(fs.PathJoin(dir, name)); err != nil {
			return fmt.Errorf("cluster: empty half-made folder: %w", err)
		}
	}
	if found {
		id, err = id.reconsider(n.o)
	} else {
		id, err = newIdentity(n.o)
	}
	if err != nil {
		return err
	}
	if err := n.setIdentity(id); err != nil {
		return err
	}
	// The folder's own name must outlive a crash too.
	return syncDir(fs, fs.PathDir(dir))
}

// rememberAddr takes this node's address from the folder when none was given.
func (n *Node) rememberAddr(id identity) {
	m := id.Table.find(id.node())
	if n.o.PeerAddr != "" || m == nil || len(id.Table.Members) < 2 {
		return
	}
	n.o.PeerAddr = m.PeerAddr
	if n.o.PeerListen == "" {
		n.o.PeerListen = m.PeerAddr
	}
}

// upgrade brings a folder of an earlier version up to date.
func (n *Node) upgrade(id identity) error {
	if id.Format == formatVersion {
		n.id.Store(&id)
		return nil
	}
	id.Format = formatVersion
	if id.Incarnation == "" {
		var err error
		if id.Incarnation, err = randomID(); err != nil {
			return err
		}
	}
	return n.setIdentity(id)
}

// identity is this node's identity at the moment. It must not be changed.
func (n *Node) identity() *identity { return n.id.Load() }

// setIdentity writes an identity down, then makes it this node's. Called by Open
// and then by the keeper's goroutine only.
func (n *Node) setIdentity(id identity) error {
	if err := writeIdentity(n.o.FS, n.o.Dir, id); err != nil {
		return err
	}
	n.id.Store(&id)
	return nil
}

// checkEmpty refuses a folder that holds somebody else's files.
func (n *Node) checkEmpty() error {
	names, err := n.o.FS.List(n.o.Dir)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	for _, name := range names {
		if name != "LOCK" && name != identityName+".tmp" && name != "lost+found" {
			return fmt.Errorf("cluster: %s: %w: it holds %q", n.o.Dir, ErrForeign, name)
		}
	}
	return nil
}

// openLog opens the log that all shards share.
func (n *Node) openLog() (err error) {
	n.log, err = raftlog.Open(raftlog.Options{
		FS:           n.o.FS,
		Dir:          n.o.FS.PathJoin(n.o.Dir, "log"),
		Fsync:        n.o.Fsync,
		SegmentBytes: n.o.LogSegmentBytes,
		RetainBytes:  n.o.LogRetainBytes,
		RetainTime:   n.o.LogRetainTime,
		CacheBytes:   n.o.LogCacheBytes,
		Logger:       n.o.Logger,
		Clock:        n.o.Clock,
		OnFatal:      n.stop,
	})
	if err != nil {
		return fmt.Errorf("cluster: open log: %w", err)
	}
	return nil
}

// shardsDir makes the folder of the engines.
func (n *Node) shardsDir() (string, error) {
	fs := n.o.FS
	parent := fs.PathJoin(n.o.Dir, "shards")
	if err := fs.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("cluster: make folder: %w", err)
	}
	return parent, errors.Join(syncDir(fs, n.o.Dir), syncDir(fs, parent))
}

// shardMemtable is each shard's share of memtable-size; 0: the engine's default.
func (n *Node) shardMemtable() int64 {
	shards, memtable := int64(n.identity().Shards), n.o.MemtableBytes
	switch {
	case shards < 2:
		return memtable
	case memtable == 0:
		return max(defaultShardMemtable/shards, minShardMemtable)
	}
	return max(memtable/shards, min(memtable, minShardMemtable))
}

// openEngine opens one shard's engine, with its share of the node's memory.
// current says that it serves; otherwise it is one that receives a raft
// snapshot, of which nobody needs to be told, and which holds nothing back.
func (n *Node) openEngine(id raftlog.ShardID, dir string, current bool) (engine.Engine, error) {
	shards := int64(max(n.identity().Shards, 1))
	h := hooks{onFatal: n.stop}
	if current {
		h = n.hooksOf(id)
	}
	db, err := n.openDB(dir, n.shardMemtable(), h)
	if err != nil {
		return nil, fmt.Errorf("cluster: open engine: %w", err)
	}
	o := hot.Options{Bytes: max(n.o.HotCacheBytes/shards, 0), WriteBytes: max(n.o.HotWriteBytes/shards, 1), Logger: n.o.Logger}
	o.Group = collectionOf
	switch {
	case current && n.o.HotWriteBytes > 0:
		if o.Versions, err = keyspace.Versions(db); err != nil {
			return nil, errors.Join(fmt.Errorf("cluster: open engine: %w", err), db.Close())
		}
		o.Version = keyspace.VersionOf
		return hot.NewLayer(db, o), nil
	case n.o.HotCacheBytes < 0:
		return db, nil
	}
	return hot.Wrap(db, o), nil
}

// collectionOf returns how many bytes of a key of the store name the collection that it
// is part of; 0: of none.
func collectionOf(key []byte) int {
	_, prefix := keyspace.VersionOf(key)
	return prefix
}

// create gives the engine and the log of a new shard their first position. A
// member of a new cluster begins where the others do; one that joined begins
// before everything, and is sent a raft snapshot.
func (n *Node) create(id raftlog.ShardID, eng engine.Engine) error {
	ident, index, cs := n.identity(), firstIndex, &pb.ConfState{}
	if ident.joined() {
		index = 0
	} else {
		for _, m := range ident.members(&n.o).Members {
			cs.Voters = append(cs.Voters, m.ID)
		}
	}
	if err := shard.Create(eng, index, cs); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if ident.joined() {
		return nil
	}
	if err := n.log.Shard(id).Reset(firstIndex, firstTerm, cs); err != nil {
		return fmt.Errorf("cluster: create log: %w", err)
	}
	return nil
}

// joined says whether the node was added to a cluster that existed already.
func (id *identity) joined() bool { return id.Table.Version > 0 }

// onFlush is called from an engine's background; its shard may not be open yet.
func (n *Node) onFlush(id raftlog.ShardID) {
	if s := n.flushed[id].Load(); s != nil {
		s.Flushed()
	}
}

// pinnedBytes is how much of the log a shard keeps from being cut.
func (n *Node) pinnedBytes(id raftlog.ShardID) int64 {
	if pin := n.log.Pinned(); pin.Pinned && pin.Shard == id {
		return pin.NeededBytes
	}
	return 0
}

func shardName(id raftlog.ShardID) string { return strconv.Itoa(int(id)) }
