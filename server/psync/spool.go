package psync

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// maxSpoolBytes is how much may wait in a spool.
const maxSpoolBytes = 8 << 30

// spool is a queue of bytes in a file, for one writer and one reader.
type spool struct {
	f  *os.File
	mu struct {
		sync.Mutex
		read, written int64
		given         int64 // up to where the file's space was given back
		err           error // why nothing more comes
		abandoned     bool  // nobody reads any more
	}
	moved sync.Cond
	limit int64
	keeps bool // the reader's: the file system does not give space back
}

// giveBackBytes is how much is read before its space is given back.
const giveBackBytes = 32 << 20

func newSpool(f *os.File) *spool {
	s := &spool{f: f, limit: maxSpoolBytes}
	s.moved.L = &s.mu
	return s
}

// Write implements io.Writer. It blocks while the limit is reached.
func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	for s.mu.written-s.mu.read >= s.limit && !s.mu.abandoned {
		s.moved.Wait()
	}
	if s.mu.abandoned {
		s.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	if s.mu.read == s.mu.written {
		s.mu.read, s.mu.written, s.mu.given = 0, 0, 0
	}
	at := s.mu.written
	s.mu.Unlock()
	n, err := s.f.WriteAt(p, at)
	if err != nil {
		return n, fmt.Errorf("psync: spool: %w", err)
	}
	s.mu.Lock()
	s.mu.written += int64(n)
	s.mu.Unlock()
	s.moved.Broadcast()
	return n, nil
}

// Read implements io.Reader. It waits for bytes, and returns what end was given when
// all have been read.
func (s *spool) Read(p []byte) (int, error) {
	s.mu.Lock()
	for s.mu.read == s.mu.written && s.mu.err == nil {
		s.moved.Wait()
	}
	from, n := s.mu.read, min(int64(len(p)), s.mu.written-s.mu.read)
	err := s.mu.err
	s.mu.Unlock()
	if n == 0 {
		return 0, err
	}
	got, err := s.f.ReadAt(p[:n], from)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("psync: spool: %w", err)
	}
	s.mu.Lock()
	s.mu.read += int64(got)
	given, read := s.mu.given, s.mu.read
	s.mu.Unlock()
	s.moved.Broadcast()
	if read-given >= giveBackBytes {
		s.giveBack(given, read)
	}
	return got, nil
}

// waits says whether there are bytes that have not been read, so that Read would not wait.
func (s *spool) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.read < s.mu.written
}

// giveBack gives back the space of what has been read. Where the system has no way to
// do so, the file keeps it until all has been read.
func (s *spool) giveBack(from, to int64) {
	if s.keeps {
		return
	}
	// The writer begins anew at 0 only when all has been read, which is the reader's to do,
	// and may have begun by now: then these bytes are not there to be given back.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.read < to {
		return
	}
	s.keeps = punch(s.f, from, to-from) != nil
	s.mu.given = to
}

// end says that nothing more will be written, and why.
func (s *spool) end(err error) {
	s.mu.Lock()
	if s.mu.err == nil {
		s.mu.err = err
	}
	s.mu.Unlock()
	s.moved.Broadcast()
}

// abandon says that nobody reads any more.
func (s *spool) abandon() {
	s.mu.Lock()
	s.mu.abandoned = true
	s.mu.Unlock()
	s.moved.Broadcast()
}
