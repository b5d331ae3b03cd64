package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/transport"
	"dkv/engine/ramfs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	defaultHotCacheBytes = 192 << 20
	defaultTimeout       = 5 * time.Second
	defaultTickInterval  = 50 * time.Millisecond
	defaultElectionTicks = 15
	defaultMaxLogBytes   = 512 << 20 // as package shard has it

	defaultArchiveInterval = time.Second
	defaultArchiveMaxBytes = 1 << 30

	// As pebbledb has them: the free space that is left alone, and the part of a
	// small disk that it is at most.
	defaultReserveBytes = 64 << 20
	reserveFraction     = 20

	// MaxShards bounds Options.Shards.
	MaxShards = 64
)

// TLS names the files for mutual TLS between nodes: a certificate that the CA
// signed, its key, and the CA's certificate.
type TLS struct {
	CertFile, KeyFile, CAFile string
}

// ReadMode says how a read is made sure to see every write that was
// acknowledged before it began.
type ReadMode int

const (
	// ReadIndex: the leader makes sure with a majority that it still leads.
	ReadIndex ReadMode = iota
	// ReadLease: the leader trusts its clock to know that nobody else can lead
	// yet. Cheaper, and wrong when a clock runs far too slowly.
	ReadLease
)

// ParseReadMode reads the value of the read-mode parameter: index or lease.
func ParseReadMode(s string) (ReadMode, error) {
	for _, m := range []ReadMode{ReadIndex, ReadLease} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("cluster: read mode %q is none of index, lease", s)
}

// String returns the parameter's value.
func (m ReadMode) String() string {
	if m == ReadLease {
		return "lease"
	}
	return "index"
}

// ErrUnsupported says that an option names what this version does not have.
var ErrUnsupported = errors.New("not supported yet")

// Options configures a node. Zero values mean the defaults.
type Options struct {
	// Dir is the node's folder; it is made when it does not exist. Not used
	// when Diskless.
	Dir string
	// Engine is the storage engine's name; default EnginePebble.
	Engine string
	// EngineFile is the path of a file of engine options, see tuning; empty: none.
	EngineFile string
	// Diskless keeps log and engine in memory: nothing outlives the process.
	Diskless bool
	// MaxMemory to begin with, see Node.SetMaxMemory. A diskless node that has one
	// chooses the defaults of the sizes below by it.
	MaxMemory MaxMemory
	// Fsync says when the log is synced; default raftlog.FsyncAlways.
	Fsync raftlog.FsyncMode
	// BlockCacheBytes, MemtableBytes: see pebbledb.Options. Zero: by the size
	// of the machine.
	BlockCacheBytes int64
	MemtableBytes   int64
	Compression     string
	// HotCacheBytes bounds the table of hot records, see package hot; default
	// 192 MiB, taken as records come. Negative: no table.
	HotCacheBytes int64
	// HotWriteBytes bounds what was written and is held back from the engines, see
	// hot.Layer. Zero or less: engines get writes at once.
	HotWriteBytes int64
	// LogRetainBytes of log are kept beyond what a restart needs, for replicas;
	// default 64 MiB.
	LogRetainBytes int64
	// LogRetainTime, when above zero, is the age from which such log is not kept.
	LogRetainTime time.Duration
	// MaxLogBytes is the size at which the engine is flushed so that the log
	// can be cut; default 512 MiB.
	MaxLogBytes int64
	// LogSegmentBytes is the size of a file of the log, which is cut by whole
	// files; default a quarter of MaxLogBytes, at most 64 MiB.
	LogSegmentBytes int64
	// LogCacheBytes bounds the log entries kept in memory; default 32 MiB.
	LogCacheBytes int64
	// LogArchiveDir is the folder that the log is copied to before it is cut, see
	// package archive; empty: none.
	LogArchiveDir string
	// LogArchiveInterval is how often that is done; default 1 s.
	LogArchiveInterval time.Duration
	// LogArchiveMaxBytes of log wait for that when it fails, before the log is cut all
	// the same and the archive has a gap; default 1 GiB.
	LogArchiveMaxBytes int64
	// ReserveDiskBytes is the free space below which writes are refused;
	// default 64 MiB.
	ReserveDiskBytes int64

	// PeerAddr is the host:port at which the other nodes reach this one. Empty:
	// a node that stays alone.
	PeerAddr string
	// PeerListen is the host:port to listen on for the other nodes; default
	// PeerAddr.
	PeerListen string
	// Peers are the PeerAddrs of all nodes of a cluster that is to be created,
	// this one's among them; the same list on each. Only looked at while the
	// folder is in no cluster; with none, a new node is a cluster of its own,
	// which others can be added to.
	Peers []string
	// Join makes a new node wait until it is added to a cluster (AddNode on any
	// of its members) instead of making one.
	Join bool
	// Shards is the number of shards, 1 to MaxShards, set when a cluster is
	// created. Zero: what the folder or the cluster has, 1 for a new one.
	Shards int
	// ReadMode says how a read is made sure to be up to date.
	ReadMode ReadMode
	// TLS makes the nodes prove to each other who they are; nil: plain.
	TLS *TLS
	// Follow says whom this node follows as a replica, and how.
	Follow FollowOptions
	// TickInterval is raft's unit of time, ElectionTicks how many of them
	// without a word from the leader start an election; see consensus.Options.
	TickInterval  time.Duration
	ElectionTicks int
	// ClientAddr is the host:port at which clients reach this node; others show
	// it to clients that ask.
	ClientAddr string
	// Timeout is how long a command waits for a leader; default 5 s.
	Timeout time.Duration
	// SnapshotBytesPerSecond bounds the rate of raft snapshots sent; zero: no bound.
	SnapshotBytesPerSecond int64
	// MaxCallBytes is the largest request that is passed on to another node, and
	// the largest answer; default, and at most, transport.MaxBytes.
	MaxCallBytes int64

	Logger *slog.Logger
	Clock  func() time.Time
	// FS is the file system; default the disk. Tests pass one that crashes.
	FS vfs.FS

	files *ramfs.FS // FS, when Diskless

	// snapshotPause is for tests: see maxSnapshotPause.
	snapshotPause time.Duration
	// collectTime is for tests: see replica.SourceOptions.CollectTime.
	collectTime time.Duration
	// began is for tests: when the node was started; zero: now.
	began time.Time
	// dial is for tests: how peers are reached.
	dial func(ctx context.Context, addr string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	if o.began.IsZero() {
		o.began = time.Now()
	}
	if o.Engine == "" {
		o.Engine = EnginePebble
	}
	if o.TickInterval == 0 {
		o.TickInterval = defaultTickInterval
	}
	if o.ElectionTicks == 0 {
		o.ElectionTicks = defaultElectionTicks
	}
	if o.snapshotPause == 0 {
		o.snapshotPause = minSnapshotPause
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.LogArchiveInterval == 0 {
		o.LogArchiveInterval = defaultArchiveInterval
	}
	if o.LogArchiveMaxBytes == 0 {
		o.LogArchiveMaxBytes = defaultArchiveMaxBytes
	}
	if o.MaxCallBytes == 0 {
		o.MaxCallBytes = transport.MaxBytes
	}
	o.Follow = o.Follow.withDefaults()
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Diskless {
		o = o.withMaxMemory()
		o.files = ramfs.New()
		o.FS = o.files
		o.Dir = "diskless"
		o.Fsync = raftlog.FsyncNo
		// Files in memory grow byte by byte until they are recycled.
		if o.LogSegmentBytes == 0 {
			o.LogSegmentBytes = 4 << 20
		}
	}
	if o.HotCacheBytes == 0 {
		o.HotCacheBytes = defaultHotCacheBytes
	}
	// A log is cut by whole files: one that is to stay small is of small files.
	if o.LogSegmentBytes == 0 && o.MaxLogBytes > 0 {
		const least, most, files = 1 << 20, 64 << 20, 4
		o.LogSegmentBytes = min(max(o.MaxLogBytes/files, least), most)
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	return o
}

func (o Options) validate() error {
	if o.Dir == "" {
		return errors.New("cluster: Options.Dir is empty")
	}
	if err := o.validateEngine(); err != nil {
		return err
	}
	if o.LogArchiveDir != "" && o.Diskless {
		return fmt.Errorf("cluster: an archive of the log of a diskless node: %w", ErrUnsupported)
	}
	if o.Shards < 0 || o.Shards > MaxShards {
		return fmt.Errorf("cluster: %d shards: there can be 1 to %d", o.Shards, MaxShards)
	}
	return o.validatePeers()
}

// electionTimeout is how long a member waits at least for a leader's word.
func (n *Node) electionTimeout() time.Duration {
	return time.Duration(n.o.ElectionTicks) * n.o.TickInterval
}
