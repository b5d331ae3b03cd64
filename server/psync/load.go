package psync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/resp"
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

// load replaces the data of all shards with a file, if dkv can hold what is in it.
//
// The first shard is partial as long as any is: while it is nothing is served.
func (c *conversation) load(ctx context.Context, file *rdbFile) error {
	libraries, err := c.scan(ctx, file)
	if err != nil {
		return err
	}
	c.l.Logger.Info("loading the source's data", "addr", c.l.Addr, "bytes", file.size)
	l := &loader{c: c, ctx: ctx, batch: make([][]portion, len(c.at))}
	partial := shard.PartialPosition()
	for i := range c.at {
		err := c.evaluate(ctx, i, &shard.SourceStep{To: partial, Anew: true}, func(tx *keyspace.Tx) error {
			if _, err := tx.FlushAll(); err != nil {
				return err
			}
			return c.setLibraries(tx, nil)
		})
		if err != nil {
			return fmt.Errorf("delete the data from before: %w", err)
		}
		c.at[i] = partial
	}
	if err := l.load(file); err != nil {
		return fmt.Errorf("load the data: %w", err)
	}
	for i := len(c.at) - 1; i >= 0; i-- {
		if err := c.step(ctx, i, c.next, func(tx *keyspace.Tx) error { return c.setLibraries(tx, libraries) }); err != nil {
			return err
		}
	}
	c.applied.Store(int64(c.next.Index))
	c.l.Logger.Info("loaded the source's data", "addr", c.l.Addr, "keys", l.keys, "libraries", len(libraries))
	return nil
}

// setLibraries makes libraries of functions the only ones of a shard.
func (c *conversation) setLibraries(tx *keyspace.Tx, codes []string) error {
	if c.f.o.Scripts == nil {
		return nil
	}
	var payload []byte
	for _, code := range codes {
		payload = rdb.AppendFunction(payload, []byte(code))
	}
	var out resp.Writer
	x := command.Ctx{Tx: tx, Out: &out, Scripts: c.f.o.Scripts, Spec: specFunctionRestore}
	x.Args = [][]byte{[]byte("FUNCTION"), []byte("RESTORE"), rdb.AppendFooter(payload, 0), []byte("FLUSH")}
	if err := x.Spec.Handler(&x); err != nil {
		return fmt.Errorf("load the functions: %w", err)
	}
	return nil
}

var specFunctionRestore = command.Lookup([]byte("function")).Sub([]byte("restore"))

// portion is a part of a key that is being loaded.
type portion struct {
	db       int
	key      []byte
	kind     rdb.Kind
	expireAt int64
	first    bool // nothing of the key has been loaded before
	elements []rdb.Element
}

// loader puts a file's keys into the shards. One batch is applied while the next one
// is read.
type loader struct {
	c        *conversation
	ctx      context.Context
	batch    [][]portion // by shard
	last     int         // the shard of the key that is read
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
			p := &l.batch[l.last][len(l.batch[l.last])-1]
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
			l.batch[l.last] = l.batch[l.last][:len(l.batch[l.last])-1]
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
	l.last = shardOfKey(l.c.slots, rec.Key)
	l.batch[l.last] = append(l.batch[l.last], portion{db: rec.DB, key: slices.Clone(rec.Key), kind: rec.Type.Kind(), expireAt: rec.ExpireAt, first: first})
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
	all, done := l.batch, make(chan error, 1)
	l.batch, l.bytes, l.inFlight = make([][]portion, len(all)), 0, done
	var shards []int
	for i := range all {
		if len(all[i]) > 0 {
			shards = append(shards, i)
		}
	}
	if len(shards) == 0 {
		done <- nil
		return nil
	}
	go func() { done <- each(shards, func(i int) error { return l.put(i, all[i]) }) }()
	return nil
}

// put puts portions into a shard.
func (l *loader) put(i int, batch []portion) error {
	return l.c.step(l.ctx, i, shard.PartialPosition(), func(tx *keyspace.Tx) error {
		for j := range batch {
			if err := batch[j].put(tx, l.c.f.o.Limits); err != nil {
				return fmt.Errorf("key %.60q: %w", batch[j].key, err)
			}
		}
		return nil
	})
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
