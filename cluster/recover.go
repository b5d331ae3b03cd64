package cluster

import (
	"errors"
	"fmt"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"
)

// Errors of RecoverLostMajority.
var (
	ErrNoFolder = errors.New("there is no node's folder")
	ErrNoMember = errors.New("the folder is of no cluster yet")
)

// RecoveryReport says what RecoverLostMajority has done.
type RecoveryReport struct {
	OldClusterID, NewClusterID string
	NodeID                     consensus.NodeID
	Dropped                    []string // peer addresses of the members that are no more
	Shards                     []RecoveredShard
}

// RecoveredShard is where a shard's history ends in this folder. What the lost
// majority had acknowledged behind it is lost.
type RecoveredShard struct {
	ID    raftlog.ShardID
	Index raftlog.Index
	Term  raftlog.Term
	// Unconfirmed entries, the last ones, were not known here to be committed.
	// They are kept: their writes count from now on.
	Unconfirmed uint64
	// Voter says that the node's log counted for the majority; one that was still
	// catching up may lack any amount.
	Voter bool
}

// RecoverLostMajority makes the folder of one surviving node, which must not be
// open, a cluster of that node alone, under a new cluster id: what is left of the
// old cluster is refused by it, and can only be added again with empty folders. Of
// several survivors the one with the highest term, then index, has most.
//
// It is for when a majority of the voters is lost for good. Every write that only
// the lost nodes had is lost, though it was acknowledged. It can be repeated when it
// was cut short; until it has succeeded the node does not open. Errors: ErrNoFolder,
// ErrNoMember, ErrRemoved, ErrVersion, ErrEngine, shard.ErrNothing,
// engine.ErrLocked, and those of the disk.
func RecoverLostMajority(o Options) (report RecoveryReport, err error) {
	o.Peers, o.Join, o.Shards, o.PeerAddr = nil, false, 0, ""
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return report, err
	}
	n := &Node{o: o, fatal: make(chan error, 1)}
	defer func() { err = errors.Join(err, n.release()) }()
	id, err := n.openLost()
	if err != nil {
		return report, err
	}
	// From here on the node opens only when all is done.
	if id.State != stateRecovering {
		id.State = stateRecovering
		if id.Agreed, err = randomID(); err != nil {
			return report, err
		}
		if err := n.setIdentity(id); err != nil {
			return report, err
		}
	}
	n.id.Store(&id)
	report = RecoveryReport{OldClusterID: id.ClusterID, NewClusterID: id.Agreed, NodeID: id.node()}
	if err := n.openLog(); err != nil {
		return report, err
	}
	table, shards, err := n.recoverShards()
	if err != nil {
		return report, err
	}
	report.Shards = shards
	for _, m := range n.lostTable().Members {
		if m.ID != id.NodeID {
			report.Dropped = append(report.Dropped, m.PeerAddr)
		}
	}
	id.State, id.ClusterID, id.Agreed, id.Founders, id.Table = stateReady, id.Agreed, "", nil, table
	return report, n.setIdentity(id)
}

// openLost locks the folder and reads who it was.
func (n *Node) openLost() (id identity, err error) {
	fs, dir := n.o.FS, n.o.Dir
	if _, err := fs.Stat(fs.PathJoin(dir, identityName)); err != nil {
		return id, fmt.Errorf("cluster: %s: %w: %w", dir, ErrNoFolder, err)
	}
	if n.lock, err = fs.Lock(fs.PathJoin(dir, "LOCK")); err != nil {
		return id, fmt.Errorf("cluster: %s: %w (%w)", dir, engine.ErrLocked, err)
	}
	id, found, err := readIdentity(fs, dir)
	if err != nil {
		return id, err
	}
	if !found {
		return id, fmt.Errorf("cluster: %s: %w", dir, ErrNoFolder)
	}
	if id.State != stateRecovering {
		if err := id.check(n.o); err != nil {
			return id, err
		}
		if id.State != stateReady {
			return id, fmt.Errorf("cluster: %s: %w: it is %s", dir, ErrNoMember, id.State)
		}
	}
	if id.Incarnation == "" {
		id.Format = formatVersion
		id.Incarnation, err = randomID()
	}
	return id, err
}

// lostTable is the members table of the old cluster, as this node's file has it.
func (n *Node) lostTable() *memberTable {
	t := n.identity().members(&n.o)
	return &t
}

// recoverShards makes each shard a group of this node alone and returns the table of
// the new cluster.
func (n *Node) recoverShards() (table memberTable, report []RecoveredShard, err error) {
	parent, err := n.shardsDir()
	if err != nil {
		return table, nil, err
	}
	set := make([]openShard, n.identity().Shards)
	defer func() { err = errors.Join(err, closeShards(set)) }()
	for i := range set {
		s := &set[i]
		s.id = raftlog.ShardID(i)
		if s.store, err = n.openStore(parent, s.id); err != nil {
			return table, nil, err
		}
		r, err := shard.Recover(n.identity().node(), s.store.Engine(), n.log.Shard(s.id), s.store, func(eng engine.Reader) (map[string][]byte, error) {
			if s.id != 0 {
				return nil, nil
			}
			var err error
			table, err = n.tableAlone(eng)
			return map[string][]byte{string(tableKey): table.encode()}, err
		})
		if err != nil {
			return table, nil, fmt.Errorf("cluster: shard %d: %w", i, err)
		}
		report = append(report, RecoveredShard{ID: s.id, Index: r.Index, Term: r.Term, Unconfirmed: r.Unconfirmed, Voter: r.Voter})
	}
	return table, report, nil
}

// tableAlone is the members table of this node alone. Ids of the old cluster stay
// used.
func (n *Node) tableAlone(eng engine.Reader) (memberTable, error) {
	t := n.lostTable().clone()
	data, found, err := eng.Get(nil, tableKey)
	if err != nil {
		return t, fmt.Errorf("cluster: read members table: %w", err)
	}
	if found {
		applied, err := decodeTable(data)
		if err != nil {
			return t, err
		}
		if applied.Version > t.Version {
			t = applied.clone()
		}
	}
	self := tableMember{ID: n.identity().NodeID, Incarnation: n.identity().Incarnation}
	if m := t.find(n.identity().node()); m != nil {
		self.PeerAddr, self.ClientAddr = m.PeerAddr, m.ClientAddr
	}
	t.Version++
	t.Members = []tableMember{self}
	return t, nil
}
