package raftlog

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ShardID names a shard of this node.
type ShardID uint16

// Index is a position in a shard's log; the first entry ever has index 1.
type Index uint64

// Term is a raft term.
type Term uint64

// FsyncMode says when appended entries are made durable.
type FsyncMode int32

const (
	// FsyncAlways: an Append that must sync returns after the sync.
	FsyncAlways FsyncMode = iota
	// FsyncEverySec: a background sync each second in which something was
	// written. When one has been running for two seconds, writers wait for it.
	// Terms and votes are synced at once.
	FsyncEverySec
	// FsyncNo: the operating system decides; the log itself syncs only terms and
	// votes, where a caller asks for it (Sync) and when a segment is full.
	FsyncNo
)

// ParseFsyncMode reads the value of the fsync parameter: always, everysec, no.
func ParseFsyncMode(s string) (FsyncMode, error) {
	for _, m := range []FsyncMode{FsyncAlways, FsyncEverySec, FsyncNo} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("raftlog: fsync mode %q is none of always, everysec, no", s)
}

// String returns the parameter's value: always, everysec or no.
func (m FsyncMode) String() string {
	switch m {
	case FsyncAlways:
		return "always"
	case FsyncEverySec:
		return "everysec"
	case FsyncNo:
		return "no"
	}
	return fmt.Sprintf("fsync(%d)", int32(m))
}

// Options configures a Log. Zero means the default.
type Options struct {
	// FS is where the log lives; nil is the disk. vfs.NewMem() makes a log
	// without durability, for a diskless node.
	FS vfs.FS
	// Dir is the log's own directory; it is created when it is missing. The
	// caller keeps other processes out of it.
	Dir string
	// Fsync is the mode to begin with, see SetFsync.
	Fsync FsyncMode
	// SegmentBytes is the size of a segment file; 64 MiB. A record that is
	// larger gets a segment of its own.
	SegmentBytes int64
	// RetainBytes of truncated log are kept for followers; 64 MiB. A negative
	// value keeps nothing.
	RetainBytes int64
	// RetainTime, when above zero, is the age from which such log is not kept,
	// whatever its size. A file's age counts from when the next one was begun, or
	// from Open.
	RetainTime time.Duration
	// CacheBytes bounds the recent entries kept in memory, over all shards;
	// 32 MiB. A negative value caches nothing.
	CacheBytes int64
	// Logger gets one line an event; nil is silent.
	Logger *slog.Logger
	// OnFatal is called once, without locks held, when the log has failed for
	// good (see ErrFailed). It must not call the log.
	OnFatal func(error)
	// Clock is the time; nil is time.Now.
	Clock func() time.Time
	// Salt returns unpredictable numbers that tell a segment's records from
	// what its file held before; nil is math/rand/v2.
	Salt func() uint64

	// manual leaves out the background goroutine; tests call tick.
	manual bool
	// zeroFill forces zero filling on file systems without descriptors.
	zeroFill bool
}

const (
	defaultSegmentBytes = 64 << 20
	defaultRetainBytes  = 64 << 20
	defaultCacheBytes   = 32 << 20

	// minSegmentBytes holds the header block and some records.
	minSegmentBytes = 2 * headerBytes
	// maxSegmentBytes keeps record offsets, in units of 8 bytes, in 32 bits.
	maxSegmentBytes = 16 << 30
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.RetainBytes == 0 {
		o.RetainBytes = defaultRetainBytes
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnFatal == nil {
		o.OnFatal = func(error) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Salt == nil {
		o.Salt = rand.Uint64
	}
	return o
}

func (o Options) validate() error {
	if o.Dir == "" {
		return fmt.Errorf("raftlog: no directory given")
	}
	if o.SegmentBytes < minSegmentBytes || o.SegmentBytes > maxSegmentBytes {
		return fmt.Errorf("raftlog: segment size %d is not within %d and %d", o.SegmentBytes, int64(minSegmentBytes), int64(maxSegmentBytes))
	}
	if o.Fsync < FsyncAlways || o.Fsync > FsyncNo {
		return fmt.Errorf("raftlog: unknown %s", o.Fsync)
	}
	return nil
}
