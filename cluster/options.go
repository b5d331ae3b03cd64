package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"dkv/cluster/raftlog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// EnginePebble names the default engine.
const EnginePebble = "pebble"

const defaultHotCacheBytes = 192 << 20

// ErrUnsupported says that an option names what this version does not have.
var ErrUnsupported = errors.New("not supported yet")

// Options configures a node. Zero values mean the defaults.
type Options struct {
	// Dir is the node's folder; it is made when it does not exist. Not used
	// when Diskless.
	Dir string
	// Engine is the storage engine's name; default EnginePebble.
	Engine string
	// Diskless keeps log and engine in memory: nothing outlives the process.
	Diskless bool
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
	// LogRetainBytes of log are kept beyond what a restart needs, for replicas;
	// default 64 MiB.
	LogRetainBytes int64
	// MaxLogBytes is the size at which the engine is flushed so that the log
	// can be cut; default 512 MiB.
	MaxLogBytes int64
	// LogSegmentBytes is the size of a file of the log, which is cut by whole
	// files; default 64 MiB.
	LogSegmentBytes int64
	// LogCacheBytes bounds the log entries kept in memory; default 32 MiB.
	LogCacheBytes int64
	// ReserveDiskBytes is the free space below which writes are refused;
	// default 64 MiB.
	ReserveDiskBytes int64

	Logger *slog.Logger
	Clock  func() time.Time
	// FS is the file system; default the disk. Tests pass one that crashes.
	FS vfs.FS
}

func (o Options) withDefaults() Options {
	if o.Engine == "" {
		o.Engine = EnginePebble
	}
	if o.HotCacheBytes == 0 {
		o.HotCacheBytes = defaultHotCacheBytes
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Diskless {
		o.FS = vfs.NewMem()
		o.Dir = "diskless"
		o.Fsync = raftlog.FsyncNo
		// Files in memory grow byte by byte until they are recycled.
		if o.LogSegmentBytes == 0 {
			o.LogSegmentBytes = 4 << 20
		}
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
	if o.Engine != EnginePebble {
		return fmt.Errorf("cluster: engine %q: %w", o.Engine, ErrUnsupported)
	}
	return nil
}
