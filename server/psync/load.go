package psync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/server/command"
	"dkv/server/rdb"
)

const (
	// loadBytes is about how much of a file becomes one entry of the log.
	loadBytes = 1 << 20
	// elementCost is what an element takes beside its bytes.
	elementCost = 64
	// keysPerLook is how many keys are read between two looks at the context.
	keysPerLook = 1024
)

// rdbFile is a file that was received.
type rdbFile struct {
	f      *os.File
	remove func() error
	size   int64
}

func (r *rdbFile) open() (*rdb.File, error) {
	return rdb.NewFile(io.NewSectionReader(r.f, 0, r.size))
}

// load replaces the shard's data with a file, if dkv can hold what is in it.
func (c *conversation) load(ctx context.Context, file *rdbFile) error {
	if err := c.scan(ctx, file); err != nil {
		return err
	}
	c.l.Logger.Info("loading the source's data", "addr", c.l.Addr, "bytes", file.size)
	l := &loader{c: c, ctx: ctx}
	partial := shard.PartialPosition()
	err := c.evaluate(ctx, &shard.SourceStep{To: partial, Anew: true}, func(tx *keyspace.Tx) error {
		_, err := tx.FlushAll()
		return err
	})
	if err != nil {
		return fmt.Errorf("delete the data from before: %w", err)
	}
	if err := l.load(file); err != nil {
		return fmt.Errorf("load the data: %w", err)
	}
	err = c.evaluate(ctx, &shard.SourceStep{From: partial, To: c.next}, func(*keyspace.Tx) error { return nil })
	if err != nil {
		return err
	}
	c.from = c.next
	c.applied.Store(int64(c.next.Index))
	c.l.Logger.Info("loaded the source's data", "addr", c.l.Addr, "keys", l.keys)
	return nil
}

// scan reads a file to its end and says what dkv cannot hold.
func (c *conversation) scan(ctx context.Context, file *rdbFile) error {
	f, err := file.open()
	if errors.Is(err, rdb.ErrVersion) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return err
	}
	missing := make(map[string]string)
	lacks := func(what, example string) {
		if _, known := missing[what]; !known {
			missing[what] = example
		}
	}
	for n := 0; ; n++ {
		if n%keysPerLook == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rec, err := f.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("the source's data: %w", err)
		}
		switch rec.Op {
		case rdb.OpFunction:
			lacks("functions (FUNCTION LOAD)", "")
		case rdb.OpModule:
			c.l.Logger.Warn("what the source has of a module is left out", "module", string(rec.Key))
		case rdb.OpKey:
			example := fmt.Sprintf("%.60q", rec.Key)
			if rec.DB >= keyspace.Databases {
				lacks(fmt.Sprintf("databases above %d", keyspace.Databases-1), example)
			}
			if command.Buildable(rec.Type.Kind()) != nil {
				lacks("keys that hold a "+rec.Type.Kind().String(), example)
				err = f.Skip()
			} else {
				err = f.Value(func(*rdb.Element) error { return nil })
			}
			if err != nil && !errors.Is(err, rdb.ErrEmpty) && !errors.Is(err, rdb.ErrModule) {
				return fmt.Errorf("the source's data, key %s: %w", example, err)
			}
			if errors.Is(err, rdb.ErrModule) {
				return fmt.Errorf("%w: a value of an old module, key %s", ErrUnsupported, example)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var list []string
	for _, what := range slices.Sorted(maps.Keys(missing)) {
		if example := missing[what]; example != "" {
			what += " (for example " + example + ")"
		}
		list = append(list, what)
	}
	return fmt.Errorf("%w: %s; nothing was changed here", ErrUnsupported, strings.Join(list, ", "))
}

// portion is a part of a key that is being loaded.
type portion struct {
	db       int
	key      []byte
	kind     rdb.Kind
	expireAt int64
	first    bool // nothing of the key has been loaded before
	elements []rdb.Element
}

// loader puts a file's keys into the shard. One batch is applied while the next one
// is read.
type loader struct {
	c        *conversation
	ctx      context.Context
	batch    []portion
	bytes    int
	inFlight chan error
	keys     int
}

func (l *loader) load(file *rdbFile) (err error) {
	f, err := file.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.wait()) }()
	for {
		rec, err := f.Next()
		if err == io.EOF {
			return l.flush()
		}
		if err != nil {
			return err
		}
		if rec.Op != rdb.OpKey {
			continue
		}
		l.begin(rec, true)
		l.bytes += len(rec.Key)
		err = f.Value(func(el *rdb.Element) error {
			p := &l.batch[len(l.batch)-1]
			p.elements = append(p.elements, el.Clone())
			l.bytes += el.Size() + elementCost
			// What follows a stream's entries belongs together.
			if l.bytes < loadBytes || el.Stream != nil && el.Stream.Kind != rdb.StreamEntry {
				return nil
			}
			if err := l.flush(); err != nil {
				return err
			}
			l.begin(rec, false)
			return nil
		})
		if errors.Is(err, rdb.ErrEmpty) {
			l.batch = l.batch[:len(l.batch)-1]
			continue
		}
		if err != nil {
			return err
		}
		l.keys++
		if l.bytes >= loadBytes {
			if err := l.flush(); err != nil {
				return err
			}
		}
	}
}

func (l *loader) begin(rec *rdb.Record, first bool) {
	l.batch = append(l.batch, portion{db: rec.DB, key: slices.Clone(rec.Key), kind: rec.Type.Kind(), expireAt: rec.ExpireAt, first: first})
}

// wait waits for the batch that is being applied.
func (l *loader) wait() error {
	if l.inFlight == nil {
		return nil
	}
	err := <-l.inFlight
	l.inFlight = nil
	return err
}

// flush has what was read applied, in the background.
func (l *loader) flush() error {
	if err := l.wait(); err != nil {
		return err
	}
	if err := l.ctx.Err(); err != nil {
		return err
	}
	batch, done := l.batch, make(chan error, 1)
	l.batch, l.bytes, l.inFlight = nil, 0, done
	partial := shard.PartialPosition()
	go func() {
		done <- l.c.evaluate(l.ctx, &shard.SourceStep{From: partial, To: partial}, func(tx *keyspace.Tx) error {
			for i := range batch {
				if err := batch[i].put(tx, l.c.f.o.Limits); err != nil {
					return fmt.Errorf("key %.60q: %w", batch[i].key, err)
				}
			}
			return nil
		})
	}()
	return nil
}

// put adds a portion to its key.
func (p *portion) put(tx *keyspace.Tx, limits *command.Limits) error {
	if len(p.elements) == 0 {
		return nil // the portion before it was the last
	}
	x := &command.Ctx{DB: p.db, Tx: tx, Limits: limits}
	e, err := tx.Find(p.db, p.key)
	if err != nil {
		return err
	}
	if p.first {
		tx.Delete(&e)
	}
	b, err := command.NewBuilder(x, e, p.kind, p.expireAt)
	if err != nil {
		return err
	}
	for i := range p.elements {
		if err := b.Add(&p.elements[i]); err != nil {
			return err
		}
	}
	return b.Save()
}
