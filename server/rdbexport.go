package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
	"dkv/server/rdb"
	"dkv/server/script"
)

func init() {
	bind("psync", redisPsync)
	bind("sync", redisSync)
}

const (
	errNotForRedis resp.Error = "ERR This is dkv, whose log a Redis replica cannot follow"
	// exportScan is how many keys are looked at between two looks at the client.
	exportScan   = 512
	maxKeptValue = 1 << 20
)

// redisPsync is how a replica that runs Redis begins.
func redisPsync(*Conn, *command.Ctx) error { return errNotForRedis }

// redisSync is SYNC: how an old replica begins, which is refused, and how
// `redis-cli --rdb` asks for an RDB file. That one says before, by REPLCONF, that it
// wants nothing else, and takes a file whose length is not known.
func redisSync(c *Conn, _ *command.Ctx) error {
	if c.txn.running || c.muting() {
		return resp.ErrNotAllowedInMulti
	}
	if !c.replica.rdbOnly || !c.replica.capaEOF {
		return errNotForRedis
	}
	c.leave()
	ids := c.ws.slots.All()
	if err := c.beginAll(ids); err != nil {
		c.ws.endReads()
		return err
	}
	defer c.ws.endReads()
	var shards []*keyspace.Tx
	for _, id := range ids {
		tx := &c.ws.reader(id).tx
		tx.NoTouch = true
		shards = append(shards, tx)
	}
	c.flush()
	c.awaitEmpty()
	c.closing = true
	c.setFlag(flagReplica, true)
	log := c.srv.log.With("client", c.addr)
	if err := c.sendRDB(shards); err != nil {
		log.Warn("a client did not get the RDB file that it asked for", "err", err)
	} else {
		log.Info("a client got an RDB file")
	}
	c.ws.spent = 0
	return nil
}

// sendRDB sends the data as an RDB file, between two marks. The connection is closed
// when it cannot be finished.
func (c *Conn) sendRDB(shards []*keyspace.Tx) error {
	nc := c.nc
	if c.sock != nil {
		stream, err := c.sock.stream()
		if err != nil {
			return err
		}
		defer stream.Close()
		nc = stream
	}
	ctx, cancel := context.WithCancel(c.srv.work)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() {
		select {
		case <-ctx.Done():
			return
		case <-c.srv.done:
		case <-c.cut:
		}
		cancel()
		_ = nc.SetDeadline(time.Unix(1, 0)) // fails when it is closed already
	})
	w := &pieceWriter{c: c, nc: nc}
	mark := strings.ToLower(rand.Text() + rand.Text())[:40]
	if _, err := fmt.Fprintf(w, "$EOF:%s\r\n", mark); err != nil {
		return err
	}
	if err := writeRDB(ctx, w, shards, c.srv.clock()); err != nil {
		return err
	}
	_, err := io.WriteString(w, mark)
	return err
}

// pieceWriter writes to a client that has repl-timeout to take each piece.
type pieceWriter struct {
	c  *Conn
	nc net.Conn
}

// Write implements io.Writer.
func (w *pieceWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		if err := w.nc.SetWriteDeadline(time.Now().Add(w.c.srv.replTimeout())); err != nil {
			return 0, err
		}
		n, err := w.nc.Write(rest[:min(len(rest), maxWritePiece)])
		w.c.srv.stats.NetOutput.Add(uint64(n))
		if err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	w.c.shared.active.Store(nanotime())
	return len(p), nil
}

// writeRDB writes the functions and all keys of some shards, each in one state, as an
// RDB file.
func writeRDB(ctx context.Context, dst io.Writer, shards []*keyspace.Tx, now time.Time) error {
	w := rdb.NewWriter(dst)
	w.Aux("redis-ver", "7.0.0")
	w.Aux("redis-bits", "64")
	w.Aux("ctime", strconv.FormatInt(now.Unix(), 10))
	libraries, err := script.Libraries(shards[0]) // all shards have the same
	if err != nil {
		return err
	}
	for _, code := range libraries {
		w.Function([]byte(code))
	}
	for db := range keyspace.Databases {
		keys := int64(0)
		for _, tx := range shards {
			n, err := tx.DBSize(db)
			if err != nil {
				return err
			}
			keys += n
		}
		if keys == 0 {
			continue
		}
		w.Select(db, uint64(keys), 0)
		for _, tx := range shards {
			x := exporter{ctx: ctx, tx: tx, db: db, w: w}
			if err := x.run(); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

// exporter writes the keys of one database of a shard.
type exporter struct {
	ctx   context.Context
	tx    *keyspace.Tx
	db    int
	w     *rdb.Writer
	value []byte
	// The key that was written last. They come in the order of slots, and in one of
	// their bytes; a cursor may lead back within a slot, and no file may have a key
	// twice.
	lastSlot keyspace.Slot
	last     []byte
}

func (x *exporter) run() error {
	var keys [][]byte
	for cursor := keyspace.Cursor(0); ; {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		keys = keys[:0]
		next, err := x.tx.Scan(x.db, cursor, keyspace.ScanOptions{Count: exportScan}, func(key []byte) { keys = append(keys, bytes.Clone(key)) })
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := x.key(key); err != nil {
				return fmt.Errorf("key %.60q: %w", key, err)
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (x *exporter) key(key []byte) error {
	slot := keyspace.SlotOf(key)
	if x.last != nil && (slot < x.lastSlot || slot == x.lastSlot && bytes.Compare(key, x.last) <= 0) {
		return nil
	}
	x.lastSlot, x.last = slot, key
	e, err := x.tx.Inspect(x.db, key)
	if err != nil || !e.Exists() {
		return err
	}
	value, t, err := command.AppendValue(x.value[:0], x.tx, &e)
	if err != nil {
		return err
	}
	expireAt := e.ExpireAt
	x.tx.Trim()
	if x.value = value; cap(value) > maxKeptValue {
		x.value = nil
	}
	return x.w.Key(key, t, value, expireAt)
}
