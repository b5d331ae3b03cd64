package engine

import "errors"

// Errors about the state of a store.
var (
	// ErrClosed is returned by calls on an engine, snapshot or iterator after
	// its engine was closed.
	ErrClosed = errors.New("engine: closed")

	// ErrNoSpace says that the disk is full (or below its reserve). Nothing is
	// lost: what was applied is in memory and in the log, reads go on, and
	// writing resumes by itself once there is space.
	ErrNoSpace = errors.New("engine: no space left on the data disk")

	// ErrFailed says that the store stopped after an error that it cannot
	// recover from while it runs. The data on disk is what it was.
	ErrFailed = errors.New("engine: store failed")
)

// Errors of opening a store.
var (
	// ErrLocked says that another process (or another Open in this one) has the
	// folder open.
	ErrLocked = errors.New("engine: data folder is in use")

	// ErrDataFormat says that the folder holds something that this build cannot
	// read: another engine's store, or one of a newer version.
	ErrDataFormat = errors.New("engine: data folder has another format")

	// ErrCorrupt says that the store's files contradict themselves or their
	// checksums.
	ErrCorrupt = errors.New("engine: data is corrupt")

	// ErrOptions says that an option makes no sense.
	ErrOptions = errors.New("engine: bad option")
)

// Errors of batches.
var (
	// ErrCorruptBatch says that bytes are not the wire form of a batch.
	ErrCorruptBatch = errors.New("engine: corrupt batch")

	// ErrBatchTooLarge says that a batch reached MaxBatchBytes.
	ErrBatchTooLarge = errors.New("engine: batch too large")
)
