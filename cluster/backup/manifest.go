package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Format is the version of the layout that this program writes and reads.
const Format = 1

// ManifestName is the name of the manifest in a backup's folder.
const ManifestName = "manifest.json"

// maxManifestBytes bounds what is read of a manifest: some 100 bytes a file.
const maxManifestBytes = 256 << 20

// Errors of a backup.
var (
	// ErrNoBackup: there is no manifest, so the folder is none, or a part of one.
	ErrNoBackup = errors.New("this is no backup, or not a whole one")
	// ErrFormat: another version of dkv made it.
	ErrFormat = errors.New("the backup has another format version")
	// ErrDamaged: something is not as it was when the backup was made.
	ErrDamaged = errors.New("the backup was changed or damaged since it was made")
	// ErrExists: there is something already where the backup is to be.
	ErrExists = errors.New("the folder exists already")
)

// Manifest says what a backup holds. On disk it is JSON.
type Manifest struct {
	Format int `json:"format"`
	// DataFormat is the node's format version, which its engine's records follow.
	DataFormat int    `json:"data_format"`
	ClusterID  string `json:"cluster_id"`
	NodeID     uint64 `json:"node_id"`
	Engine     string `json:"engine"`
	// Created is when the backup was begun, by the node's clock.
	Created time.Time `json:"created"`
	Shards  []Shard   `json:"shards"`
	// SHA256 is the checksum of the same JSON without indentation, empty here.
	SHA256 string `json:"sha256"`
}

// Shard is one shard's part: its state after the entry Index of Term.
type Shard struct {
	ID        uint16 `json:"id"`
	FirstSlot uint16 `json:"first_slot"`
	LastSlot  uint16 `json:"last_slot"`
	Index     uint64 `json:"index"`
	Term      uint64 `json:"term"`
	// Time is that of the last entry that has one, in Unix milliseconds by the clock
	// of the shard's leader; 0: not known.
	Time int64 `json:"time,omitempty"`
	Keys int64 `json:"keys"`
	// Source is set on a replica: whose history it had followed, and how far.
	Source *Source `json:"source,omitempty"`
	Files  []File  `json:"files"`
}

// Source is a place in the history of somebody else.
type Source struct {
	ClusterID string `json:"cluster_id"`
	Index     uint64 `json:"index"`
	Term      uint64 `json:"term"`
}

// File is a file of a shard. Path is relative to the shard's folder, with slashes.
type File struct {
	Path   string `json:"path"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Bytes is the size of all files.
func (m *Manifest) Bytes() (sum int64) {
	for _, s := range m.Shards {
		for _, f := range s.Files {
			sum += f.Bytes
		}
	}
	return sum
}

func (m Manifest) sum() (string, error) {
	m.SHA256 = ""
	data, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("backup: encode the manifest: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// Encode returns the manifest as it stands on disk, with its checksum.
func (m Manifest) Encode() ([]byte, error) {
	var err error
	if m.SHA256, err = m.sum(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("backup: encode the manifest: %w", err)
	}
	return append(data, '\n'), nil
}

// Decode reads a manifest and checks it. Errors: ErrFormat, ErrDamaged.
func Decode(data []byte) (m Manifest, err error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return m, fmt.Errorf("%w: %s: %v", ErrDamaged, ManifestName, err)
	}
	if head.Format != Format {
		return m, fmt.Errorf("%w: %d, this program knows %d", ErrFormat, head.Format, Format)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%w: %s: %v", ErrDamaged, ManifestName, err)
	}
	if sum, err := m.sum(); err != nil || sum != m.SHA256 {
		return m, fmt.Errorf("%w: the checksum of %s is wrong", ErrDamaged, ManifestName)
	}
	return m, m.check()
}

// check refuses what no backup says of itself: a path that leads out of the
// folder, for one.
func (m *Manifest) check() error {
	if m.ClusterID == "" || m.Engine == "" || len(m.Shards) == 0 {
		return fmt.Errorf("%w: %s says too little", ErrDamaged, ManifestName)
	}
	for i, s := range m.Shards {
		if int(s.ID) != i || s.Index == 0 {
			return fmt.Errorf("%w: %s: shard %d at place %d, index %d", ErrDamaged, ManifestName, s.ID, i, s.Index)
		}
		for j, f := range s.Files {
			if !plain(f.Path) || f.Bytes < 0 || len(f.SHA256) != 2*sha256.Size || j > 0 && f.Path <= s.Files[j-1].Path {
				return fmt.Errorf("%w: %s: shard %d, file %q", ErrDamaged, ManifestName, s.ID, f.Path)
			}
		}
	}
	return nil
}

// plain says whether a path is relative, stays below where it begins, and is written
// in the shortest way.
func plain(p string) bool {
	return p != "" && p != "." && p != ".." && !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "../") &&
		!strings.ContainsAny(p, "\\\x00") && path.Clean(p) == p
}

// ReadManifest reads the manifest of the backup in dir. Errors: ErrNoBackup,
// ErrFormat, ErrDamaged, and those of the disk.
func ReadManifest(fs vfs.FS, dir string) (m Manifest, err error) {
	f, err := fs.Open(fs.PathJoin(dir, ManifestName))
	if errors.Is(err, os.ErrNotExist) {
		return m, fmt.Errorf("%s: %w: it has no %s", dir, ErrNoBackup, ManifestName)
	}
	if err != nil {
		return m, fmt.Errorf("backup: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxManifestBytes+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return m, fmt.Errorf("backup: read %s: %w", ManifestName, err)
	}
	if len(data) > maxManifestBytes {
		return m, fmt.Errorf("%s: %w: %s is too large", dir, ErrDamaged, ManifestName)
	}
	if m, err = Decode(data); err != nil {
		return m, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

func sortFiles(files []File) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}
