package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("migrate", migrate) }

const (
	errMigrateKey     resp.Error = "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
	errMigrateConnect resp.Error = "IOERR error or timeout connecting to the client"
	errMigrateWriting resp.Error = "IOERR error or timeout writing to target instance"
	errMigrateReading resp.Error = "IOERR error or timeout reading to target instance"
	errMigrateChanged resp.Error = "TRYAGAIN Keys were changed while they were sent: they are on both instances"
	errMigrateInMulti resp.Error = "ERR MIGRATE is not allowed inside a transaction"
)

const (
	// migrateBatch and migrateBytes bound what is sent before its replies are read.
	migrateBatch = 64
	migrateBytes = 1 << 20

	defaultMigrateTimeout = time.Second
)

// migration is a MIGRATE that is being done.
type migration struct {
	c             *Conn
	shard         raftlog.ShardID
	addr          string
	db            int // there
	timeout       time.Duration
	copy, replace bool
	auth          [][]byte // what follows AUTH there
	keys          [][]byte
	link          *migrateLink
	greeted       bool       // link knows who this is and which database it wants
	sent          int        // keys that exist and were sent
	refusal       resp.Error // the first that the other side has replied
}

// migrate is MIGRATE: the keys are sent to another server, as DUMP has them, and deleted
// here when they have arrived.
//
// Redis does nothing else meanwhile. Here others go on: a key that was changed after it was
// sent is not deleted, and the client is told to try again.
//
// Source: https://redis.io/docs/latest/commands/migrate/
func migrate(c *Conn, x *command.Ctx) error {
	if c.txn.running {
		return errMigrateInMulti
	}
	m, err := c.parseMigrate(x.Args)
	if err != nil {
		return err
	}
	c.leave()
	if !c.muting() {
		c.flush() // the replies to what came before are not held back
	}
	if err := m.run(); err != nil {
		return err
	}
	if m.sent == 0 {
		x.Out.Simple("NOKEY")
		return nil
	}
	x.Out.OK()
	return nil
}

// parseMigrate reads MIGRATE host port key db timeout [COPY] [REPLACE] [AUTH password |
// AUTH2 username password] [KEYS key ...].
func (c *Conn) parseMigrate(args [][]byte) (*migration, error) {
	m := &migration{c: c, addr: net.JoinHostPort(string(args[1]), string(args[2])), keys: args[3:4]}
	for i := 6; i < len(args); i++ {
		more := len(args) - 1 - i
		switch word := lower(args[i]); {
		case word == "copy":
			m.copy = true
		case word == "replace":
			m.replace = true
		case word == "auth" && more >= 1:
			m.auth, i = args[i+1:i+2], i+1
		case word == "auth2" && more >= 2:
			m.auth, i = args[i+1:i+3], i+2
		case word == "keys":
			if len(args[3]) != 0 {
				return nil, errMigrateKey
			}
			m.keys, i = args[i+1:], len(args)
		default:
			return nil, resp.ErrSyntax
		}
	}
	millis, ok := keyspace.ParseInt(args[5])
	db, ok2 := keyspace.ParseInt(args[4])
	if !ok || !ok2 || millis > maxWaitMillis {
		return nil, resp.ErrNotInt
	}
	m.db, m.timeout = int(db), time.Duration(millis)*time.Millisecond
	if m.timeout <= 0 {
		m.timeout = defaultMigrateTimeout
	}
	if len(m.keys) > 0 {
		m.shard = c.ws.shardOf(m.keys[0])
	}
	return m, nil
}

// run sends the keys, some at a time.
func (m *migration) run() error {
	err := m.sendAll()
	if m.link != nil {
		if err == nil {
			m.c.srv.migrating.keep(m.link)
		} else {
			m.link.close()
		}
	}
	if err == nil && m.refusal != "" {
		return resp.Error("ERR Target instance replied with error: ") + m.refusal
	}
	return err
}

func (m *migration) sendAll() error {
	for rest := m.keys; len(rest) > 0; {
		b := new(migrateKeys)
		if err := m.gather(b, rest); err != nil {
			return err
		}
		rest = rest[b.looked:]
		if len(b.keys) == 0 {
			continue
		}
		m.sent += len(b.keys)
		arrived, err := m.send(b)
		if gone := m.remove(b, arrived); gone != nil {
			return gone
		}
		if err != nil {
			return err
		}
		if !m.greeted {
			return nil // refused, before any key was sent
		}
	}
	return nil
}

// migrateKeys are some keys that are sent together.
type migrateKeys struct {
	since    uint64 // the position that changes after count, see watched
	at       int64  // Unix ms
	looked   int    // keys looked up for them
	keys     [][]byte
	ttls     []int64 // ms; 0: none
	payloads [][]byte
}

// gather dumps the next keys that exist.
func (m *migration) gather(b *migrateKeys, keys [][]byte) (err error) {
	c := m.c
	// The position first: a change between the two counts then.
	if b.since, err = c.srv.node.WatchPosition(c.srv.work, m.shard); err != nil {
		return resp.Error(taskErrorText(err))
	}
	b.at = c.srv.clock().UnixMilli()
	return c.inRead(m.shard, func(tx *keyspace.Tx) error {
		for bytes := 0; b.looked < len(keys) && len(b.keys) < migrateBatch && bytes < migrateBytes; b.looked++ {
			e, err := tx.Read(c.db, keys[b.looked])
			if err != nil {
				return err
			}
			if !e.Exists() {
				continue
			}
			ttl := int64(0)
			if e.ExpireAt != 0 {
				ttl = max(e.ExpireAt-tx.Now(), 1)
			}
			payload, err := command.AppendPayload(nil, tx, &e)
			if err != nil {
				return err
			}
			b.keys, b.ttls = append(b.keys, keys[b.looked]), append(b.ttls, ttl)
			b.payloads = append(b.payloads, payload)
			bytes += len(payload)
		}
		return nil
	})
}

// send sends keys and returns those that have arrived, also with an error.
func (m *migration) send(b *migrateKeys) (arrived [][]byte, err error) {
	s := m.c.srv
	if m.link == nil {
		m.link = s.migrating.take(m.linkName())
	}
	if m.link == nil {
		if m.link, err = s.dialMigrate(m); err != nil {
			// Redis connects without waiting: that nobody listens it hears when it writes.
			if errors.Is(err, syscall.ECONNREFUSED) {
				return nil, fmt.Errorf("%w: %w", errMigrateWriting, err)
			}
			return nil, fmt.Errorf("%w: %w", errMigrateConnect, err)
		}
	}
	l := m.link
	again := l.kept
	l.timeout, l.kept = m.timeout, false
	if !m.greeted {
		err = m.greet()
	}
	if m.greeted {
		arrived, err = m.exchange(b)
	}
	if err != nil && again && len(arrived) == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.close() // the other side had closed it
		m.link, m.greeted = nil, false
		return m.send(b)
	}
	return arrived, err
}

// greet says who this is and which database it wants, when the other side does not know:
// the password with every MIGRATE that has one, since it may have been changed there. It
// comes before any key, which otherwise might go to another database.
func (m *migration) greet() error {
	l := m.link
	replies := 0
	if m.auth != nil {
		l.request(append([][]byte{[]byte("AUTH")}, m.auth...)...)
		replies++
	}
	if l.db != m.db {
		l.request([]byte("SELECT"), strconv.AppendInt(nil, int64(m.db), 10))
		replies++
	}
	if err := l.flush(); err != nil {
		return err
	}
	l.db = -1
	for range replies {
		refusal, err := l.reply()
		if err != nil {
			return err
		}
		m.accepted(refusal)
	}
	if m.greeted = m.refusal == ""; m.greeted {
		l.db = m.db
	}
	return nil
}

// exchange sends keys and reads what became of them.
func (m *migration) exchange(b *migrateKeys) (arrived [][]byte, err error) {
	l := m.link
	for i, key := range b.keys {
		args := [][]byte{[]byte("RESTORE"), key, strconv.AppendInt(nil, b.ttls[i], 10), b.payloads[i], []byte("REPLACE")}
		if !m.replace {
			args = args[:4]
		}
		l.request(args...)
	}
	if err := l.flush(); err != nil {
		return nil, err
	}
	for _, key := range b.keys {
		refusal, err := l.reply()
		if err != nil {
			return arrived, err
		}
		if m.accepted(refusal) {
			arrived = append(arrived, key)
		}
	}
	return arrived, nil
}

// accepted notes the first refusal.
func (m *migration) accepted(refusal string) bool {
	if refusal != "" && m.refusal == "" {
		m.refusal = resp.Error(refusal)
	}
	return refusal == ""
}

// remove deletes keys that have arrived, unless they were changed since they were dumped.
func (m *migration) remove(b *migrateKeys, arrived [][]byte) error {
	if m.copy || len(arrived) == 0 {
		return nil
	}
	changed, err := m.removeTogether(b, arrived)
	if err != nil || !changed {
		return err
	}
	some := false
	for _, key := range arrived {
		changed, err := m.removeTogether(b, [][]byte{key})
		if err != nil {
			return err
		}
		some = some || changed
	}
	if some {
		return errMigrateChanged
	}
	return nil
}

// removeTogether deletes keys in one step, or none of them if one was changed.
func (m *migration) removeTogether(b *migrateKeys, keys [][]byte) (changed bool, err error) {
	c := m.c
	r := c.ws.request(m.shard)
	defer r.forgetTxn()
	del := command.Lookup([]byte("del"))
	r.calls = append(r.calls, call{spec: del, args: append([][]byte{[]byte("del")}, keys...), db: c.db, proto: 2, shard: m.shard})
	for _, key := range keys {
		r.watch = append(r.watch, watched{c.db, key, b.since, b.at})
	}
	r.maxReply, r.out = 0, &r.own
	c.submit(r)
	if r.err != nil {
		return false, resp.Error(taskErrorText(r.err))
	}
	return r.aborted, nil
}
