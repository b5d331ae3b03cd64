package front

import (
	"fmt"
	"log/slog"

	"dkv/engine"
)

// Options configures a DB. The zero value of a field means its default.
type Options struct {
	// MemtableBytes is the size at which a memtable is handed to the store,
	// default 32 MiB. It includes what the memtable needs beside keys and values,
	// some 112 bytes a record.
	MemtableBytes int64
	// MemtableCount is how many memtables there may be, the one being filled
	// included, before Apply waits for a flush. Default 4.
	MemtableCount int

	// FreeBytes, when set, says how much of the disk is free; ok is false when
	// that is not known.
	FreeBytes func() (free uint64, ok bool)
	// ReserveBytes is the free space below which nothing is handed to the store:
	// a flush needs that much, and its own size times WriteFactor.
	ReserveBytes uint64
	// WriteFactor is how many times its size a flush may take on disk while it is
	// written. Default 1.
	WriteFactor int64

	// BeforeFlush, when set, is called, and must return nil, before a memtable is
	// handed to the store: once for each, and again while it fails. It is called
	// with no lock held; it must not call Flush, Checkpoint, Compact or Close. While
	// it fails Writable returns its error.
	BeforeFlush func() error
	// OnFlush, when set, is called after a flush or a Load became durable, one call at
	// a time. It may read the DB but must not block.
	OnFlush func()
	// OnFatal, when set, is called once, when the store stopped after an error that it
	// cannot recover from. Reads go on; Apply, Flush, Load and Writable return
	// engine.ErrFailed.
	OnFatal func(error)

	// Name is the engine's, for errors.
	Name string
	// Logger receives events; nil is slog.Default().
	Logger *slog.Logger
}

const (
	// DefaultMemtableBytes and DefaultMemtableCount are Options' defaults.
	DefaultMemtableBytes = 32 << 20
	DefaultMemtableCount = 4

	// Bounds of Options.MemtableBytes.
	minMemtableBytes = 64 << 10
	maxMemtableBytes = 1 << 30

	// maxRanges is how many delete-ranges make a memtable full: reads look for
	// them, and each copies the others.
	maxRanges = 4096
)

// WithDefaults fills in what is zero.
func (o Options) WithDefaults() Options {
	if o.MemtableBytes == 0 {
		o.MemtableBytes = DefaultMemtableBytes
	}
	if o.MemtableCount == 0 {
		o.MemtableCount = DefaultMemtableCount
	}
	if o.WriteFactor == 0 {
		o.WriteFactor = 1
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Validate returns engine.ErrOptions, wrapped, for options that make no sense.
// They must have their defaults.
func (o Options) Validate() error {
	switch {
	case o.MemtableBytes < minMemtableBytes || o.MemtableBytes > maxMemtableBytes:
		return fmt.Errorf("%w: memtable of %d bytes: must be %d to %d",
			engine.ErrOptions, o.MemtableBytes, minMemtableBytes, maxMemtableBytes)
	case o.MemtableCount < 2:
		return fmt.Errorf("%w: %d memtables: at least 2 are needed, one to fill while one is flushed",
			engine.ErrOptions, o.MemtableCount)
	}
	return nil
}
