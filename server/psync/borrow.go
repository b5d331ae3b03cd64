package psync

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
	"dkv/server/rdb"
)

// maxLentBytes is how large a value that is lent to another shard may be: it is held in
// memory.
const maxLentBytes = 512 << 20

// lent is what a shard is given of another one's key.
type lent struct {
	key      []byte
	there    bool // there is such a key, or part of it
	t        rdb.Type
	value    []byte // as in an RDB file
	expireAt int64
}

var (
	specLindex      = command.Lookup([]byte("lindex"))
	specSismember   = command.Lookup([]byte("sismember"))
	specMemoryUsage = command.Lookup([]byte("memory")).Sub([]byte("usage"))
)

// lend reads what a command needs of other shards.
func (c *conversation) lend(ctx context.Context, s *share) ([]lent, error) {
	var all []lent
	for i := range s.borrowed {
		b := &s.borrowed[i]
		var l lent
		err := c.l.Read(ctx, raftlog.ShardID(b.shard), func(tx *keyspace.Tx) (err error) {
			tx.KeepExpired, tx.NoTouch = true, true
			l, err = readLent(tx, s.db, b)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("key %.60q: %w", b.key, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// readLent reads a key, or the part of it that is needed.
func readLent(tx *keyspace.Tx, db int, b *borrowed) (l lent, err error) {
	l.key = b.key
	ask := func(spec *command.Spec, args ...[]byte) (reply []byte, err error) {
		var out resp.Writer
		err = spec.Handler(&command.Ctx{Args: args, DB: db, Tx: tx, Out: &out, Spec: spec})
		return out.Buf, err
	}
	switch b.part {
	case lentHead, lentTail:
		at := map[lentPart]string{lentHead: "0", lentTail: "-1"}[b.part]
		reply, err := ask(specLindex, []byte("LINDEX"), b.key, []byte(at))
		if element, ok := bulk(reply); ok && err == nil {
			l.there, l.t, l.value = true, rdb.TypeList, rdb.AppendString(rdb.AppendLength(nil, 1), element)
		}
		return l, err
	case lentMember:
		reply, err := ask(specSismember, []byte("SISMEMBER"), b.key, b.what)
		if err == nil && string(reply) == ":1\r\n" {
			l.there, l.t, l.value = true, rdb.TypeSet, rdb.AppendString(rdb.AppendLength(nil, 1), b.what)
		}
		return l, err
	}
	reply, err := ask(specMemoryUsage, []byte("MEMORY"), []byte("USAGE"), b.key)
	if err != nil {
		return l, err
	}
	if n, err := strconv.ParseInt(string(bytes.Trim(reply, ":\r\n")), 10, 64); err == nil && n > maxLentBytes {
		return l, fmt.Errorf("%w: a value of more than %d bytes that is read in another shard than its own", ErrUnsupported, maxLentBytes)
	}
	e, err := tx.Inspect(db, b.key)
	if err != nil || !e.Exists() {
		return l, err
	}
	l.there, l.expireAt = true, e.ExpireAt
	l.value, l.t, err = command.AppendValue(nil, tx, &e)
	tx.Trim()
	return l, err
}

// bulk returns the string of a reply that is one.
func bulk(reply []byte) ([]byte, bool) {
	head, rest, ok := bytes.Cut(reply, []byte("\r\n"))
	if !ok || len(head) < 2 || head[0] != '$' || head[1] == '-' || len(rest) < 2 {
		return nil, false
	}
	return rest[:len(rest)-2], true
}

// put puts a lent key into the shard that borrows it.
func (l *lent) put(x *command.Ctx) error {
	e, err := x.Tx.Find(x.DB, l.key)
	if err != nil || !l.there {
		return err
	}
	x.Tx.Delete(&e)
	b, err := command.NewBuilder(x, e, l.t.Kind(), l.expireAt)
	if err != nil {
		return err
	}
	if err := rdb.NewBytes(l.value).Value(l.t, b.Add); err != nil {
		return err
	}
	return b.Save()
}

// run does a share. All that it writes is undone when it fails.
func (s *share) run(x *command.Ctx, all []lent) error {
	x.Args, x.DB, x.Spec = s.args, s.db, s.spec
	if s.spec == nil {
		return s.renames(x, all)
	}
	for i := range all {
		if err := all[i].put(x); err != nil {
			return fmt.Errorf("key %.60q: %w", all[i].key, err)
		}
	}
	if err := s.spec.Handler(x); err != nil {
		return err
	}
	for i := range all {
		e, err := x.Tx.Find(x.DB, all[i].key)
		if err != nil {
			return err
		}
		x.Tx.Delete(&e)
	}
	return nil
}

// renames is a half of RENAME: the new name gets what is lent, or the old one is
// deleted.
func (s *share) renames(x *command.Ctx, all []lent) error {
	key := s.args[0]
	if len(all) == 1 {
		all[0].key = key
		x.Tx.Note(keyspace.ClassGeneric, "rename_to", x.DB, key)
		return all[0].put(x)
	}
	e, err := x.Tx.Find(x.DB, key)
	if err == nil {
		x.Tx.Delete(&e)
		x.Tx.Note(keyspace.ClassGeneric, "rename_from", x.DB, key)
	}
	return err
}
