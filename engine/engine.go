package engine

import (
	"context"
	"time"
)

// Reader reads one state of an ordered key-value store. Keys are compared as
// bytes; none is empty. All methods are safe for concurrent use (an Overlay's
// excepted). After Close of the engine they return ErrClosed.
type Reader interface {
	// Get appends the value of key to dst and returns the extended slice,
	// which the caller owns. found is false, and value is dst as it was, when
	// the key is absent. key is not kept.
	Get(dst, key []byte) (value []byte, found bool, err error)

	// NewIter returns an iterator over a consistent view of the keys in
	// [o.Lower, o.Upper), the state of this moment. The bounds are copied. The
	// caller must Close it.
	NewIter(o IterOptions) (Iterator, error)
}

// IterOptions bounds an iterator. An empty bound is no bound; an Upper that is
// not above Lower leaves no keys.
type IterOptions struct {
	Lower []byte // inclusive
	Upper []byte // exclusive
	// KeysOnly says that Value will not be called, so that an engine which
	// keeps values apart from keys need not fetch them.
	KeysOnly bool
}

// Iterator walks keys in order, in both directions. A new iterator is not
// positioned. Every move reports whether the iterator stands on a key; when it
// reports false, Err tells the end from a failure. Not safe for concurrent use.
type Iterator interface {
	First() bool
	Last() bool
	// SeekGE moves to the first key >= key, SeekLT to the last key < key, both
	// within the bounds.
	SeekGE(key []byte) bool
	SeekLT(key []byte) bool
	// Next and Prev report false when the iterator stands on no key (as after
	// they reported false): they do not come back in from an end.
	Next() bool
	Prev() bool
	Valid() bool
	// Key and Value return the entry the iterator stands on, which must be one.
	// The slices belong to the iterator and are valid until it next moves or
	// closes.
	Key() []byte
	Value() ([]byte, error)
	Err() error
	Close() error
}

// Snapshot is a Reader of one state that later writes do not change. It keeps
// what was deleted and overwritten since from being given back, so it must be
// closed; closing it again returns nil.
type Snapshot interface {
	Reader
	Close() error
}

// Engine is an ordered key-value store without a write-ahead log of its own:
// what was applied is lost in a crash unless it had been flushed, and after a
// crash the store holds a prefix of the applied batches, each whole or absent.
//
// Apply is called by one goroutine at a time; everything else may be called
// concurrently with it.
type Engine interface {
	Reader

	// Apply makes the mutations of a batch visible atomically, in their
	// order. repr is the wire form of a Batch (see Batch.Repr); the engine
	// neither keeps nor changes it. It may wait for flushes and compactions that
	// are behind, and then returns ErrClosed when Close begins. Errors:
	// ErrCorruptBatch when repr does not parse (nothing is applied), otherwise
	// an I/O failure.
	Apply(repr []byte) error

	// NewSnapshot returns a view of what has been applied so far.
	NewSnapshot() Snapshot

	// GetDurable is Get in a state that a crash from now on leaves at least.
	GetDurable(dst, key []byte) (value []byte, found bool, err error)

	// Flush makes everything that was applied before the call durable. When
	// that fails (ErrNoSpace, or an I/O failure) the engine goes on trying in the
	// background.
	Flush() error

	// Writable returns nil while Apply can make progress, ErrNoSpace (wrapped)
	// while background writing fails for lack of disk space, and another error
	// while it fails otherwise. It becomes nil again by itself. Asking is cheap:
	// a writer asks before each batch that it begins.
	Writable() error

	// Checkpoint writes a durable, openable copy of the current state to dir,
	// which must not exist (the error is os.ErrExist), and does not after a
	// failure. Hard links are used where the disk allows.
	Checkpoint(dir string) error

	// Compact rewrites [lower, upper) so that the space of deleted and
	// overwritten entries is given back. Empty bounds are no bounds.
	Compact(ctx context.Context, lower, upper []byte) error

	// Metrics returns the engine's figures under names all engines share.
	Metrics() Metrics

	// Close releases the store. It does not flush. Iterators and snapshots must
	// be closed by then or soon. Calling it again returns nil.
	Close() error
}

// Metrics are figures that every engine reports. Bytes unless named otherwise;
// counters count since Open.
type Metrics struct {
	DiskBytes          uint64 // tables, those about to be removed included
	MemtableBytes      uint64 // memory of what is applied and not yet flushed
	HeldBackBytes      uint64 // of MemtableBytes, what engine/hot holds back
	MemtableCount      int
	BlockCacheBytes    uint64
	BlockCacheCapacity uint64
	BlockCacheHits     uint64
	BlockCacheMisses   uint64
	FlushCount         uint64
	FlushBytes         uint64
	CompactionCount    uint64
	CompactionBytes    uint64 // written by compactions
	CompactionDebt     uint64 // estimated bytes still to compact
	CompactionDuration time.Duration
	ReadAmplification  int // sorted runs a point read may look into
	Tables             int64
	Tombstones         uint64
	EstimatedKeys      uint64
	WriteStalls        uint64
	WriteStallDuration time.Duration
	BackgroundErrors   uint64
}
