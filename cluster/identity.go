package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"dkv/cluster/consensus"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is the version of the folder's layout, the log and the key
// encoding together. A node refuses a folder of a later one; one of version 1, from
// before there were clusters, 2, from before there were replicas, or 3, whose batches
// do not say when they were made, becomes one of this version when it is opened.
const (
	formatVersion      = 4
	firstFormatVersion = 1
)

const identityName = "node.json"

// Errors of a node's folder.
var (
	ErrVersion = errors.New("the folder has another format version")
	ErrEngine  = errors.New("the folder was made with another engine")
	ErrForeign = errors.New("the folder is not empty and not a dkv folder")
	// ErrShards: the number of shards is decided when a cluster is created.
	ErrShards = errors.New("the number of shards cannot be changed")
	// ErrRemoved: the node was removed from its cluster; its data is no part of it any more.
	ErrRemoved = errors.New("this node was removed from its cluster; start it with an empty folder to have it added again")
	// ErrRecovering: RecoverLostMajority was cut short.
	ErrRecovering = errors.New("a recovery from a lost majority was begun and not finished; run it again")
)

// identity is what node.json holds. Its States, and what may follow:
//
//	forming     a list of peers was given; Incarnation is told to them,     -> creating
//	            and who the members are to be once all have been heard
//	joining     waits to be added to a cluster                              -> creating
//	awaiting    a replica that has to hear from its source how many         -> creating
//	            shards there are
//	creating    everything below is decided; log and engines are being      -> ready
//	            made, and hold nothing yet that anybody was promised
//	ready       a member                                                    -> removed, recovering
//	recovering  being made a cluster of its own                             -> ready
//	removed     the cluster goes on without it
//	restoring   a backup is being restored into the folder                  -> ready
//
// A new identity begins as forming, joining, awaiting or, alone, as creating.
type identity struct {
	Format int `json:"format"`
	// ClusterID and NodeID are empty while forming or joining.
	ClusterID string `json:"cluster_id,omitempty"`
	NodeID    uint64 `json:"node_id,omitempty"`
	// Incarnation is random and made with the folder: a node that lost its
	// folder is another one, whatever its address.
	Incarnation string    `json:"incarnation,omitempty"`
	Engine      string    `json:"engine"`
	Shards      int       `json:"shards"`
	State       string    `json:"state"`
	Created     time.Time `json:"created"`
	// Peers is the list that the cluster is formed from.
	Peers []string `json:"peers,omitempty"`
	// Agreed, while forming, is the id of the cluster of Founders, one of which this
	// node has agreed to be.
	Agreed string `json:"agreed,omitempty"`
	// Founders are the first members of the cluster, those that Agreed is of.
	Founders []tableMember `json:"founders,omitempty"`
	// Table is a copy of the newest members table that was seen, so that the
	// others can be reached before the log has been replayed.
	Table memberTable `json:"table,omitzero"`
	// Source says whom the node follows; nil: nobody ever.
	Source *sourceSetting `json:"source,omitempty"`
}

const (
	stateForming    = "forming"
	stateJoining    = "joining"
	stateAwaiting   = "awaiting"
	stateCreating   = "creating"
	stateReady      = "ready"
	stateRecovering = "recovering"
	stateRemoved    = "removed"
	stateRestoring  = "restoring"
)

// newIdentity makes the identity of an empty folder.
func newIdentity(o Options) (identity, error) {
	inc, err := randomID()
	if err != nil {
		return identity{}, err
	}
	id := identity{
		Format: formatVersion, Incarnation: inc, Engine: o.Engine,
		Shards: max(o.Shards, 1), Created: o.Clock().UTC(),
	}
	switch {
	case o.Join:
		id.State, id.Shards = stateJoining, o.Shards
		return id, nil
	case len(o.Peers) > 1:
		id.State, id.Peers = stateForming, o.Peers
		return id, nil
	case len(o.Follow.Addrs) > 0 && o.Shards == 0 && o.PeerAddr == "":
		id.State, id.Shards = stateAwaiting, 0
		return id, nil
	}
	id.State, id.NodeID = stateCreating, 1
	id.ClusterID, err = randomID()
	return id, err
}

// randomID returns 160 random bits in hexadecimal.
func randomID() (string, error) {
	var id [20]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("cluster: make an id: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// node is NodeID as the other packages have it.
func (id *identity) node() consensus.NodeID { return consensus.NodeID(id.NodeID) }

// members returns the members that are known, this node alone when there is no
// table yet.
func (id *identity) members(o *Options) memberTable {
	if len(id.Table.Members) > 0 {
		return id.Table
	}
	return memberTable{NextID: id.NodeID + 1, Members: []tableMember{{
		ID: id.NodeID, PeerAddr: o.PeerAddr, ClientAddr: o.ClientAddr, Incarnation: id.Incarnation,
	}}}
}

// reconsider adapts an identity that is in no cluster yet to what the node is
// started for this time. Who has been told of the old intentions must not take
// them for the new ones, so a change is another incarnation.
func (id identity) reconsider(o Options) (identity, error) {
	switch {
	case id.State == stateAwaiting:
	case id.State != stateForming && id.State != stateJoining:
		return id, nil
	case id.State == stateForming && !o.Join && len(o.Peers) == 0:
		o.Peers = id.Peers // it goes on as it was started
		if o.Shards == 0 || o.Shards == id.Shards {
			return id, nil
		}
	case id.State == stateForming && !o.Join && slices.Equal(id.Peers, o.Peers):
		if max(o.Shards, 1) == id.Shards {
			return id, nil
		}
	case id.State == stateJoining && len(o.Peers) == 0:
		id.Shards = o.Shards
		return id, nil
	}
	o.Engine = id.Engine
	return newIdentity(o)
}

// readIdentity returns found=false for a folder that has no identity yet.
func readIdentity(fs vfs.FS, dir string) (id identity, found bool, err error) {
	f, err := fs.Open(fs.PathJoin(dir, identityName))
	if errors.Is(err, os.ErrNotExist) {
		return identity{}, false, nil
	}
	if err != nil {
		return identity{}, false, fmt.Errorf("cluster: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return identity{}, false, fmt.Errorf("cluster: read %s: %w", identityName, err)
	}
	if err := json.Unmarshal(data, &id); err != nil {
		return identity{}, false, fmt.Errorf("cluster: %s is damaged: %w", identityName, err)
	}
	return id, true, nil
}

// check compares a folder's identity with what the node was started for.
func (id identity) check(o Options) error {
	member := id.State == stateReady || id.State == stateCreating
	switch {
	case id.Format < firstFormatVersion || id.Format > formatVersion:
		return fmt.Errorf("cluster: %s: %w: %d, this program knows %d to %d", o.Dir, ErrVersion, id.Format, firstFormatVersion, formatVersion)
	case id.Engine != o.Engine:
		return fmt.Errorf("cluster: %s: %w: %s, asked for %s", o.Dir, ErrEngine, id.Engine, o.Engine)
	case id.State == stateRemoved:
		return fmt.Errorf("cluster: %s: node %d: %w", o.Dir, id.NodeID, ErrRemoved)
	case id.State == stateRecovering:
		return fmt.Errorf("cluster: %s: %w", o.Dir, ErrRecovering)
	case id.State == stateRestoring:
		return fmt.Errorf("cluster: %s: %w", o.Dir, ErrRestoring)
	case member && (id.NodeID == 0 || id.ClusterID == "" || id.Shards < 1 || id.Shards > MaxShards),
		!member && (id.State != stateForming && id.State != stateJoining && id.State != stateAwaiting || id.Incarnation == ""):
		return fmt.Errorf("cluster: %s: %s is damaged", o.Dir, identityName)
	case member && o.Shards != 0 && o.Shards != id.Shards:
		return fmt.Errorf("cluster: %s: %w: it was created with %d, asked for %d", o.Dir, ErrShards, id.Shards, o.Shards)
	}
	return nil
}

// writeIdentity replaces node.json so that a crash leaves the old or the new.
func writeIdentity(fs vfs.FS, dir string, id identity) error {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("cluster: encode identity: %w", err)
	}
	tmp := fs.PathJoin(dir, identityName+".tmp")
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("cluster: write %s: %w", identityName, err)
	}
	if err := fs.Rename(tmp, fs.PathJoin(dir, identityName)); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return syncDir(fs, dir)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
