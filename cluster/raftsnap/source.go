package raftsnap

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"dkv/engine"
)

// Source streams an engine snapshot. It keeps no place of its own: a position says
// all that is needed to go on after it. Safe for concurrent use; calls wait for
// each other.
type Source struct {
	stream     uint64
	chunkBytes int // ChunkBytes; tests make it smaller

	// mu is held over reads of the engine, which it serializes.
	mu struct {
		sync.Mutex
		snap  engine.Snapshot // nil: closed
		batch engine.Batch    // reused
		key   []byte          // reused
	}
}

// NewSource returns a source of what is in s, which it takes over.
func NewSource(s engine.Snapshot) *Source {
	src := &Source{stream: rand.Uint64(), chunkBytes: ChunkBytes}
	src.mu.snap = s
	return src
}

// Next returns the chunk that follows the position after, which an earlier Next of
// this source returned; nil is the start. position is where the next chunk
// follows; last says that there is none. The caller owns both slices. Errors:
// ErrPosition, engine.ErrClosed after Close, and the engine's.
func (src *Source) Next(after []byte) (data, position []byte, last bool, err error) {
	at, lastKey := mark{stream: src.stream}, []byte(nil)
	if after != nil {
		if at, lastKey, err = parsePosition(after); err != nil {
			return nil, nil, false, err
		}
		if at.stream != src.stream {
			return nil, nil, false, fmt.Errorf("%w: it is of stream %016x, this one is %016x", ErrPosition, at.stream, src.stream)
		}
	}
	src.mu.Lock()
	defer src.mu.Unlock()
	b := &src.mu.batch
	defer b.Reset()
	lastKey, last, err = src.fillLocked(b, lastKey)
	if err != nil {
		return nil, nil, false, fmt.Errorf("raftsnap: read engine snapshot: %w", err)
	}
	data, at = makeChunk(at, b, last)
	return data, makePosition(at, lastKey), last, nil
}

// fillLocked puts the records after lastKey into b until it is full, and returns
// the new last key. last says that there are no more.
//
// The iterator is a new one each time: one that stayed open would keep the tables
// that compactions replace from being removed for as long as a slow transfer takes.
func (src *Source) fillLocked(b *engine.Batch, lastKey []byte) (_ []byte, last bool, err error) {
	if src.mu.snap == nil {
		return nil, false, engine.ErrClosed
	}
	var o engine.IterOptions
	if len(lastKey) > 0 {
		o.Lower = append(slices.Clone(lastKey), 0) // the least key above it
	}
	it, err := src.mu.snap.NewIter(o)
	if err != nil {
		return nil, false, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.Value()
		if err != nil {
			return nil, false, err
		}
		b.Put(it.Key(), value)
		src.mu.key = append(src.mu.key[:0], it.Key()...)
		lastKey = src.mu.key
		if err := b.Err(); err != nil {
			return nil, false, err
		}
		// Without a look at whether there is more, which might load a large
		// value for nothing: the last chunk may be empty.
		if b.Len() >= src.chunkBytes {
			return lastKey, false, nil
		}
	}
	return lastKey, true, it.Err()
}

// Close closes the engine snapshot. It can be called again.
func (src *Source) Close() error {
	src.mu.Lock()
	defer src.mu.Unlock()
	if src.mu.snap == nil {
		return nil
	}
	err := src.mu.snap.Close()
	src.mu.snap = nil
	return err
}
