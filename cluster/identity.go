package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// formatVersion is the version of the folder's layout, the log and the key
// encoding together. A node refuses a folder of another one.
const formatVersion = 1

const identityName = "node.json"

// Errors of a node's folder.
var (
	ErrVersion = errors.New("the folder has another format version")
	ErrEngine  = errors.New("the folder was made with another engine")
	ErrForeign = errors.New("the folder is not empty and not a dkv folder")
)

// identity is what node.json holds.
type identity struct {
	Format    int       `json:"format"`
	ClusterID string    `json:"cluster_id"`
	NodeID    uint64    `json:"node_id"`
	Engine    string    `json:"engine"`
	Shards    int       `json:"shards"`
	State     string    `json:"state"` // creating, then ready
	Created   time.Time `json:"created"`
}

const (
	stateCreating = "creating"
	stateReady    = "ready"
)

func newIdentity(o Options) (identity, error) {
	var id [20]byte
	if _, err := rand.Read(id[:]); err != nil {
		return identity{}, fmt.Errorf("cluster: make an id: %w", err)
	}
	return identity{
		Format: formatVersion, ClusterID: hex.EncodeToString(id[:]), NodeID: 1,
		Engine: o.Engine, Shards: 1, State: stateCreating, Created: o.Clock().UTC(),
	}, nil
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
	switch {
	case id.Format != formatVersion:
		return fmt.Errorf("cluster: %s: %w: %d, this program knows %d", o.Dir, ErrVersion, id.Format, formatVersion)
	case id.Engine != o.Engine:
		return fmt.Errorf("cluster: %s: %w: %s, asked for %s", o.Dir, ErrEngine, id.Engine, o.Engine)
	case id.NodeID == 0 || id.Shards != 1:
		return fmt.Errorf("cluster: %s: %s is damaged", o.Dir, identityName)
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
