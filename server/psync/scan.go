package psync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"dkv/engine/keyspace"
	"dkv/server/command"
	"dkv/server/rdb"
)

// maxLibrariesBytes is how much of libraries is looked at: Scripts takes less.
const maxLibrariesBytes = 64 << 20

// scanner reads a file to its end and notes what dkv cannot hold.
type scanner struct {
	c         *conversation
	f         *rdb.File
	missing   map[string]string // what, and a key that is an example
	libraries []string
	bytes     int // of libraries
}

// scan reads a file to its end and says what dkv cannot hold. It returns the libraries
// of functions in it.
func (c *conversation) scan(ctx context.Context, file *rdbFile) (libraries []string, err error) {
	s := &scanner{c: c, missing: make(map[string]string)}
	s.f, err = file.open()
	if errors.Is(err, rdb.ErrVersion) {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		if n%keysPerLook == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		rec, err := s.f.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the source's data: %w", err)
		}
		if err := s.record(rec); err != nil {
			return nil, err
		}
	}
	s.checkLibraries()
	return s.libraries, s.verdict()
}

func (s *scanner) lacks(what, example string) {
	if _, known := s.missing[what]; !known {
		s.missing[what] = example
	}
}

// record looks at a part of the file.
func (s *scanner) record(rec *rdb.Record) (err error) {
	switch rec.Op {
	case rdb.OpFunction:
		if s.bytes += len(rec.Text); s.bytes <= maxLibrariesBytes {
			s.libraries = append(s.libraries, string(rec.Text))
		}
	case rdb.OpModule:
		s.c.l.Logger.Warn("what the source has of a module is left out", "module", string(rec.Key))
	case rdb.OpKey:
		example := fmt.Sprintf("%.60q", rec.Key)
		if rec.DB >= keyspace.Databases {
			s.lacks(fmt.Sprintf("databases above %d", keyspace.Databases-1), example)
		}
		if command.Buildable(rec.Type.Kind()) != nil {
			s.lacks("keys that hold a "+rec.Type.Kind().String(), example)
			err = s.f.Skip()
		} else {
			err = s.f.Value(func(*rdb.Element) error { return nil })
		}
		if err != nil && !errors.Is(err, rdb.ErrEmpty) && !errors.Is(err, rdb.ErrModule) {
			return fmt.Errorf("the source's data, key %s: %w", example, err)
		}
		if errors.Is(err, rdb.ErrModule) {
			return fmt.Errorf("%w: a value of an old module, key %s", ErrUnsupported, example)
		}
	}
	return nil
}

func (s *scanner) checkLibraries() {
	scripts := s.c.f.o.Scripts
	switch {
	case s.bytes == 0:
	case scripts == nil:
		s.lacks("functions (FUNCTION LOAD)", "")
	case s.bytes > maxLibrariesBytes:
		s.lacks(fmt.Sprintf("functions of more than %d bytes", maxLibrariesBytes), "")
	default:
		if err := scripts.Check(s.libraries); err != nil {
			s.lacks("functions that cannot be loaded: "+err.Error(), "")
		}
	}
}

// verdict is the error that names what is missing, nil when nothing is.
func (s *scanner) verdict() error {
	if len(s.missing) == 0 {
		return nil
	}
	var list []string
	for _, what := range slices.Sorted(maps.Keys(s.missing)) {
		if example := s.missing[what]; example != "" {
			what += " (for example " + example + ")"
		}
		list = append(list, what)
	}
	return fmt.Errorf("%w: %s; nothing was changed here", ErrUnsupported, strings.Join(list, ", "))
}
