package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"dkv/cluster"
	"dkv/cluster/backup"
	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("time", timeCmd)
	bind("lastsave", lastSave)
	bind("save", save)
	bind("bgsave", bgSave)
	bind("bgrewriteaof", bgRewriteAOF)
	bind("shutdown", shutdown)
}

// admin is what the administration commands keep for a server.
type admin struct {
	runID  string                 // of this process
	replID atomic.Pointer[string] // set by DEBUG CHANGE-REPL-ID; nil: see Server.replID

	// saved is the applied position that the last SAVE covered.
	saved      atomic.Uint64
	lastSaveOK atomic.Bool
	saveNanos  atomic.Int64 // duration of the last save, -1 before the first
	saveBegan  atomic.Int64 // when the one under way began, unix ns; 0: there is none
	saves      atomic.Uint64
	peakMemory atomic.Uint64
	blocked    atomic.Int64  // clients in WAIT
	expired    atomic.Uint64 // expired keys that CONFIG RESETSTAT took off
}

func newAdmin(o Options) *admin {
	a := &admin{runID: randomHex(20)}
	a.lastSaveOK.Store(true)
	a.saveNanos.Store(-1)
	a.saved.Store(appliedIndex(o.Node.Metrics()))

	o.Config.OnApply("fsync", func(v string) error {
		mode, err := raftlog.ParseFsyncMode(v)
		if err == nil {
			o.Node.SetFsync(mode)
		}
		return err
	})
	limitClients(o)
	dir := o.Config.String("dir")
	o.Config.OnApply("dir", func(v string) error {
		if v != dir {
			return errors.New("the data folder cannot be moved while the server runs")
		}
		return nil
	})
	return a
}

// replID is the name of the history that a cluster's data has: the same on all
// nodes, and for as long as the cluster lives.
func (s *Server) replID(clusterID string) string {
	if id := s.admin.replID.Load(); id != nil {
		return *id
	}
	return nameOf(clusterID)
}

// filesBeside is how many files the process needs beside clients and tables.
const filesBeside = 64

// limitClients keeps maxclients within what the system lets this process open.
// The engine may have a quarter of that.
func limitClients(o Options) {
	files := int64(openFileLimit())
	room := max(files-files/4-filesBeside, 1)
	if n := o.Config.MaxClients.Load(); n > room {
		o.Logger.Warn("maxclients is lowered to what the limit of open files allows", "asked", n, "maxclients", room, "files", files)
		if err := o.Config.Set("maxclients", itoa(room)); err != nil {
			o.Logger.Error("cannot lower maxclients", "err", err)
		}
	}
	o.Config.OnApply("maxclients", func(v string) error {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n > room {
			return fmt.Errorf("The operating system is not able to handle the specified number of clients, try with %d", room)
		}
		return nil
	})
}

// randomHex returns 2n hexadecimal digits.
func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// appliedIndex is the position of the node's data in its log.
func appliedIndex(m cluster.Metrics) uint64 {
	var sum uint64
	for _, s := range m.Shards {
		sum += uint64(s.Applied)
	}
	return sum
}

// expiredKeys is how many keys were deleted because their time had come, since
// the node was opened.
func expiredKeys(m cluster.Metrics) uint64 {
	var sum uint64
	for _, s := range m.Shards {
		sum += s.Expired
	}
	return sum
}

// resetStats is CONFIG RESETSTAT.
func (s *Server) resetStats() {
	s.stats.Reset()
	s.admin.saves.Store(0)
	s.admin.expired.Store(expiredKeys(s.node.Metrics()))
}

func timeCmd(c *Conn, x *command.Ctx) error {
	now := c.srv.clock()
	x.Out.Array(2)
	x.Out.BulkInt(now.Unix())
	x.Out.BulkInt(int64(now.Nanosecond() / 1000))
	return nil
}

func lastSave(c *Conn, x *command.Ctx) error {
	x.Out.Int(c.srv.node.LastSave().Unix())
	return nil
}

const errSaving resp.Error = "ERR Background save already in progress"

// saveNow flushes the engine. Every acknowledged write is in the log already;
// after this a restart has nothing to replay.
func (s *Server) saveNow() error {
	return s.recordSave(func() error { return s.node.Save(context.Background()) })
}

// recordSave notes how a save goes for INFO.
func (s *Server) recordSave(save func() error) error {
	a := s.admin
	applied := appliedIndex(s.node.Metrics())
	start := s.clock()
	alone := a.saveBegan.CompareAndSwap(0, start.UnixNano())
	err := save()
	if alone {
		a.saveBegan.Store(0)
	}
	if errors.Is(err, cluster.ErrSaveInProgress) {
		return errSaving
	}
	if errors.Is(err, backup.ErrExists) {
		return err // nothing was tried
	}
	a.lastSaveOK.Store(err == nil)
	if err != nil {
		return err
	}
	a.saveNanos.Store(int64(s.clock().Sub(start)))
	a.saved.Store(applied)
	a.saves.Add(1)
	return nil
}

// inBackground starts a save. What goes wrong is logged: nobody waits.
func (s *Server) inBackground(save func() error) {
	s.running.Go(func() {
		if err := save(); err != nil {
			s.log.Error("background save failed", "err", err)
		}
	})
}

func save(c *Conn, x *command.Ctx) error {
	err := c.srv.save()
	if code := resp.Error(""); errors.As(err, &code) {
		return code
	}
	if err != nil {
		return resp.Error("ERR save failed: " + cluster.ExplainBackup(err))
	}
	x.Out.OK()
	return nil
}

func bgSave(c *Conn, x *command.Ctx) error {
	schedule := len(x.Args) == 2 && equalFold(x.Args[1], "schedule")
	if len(x.Args) > 1 && !schedule {
		return resp.ErrSyntax
	}
	if c.srv.node.Metrics().Saving {
		return errSaving
	}
	c.srv.inBackground(c.srv.save)
	x.Out.Simple("Background saving started")
	return nil
}

// bgRewriteAOF compacts nothing by itself: the log is cut when the engine has
// flushed what it holds, so that is what is asked for.
func bgRewriteAOF(c *Conn, x *command.Ctx) error {
	if c.srv.node.Metrics().Saving {
		return resp.Error("ERR Background append only file rewriting already in progress")
	}
	c.srv.inBackground(c.srv.saveNow)
	x.Out.Simple("Background append only file rewriting started")
	return nil
}

// shutdown flushes the engine unless told not to, and asks for the end of the
// process. There is no reply: the connection is closed when the server stops.
func shutdown(c *Conn, x *command.Ctx) error {
	var save, nosave, now, force, abort bool
	for _, arg := range x.Args[1:] {
		switch {
		case equalFold(arg, "save"):
			save = true
		case equalFold(arg, "nosave"):
			nosave = true
		case equalFold(arg, "now"):
			now = true
		case equalFold(arg, "force"):
			force = true
		case equalFold(arg, "abort"):
			abort = true
		default:
			return resp.ErrSyntax
		}
	}
	if save && nosave || abort && (save || nosave || now || force) {
		return resp.ErrSyntax
	}
	if abort {
		return resp.Error("ERR No shutdown in progress.")
	}
	if !nosave {
		if err := c.srv.saveNow(); err != nil && !errors.Is(err, errSaving) {
			c.srv.log.Error("SHUTDOWN: the data could not be flushed", "err", err)
			if !force {
				return resp.Error("ERR Errors trying to SHUTDOWN. Check logs.")
			}
		}
	}
	c.srv.log.Info("shutdown requested by a client", "client", c.addr)
	c.srv.requestShutdown(ShutdownRequest{NoSave: nosave, Now: now, Force: force})
	return nil
}

// parseInt reads an argument that must be a 64-bit integer; the error is
// resp.ErrNotInt.
func parseInt(b []byte) (int64, error) {
	n, ok := keyspace.ParseInt(b)
	if !ok {
		return 0, resp.ErrNotInt
	}
	return n, nil
}

// equalFold reports whether an argument is a word, which is in lower case.
func equalFold(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, b := range arg {
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		if b != word[i] {
			return false
		}
	}
	return true
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// help returns the handler of a container's HELP. lines are pairs of a
// subcommand's syntax and what it does.
func help(container string, lines ...string) func(*Conn, *command.Ctx) error {
	return func(_ *Conn, x *command.Ctx) error {
		x.Out.Array(len(lines) + 3)
		x.Out.Simple(container + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
		for _, l := range lines {
			x.Out.Simple(l)
		}
		x.Out.Simple("HELP")
		x.Out.Simple("    Prints this help.")
		return nil
	}
}
