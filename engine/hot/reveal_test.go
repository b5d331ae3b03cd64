package hot

import (
	"bytes"
	"testing"

	"dkv/engine"
	"dkv/engine/pebbledb"
)

// steps is an engine whose calls can be stopped at.
type steps struct {
	engine.Engine
	apply  func()       // before the engine gets a batch
	answer func() error // after it has said what it has
}

func (s *steps) Apply(repr []byte) error {
	if s.apply != nil {
		s.apply()
	}
	return s.Engine.Apply(repr)
}

func (s *steps) Get(dst, key []byte) (value []byte, found bool, err error) {
	value, found, err = s.Engine.Get(dst, key)
	if s.answer != nil {
		err = s.answer()
	}
	return value, found, err
}

// A read that has asked the engine before it had a batch, and answers after that, does
// not leave the old value in the table: where the new one is too large for the table, and
// where it was there and had to make room.
func TestLateAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		size   int
		filled bool // while the batch is not revealed yet
		evict  bool
	}{
		"too large": {size: 1 << 10}, "evicted": {size: 10, evict: true}, "too large, filled early": {size: 1 << 10, filled: true},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := pebbledb.Open("db", pebbledb.Options{InMemory: true})
			if err != nil {
				t.Fatal(err)
			}
			below := &steps{Engine: db}
			e := Wrap(below, Options{Bytes: 1 << 20})
			t.Cleanup(func() { e.Close() })
			key, was, is := []byte("key"), []byte("old"), bytes.Repeat([]byte("n"), tc.size)
			set := func(value []byte) {
				t.Helper()
				var batch engine.Batch
				batch.Put(key, value)
				if err := e.Apply(batch.Repr()); err != nil {
					t.Fatal(err)
				}
			}
			set(was)
			e.dropAll()

			asked, goOn, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
			below.apply = func() {
				if tc.evict {
					e.dropAll()
				}
				below.answer = func() error { close(asked); <-goOn; return nil }
				go func() {
					defer close(done)
					if got, found, err := e.Get(nil, key); err != nil || !found || !bytes.Equal(got, was) {
						t.Errorf("the read has %.10q, %v, %v", got, found, err)
					}
				}()
				<-asked
				if tc.filled {
					close(goOn)
					<-done
				}
			}
			set(is)
			below.answer = nil
			if !tc.filled {
				close(goOn)
				<-done
			}
			if got, found, err := e.Get(nil, key); err != nil || !found || !bytes.Equal(got, is) {
				t.Errorf("afterwards there is %.10q, %v, %v", got, found, err)
			}
		})
	}
}
