package badgerdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"dkv/engine"
	"dkv/engine/front"
)

// Open opens the store in dir, or makes one there when dir is empty or missing.
// dir is not used in memory. Errors, wrapped: engine.ErrOptions,
// engine.ErrLocked, engine.ErrDataFormat, engine.ErrCorrupt, engine.ErrNoSpace, and
// those of the file system.
func Open(dir string, o Options) (*front.DB, error) {
	o = o.withDefaults()
	db, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("badger: open %s: %w", dir, err)
	}
	return db, nil
}

func open(dir string, o Options) (*front.DB, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Memory != nil {
		s, err := o.Memory.open(dir, o)
		if err != nil {
			return nil, err
		}
		db, err := front.Open(&lent{s, o.Memory}, o.front(""))
		if err != nil {
			return nil, errors.Join(err, (&lent{s, o.Memory}).Close())
		}
		return db, nil
	}
	if o.InMemory {
		dir = ""
	} else {
		var err error
		if dir, err = filepath.Abs(dir); err != nil {
			return nil, err
		}
		if err := front.OwnFolder(dir, "MANIFEST", leftByFirstOpen); err != nil {
			return nil, err
		}
	}
	s, err := openStore(dir, o)
	if err != nil {
		return nil, err
	}
	db, err := front.Open(s, o.front(dir))
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.startGC()
	return db, nil
}

// leftByFirstOpen reports whether a first Open that crashed may have left the
// file.
func leftByFirstOpen(name string) bool {
	switch name {
	case "LOCK", "KEYREGISTRY", "DISCARD", "MANIFEST-REWRITE", "KEYREGISTRY-REWRITE":
		return true
	}
	return strings.HasSuffix(name, ".mem") || strings.HasSuffix(name, ".vlog")
}

// openStore opens Badger and takes back what a crash left of a change.
func openStore(dir string, o Options) (s *store, err error) {
	// Badger's Open does not give back all that it took when it fails, and panics
	// on files that it did not expect.
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("%w: %v", engine.ErrCorrupt, p)
		}
	}()
	s = &store{dir: dir, o: o, log: newLogger(o.Logger), stopGC: make(chan struct{})}
	s.mu.views = make(map[uint64]int)
	s.large.values = make(map[largeID]largeValue)
	if s.db, err = badger.OpenManaged(o.badgerOptions(dir, s.log)); err != nil {
		return nil, openError(err)
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if dir != "" {
		if err := front.SyncDir(dir); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func openError(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "Cannot acquire directory lock"):
		return fmt.Errorf("%w: another process has it open (%v)", engine.ErrLocked, err)
	case strings.Contains(text, "magic") || strings.Contains(text, "unsupported version"):
		return fmt.Errorf("%w: %v", engine.ErrDataFormat, err)
	case strings.Contains(text, "file does not exist for table") || strings.Contains(text, "checksum") ||
		strings.Contains(text, "MANIFEST"):
		return fmt.Errorf("%w: %v", engine.ErrCorrupt, err)
	}
	return badgerError(err)
}

// badgerError gives an error of Badger its meaning.
func badgerError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, badger.ErrDBClosed), errors.Is(err, os.ErrClosed):
		return fmt.Errorf("%w: %v", engine.ErrClosed, err)
	case front.IsNoSpace(err) || strings.Contains(err.Error(), "no space left on device"):
		return fmt.Errorf("%w: %v", engine.ErrNoSpace, err)
	case strings.Contains(err.Error(), "checksum mismatch"):
		return fmt.Errorf("%w: %v", engine.ErrCorrupt, err)
	}
	return fmt.Errorf("badger: %w", err)
}
