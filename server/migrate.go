package server

import (
	"context"
	"errors"
	"slices"
	"sync"

	"dkv/cluster/raftlog"
	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("migrate", migrate) }

// MIGRATE moves keys to another server, which may be a Redis. It runs on the
// connection's goroutine, for the shard's writer is everybody's and must not wait for a
// network:
//
//  1. The keys are read in a snapshot, some at a time, after the position of the shard's
//     log was noted, as WATCH does.
//  2. They are sent as RESTORE, and the target's OK awaited. What the target has refused
//     stays here.
//  3. The keys are deleted by a transaction that watches them since that position, so it
//     is one entry of the log, and nothing is deleted that was changed after it was read.
//     Where the leader is, or whether it has changed, does not matter to it.
//
// A key that was changed in between is sent again as it is now: others see that the key
// was moved after their change, as if all had happened at once, as it does in Redis,
// which answers nobody meanwhile. One that is gone by then stays at the target, and the
// reply says so: it may have been another MIGRATE that moved it there, and to delete it
// there would lose it.

const (
	// migrateKeysAtOnce and migrateBytesAtOnce bound what is held in memory: the value
	// that reaches the second is the last.
	migrateKeysAtOnce  = 128
	migrateBytesAtOnce = 1 << 20
	// migrateAttempts is how often a key is sent that is changed all the time.
	migrateAttempts = 16
)

// Errors in the words of Redis, and two of ours: the code says, as there, that a key may
// be on both sides.
const (
	errMigrateConnect resp.Error = "IOERR error or timeout connecting to the client"
	errMigrateWrite   resp.Error = "IOERR error or timeout writing to target instance"
	errMigrateRead    resp.Error = "IOERR error or timeout reading to target instance"
	errMigrateChanged resp.Error = "IOERR the key was changed whenever it had been sent, it is in both instances"
	errMigrateGone    resp.Error = "IOERR the key was deleted after it had been sent, the target instance has it"
)

var specDel = command.Lookup([]byte("del"))

// parcel is some keys of a shard as they were after a position of its log.
type parcel struct {
	shard raftlog.ShardID
	since uint64
	at    int64 // Unix ms
	items []parcelItem
}

// parcelItem is a key and its value.
type parcelItem struct {
	key, payload []byte
	ttl          int64 // ms, 0: none
	gone         bool  // there is no such key (any more)
}

func migrate(c *Conn, x *command.Ctx) error {
	m, err := command.ParseMigration(cloneArgs(x.Args)) // the request's own memory is read into meanwhile
	if err != nil {
		return err
	}
	c.leave()
	ctx, cancel := context.WithCancel(c.srv.work)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-c.cut:
			cancel()
		case <-ctx.Done():
		}
	})
	t := &migrationTarget{Migration: m, ctx: ctx}
	defer t.close()
	found := false
	for _, part := range c.byShard(m.Keys) {
		some, err := c.migrateShard(t, part)
		if err != nil {
			return err
		}
		found = found || some
	}
	switch {
	case !found:
		x.Out.Simple("NOKEY")
	case t.refusal != "":
		return t.refusal
	default:
		x.Out.OK()
	}
	return nil
}

// shardKeys are keys of one shard.
type shardKeys struct {
	shard raftlog.ShardID
	keys  [][]byte
}

// byShard sorts keys by their shards.
func (c *Conn) byShard(keys [][]byte) (parts []shardKeys) {
	for _, key := range keys {
		id := c.ws.shardOf(key)
		i := slices.IndexFunc(parts, func(p shardKeys) bool { return p.shard == id })
		if i < 0 {
			i = len(parts)
			parts = append(parts, shardKeys{shard: id})
		}
		parts[i].keys = append(parts[i].keys, key)
	}
	return parts
}

// migrateShard moves keys of one shard. found: there was one.
func (c *Conn) migrateShard(t *migrationTarget, part shardKeys) (found bool, err error) {
	for keys := part.keys; len(keys) > 0; {
		p, taken, err := c.pack(part.shard, keys)
		if err != nil {
			return found, err
		}
		keys = keys[taken:]
		p.items = present(p.items)
		found = found || len(p.items) > 0
		if err := c.migrateParcel(t, p); err != nil {
			return found, err
		}
	}
	return found, nil
}

// migrateParcel sends what was read and deletes it here, again for what was changed.
func (c *Conn) migrateParcel(t *migrationTarget, p parcel) error {
	var late [][]byte // keys that have to be sent again
	var gone error
	for attempt := 0; len(p.items) > 0; attempt++ {
		if attempt == migrateAttempts {
			return errMigrateChanged
		}
		if attempt > 0 {
			all := len(p.items)
			if p.items = present(p.items); len(p.items) < all {
				gone = errMigrateGone
			}
		}
		accepted, failed := t.deliver(p.items, attempt > 0)
		if t.Copy {
			return failed
		}
		changed, err := c.deleteUnchanged(p, accepted)
		if err := errors.Join(failed, err); err != nil {
			return err
		}
		if late = append(late, changed...); len(late) == 0 {
			return gone
		}
		taken := 0
		if p, taken, err = c.pack(p.shard, late); err != nil {
			return err
		}
		late = late[taken:]
	}
	return gone
}

// present leaves out the keys that there are not.
func present(items []parcelItem) []parcelItem {
	return slices.DeleteFunc(items, func(i parcelItem) bool { return i.gone })
}

// pack reads the first of some keys; taken is how many.
func (c *Conn) pack(id raftlog.ShardID, keys [][]byte) (p parcel, taken int, err error) {
	p.shard = id
	// The position first: a change between the two counts then.
	if p.since, err = c.srv.node.WatchPosition(c.srv.work, id); err != nil {
		return p, 0, resp.Error(taskErrorText(err))
	}
	p.at = c.srv.clock().UnixMilli()
	rd, err := c.begin(id, true)
	if err != nil {
		return p, 0, resp.Error(taskErrorText(err))
	}
	defer c.ws.endReads()
	bytes := 0
	for taken < len(keys) && taken < migrateKeysAtOnce && bytes < migrateBytesAtOnce {
		item := parcelItem{key: keys[taken]}
		taken++
		e, err := rd.tx.Read(c.db, item.key)
		if err != nil {
			return p, taken, err
		}
		if item.gone = !e.Exists(); !item.gone {
			if e.ExpireAt != 0 {
				item.ttl = max(e.ExpireAt-rd.tx.Now(), 1)
			}
			if item.payload, err = command.AppendPayload(nil, &rd.tx, &e); err != nil {
				return p, taken, err
			}
			rd.tx.Trim()
		}
		bytes += len(item.payload)
		p.items = append(p.items, item)
	}
	return p, taken, nil
}

// deleteUnchanged deletes keys that are as they were when they were read, and returns
// the others.
func (c *Conn) deleteUnchanged(p parcel, items []parcelItem) (changed [][]byte, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	ok, err := c.deleteIfAll(p, items)
	switch {
	case ok || err != nil:
		return nil, err
	case len(items) == 1:
		return [][]byte{items[0].key}, nil
	}
	for i := range items {
		if ok, err = c.deleteIfAll(p, items[i:i+1]); err != nil {
			return nil, err
		}
		if !ok {
			changed = append(changed, items[i].key)
		}
	}
	return changed, nil
}

// deleteIfAll deletes keys when none of them was changed since they were read.
func (c *Conn) deleteIfAll(p parcel, items []parcelItem) (ok bool, err error) {
	r := c.ws.request(p.shard)
	defer r.forgetTxn()
	args := [][]byte{[]byte("DEL")}
	for i := range items {
		args = append(args, items[i].key)
		r.watch = append(r.watch, watched{c.db, items[i].key, p.since, p.at})
	}
	r.calls = append(r.calls, call{spec: specDel, args: args, db: c.db, proto: 2, shard: p.shard})
	r.out, r.maxReply = &r.own, 0
	c.submit(r)
	switch {
	case r.err != nil:
		return false, resp.Error(taskErrorText(r.err))
	case r.aborted:
		return false, nil
	case r.calls[0].failed:
		return false, resp.Error(errorLine(r.reply(0)))
	}
	return true, nil
}
