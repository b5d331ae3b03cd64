package raftlog

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt: something that had been synced cannot be read back. Errors
	// that wrap it are a *CorruptError with the file and the offset.
	ErrCorrupt = errors.New("raftlog: corrupt")
	// ErrVersion: the log was written in a format that this program does not know.
	ErrVersion = errors.New("raftlog: unknown format version")
	// ErrFailed: a sync has failed, or what a failed write left could not be
	// undone; what is durable is not known any more and the log refuses all work.
	ErrFailed = errors.New("raftlog: failed")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("raftlog: closed")
	// ErrGap: the entries to append do not follow the log's last entry.
	ErrGap = errors.New("raftlog: gap between the log and the entries to append")
)

// CorruptError says where the log is damaged. It wraps ErrCorrupt.
type CorruptError struct {
	File   string // base name
	Offset int64  // bytes
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("raftlog: corrupt: %s at offset %d: %s", e.File, e.Offset, e.Reason)
}

// Unwrap makes errors.Is(e, ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
