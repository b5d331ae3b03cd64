package pebbledb

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"dkv/engine"
)

// iter is an engine.Iterator. It holds a use of its DB until it is closed.
type iter struct {
	it     *pebble.Iterator
	use    *usage
	closed bool
}

// newIter makes an iterator; the use, which the caller entered, is the
// iterator's, or left when there is an error.
func newIter(r pebble.Reader, o engine.IterOptions, use *usage) (engine.Iterator, error) {
	po := pebble.IterOptions{LowerBound: o.Lower, UpperBound: o.Upper}
	if len(o.Lower) == 0 {
		po.LowerBound = nil
	}
	if len(o.Upper) == 0 {
		po.UpperBound = nil
	}
	if po.LowerBound != nil && po.UpperBound != nil && bytes.Compare(o.Lower, o.Upper) > 0 {
		po.UpperBound = po.LowerBound // Pebble expects ordered bounds
	}
	// Pebble copies the bounds.
	it, err := r.NewIter(&po)
	if err != nil {
		use.leave()
		return nil, readError(err)
	}
	return &iter{it: it, use: use}, nil
}

func (i *iter) First() bool            { return i.it.First() }
func (i *iter) Last() bool             { return i.it.Last() }
func (i *iter) SeekGE(key []byte) bool { return i.it.SeekGE(key) }
func (i *iter) SeekLT(key []byte) bool { return i.it.SeekLT(key) }

// Pebble's Next and Prev come back in at the end that they fell off; the
// interface's stay invalid.

func (i *iter) Next() bool { return i.it.Valid() && i.it.Next() }
func (i *iter) Prev() bool { return i.it.Valid() && i.it.Prev() }

func (i *iter) Valid() bool { return i.it.Valid() }
func (i *iter) Key() []byte { return i.it.Key() }

func (i *iter) Value() ([]byte, error) {
	v, err := i.it.ValueAndErr()
	return v, readError(err)
}

func (i *iter) Err() error {
	return readError(i.it.Error())
}

func (i *iter) Close() error {
	if i.closed {
		return nil
	}
	i.closed = true
	err := i.it.Close()
	i.use.leave()
	return readError(err)
}

// snapshot is an engine.Snapshot. It holds a use of its DB until it is closed.
type snapshot struct {
	s      *pebble.Snapshot // nil when the DB was closed already
	use    *usage
	closed bool
}

func (s *snapshot) Get(dst, key []byte) (value []byte, found bool, err error) {
	if s.s == nil || s.closed {
		return dst, false, engine.ErrClosed
	}
	return getFrom(s.s, dst, key)
}

func (s *snapshot) NewIter(o engine.IterOptions) (engine.Iterator, error) {
	if s.s == nil || s.closed {
		return nil, engine.ErrClosed
	}
	// Not enter: the snapshot's own use keeps the DB open, also while a Close
	// waits for the snapshot.
	s.use.n.Add(1)
	return newIter(s.s, o, s.use)
}

func (s *snapshot) Close() error {
	if s.s == nil || s.closed {
		return nil
	}
	s.closed = true
	err := s.s.Close()
	s.use.leave()
	if err != nil {
		return fmt.Errorf("pebbledb: close snapshot: %w", err)
	}
	return nil
}
