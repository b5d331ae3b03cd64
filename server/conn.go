package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dkv/resp"
)

// flushBytes is how much a pipeline may answer before the answers are sent
// while its commands are still running.
const flushBytes = 64 << 10

// Conn is one client's connection. One goroutine at a time owns it: it reads, runs
// commands and replies. That is an event loop's (see loop), or one of its own, in
// serve. What other goroutines may touch is safe for them by type or stands under
// mu.
type Conn struct {
	srv    *Server
	nc     net.Conn
	tls    *tls.Conn // nc, if that is one
	id     uint64
	fd     int
	addr   string // as CLIENT LIST prints it
	laddr  string
	unix   bool
	opened time.Time

	session
	reader  resp.Reader
	sock    *sock           // nil: it has a goroutine of its own
	host    host            // who runs it, and others too; nil: a goroutine that is its own for now
	raw     syscall.RawConn // nil: nc is read through its own methods
	tryFD   func(fd uintptr) bool
	readN   int
	readE   error
	attempt writeAttempt

	account  atomic.Pointer[account]
	as       *caller     // who commands are run for, see Conn.caller
	changing atomic.Bool // it is changing users
	doomed   atomic.Bool // it is to end when it has

	ws *workspace // nil while waiting for the client

	outbox     outbox
	draining   atomic.Bool              // a goroutine empties the outbox
	async      bool                     // others send to this client too, see flushShared
	corked     bool                     // messages of others are held back until flush
	holding    bool                     // and over it, see hold
	asked      atomic.Bool              // others want to send, see askToShare
	monitoring atomic.Bool              // a MONITOR client
	blocking   atomic.Pointer[blocking] // nil: it is in no blocking command
	subs       subscriptions
	dead       atomic.Bool  // the connection is cut
	memory     atomic.Int64 // bytes that it is charged for, see charge
	charged    int64        // of them, those of chargeInput
	cut        chan struct{}
	shared     shared

	// registered is how often the connection has registered keys with the tracker,
	// registeredBefore how often before the present run of commands.
	registered, registeredBefore uint64
}

// shared is what other goroutines read of a connection, for CLIENT LIST and
// the idle timeout.
type shared struct {
	active  atomic.Int64 // nanotime of the last request
	last    atomic.Int32 // command.Spec.ID of the last command + 1
	db      atomic.Int32
	proto   atomic.Int32
	queued  atomic.Int32 // commands of an open MULTI, -1: none is open
	held    atomic.Int64 // bytes of them
	flags   atomic.Uint32
	pending atomic.Int64           // bytes received of an unfinished command
	subs    [subKinds]atomic.Int32 // subscriptions
	redir   atomic.Int64           // of CLIENT TRACKING, as CLIENT GETREDIR tells

	mu struct {
		sync.Mutex
		name, libName, libVersion, user string
	}
}

// Bits of shared.flags.
const (
	flagTransaction uint32 = 1 << iota
	flagPaused
	flagNoEvict
	flagNoTouch
	flagReadOnly
	flagReplica // DKV.SYNC: the connection is a replica's
	flagBlocked // in a blocking command
	flagPubSub  // it has subscriptions
	flagTracking
	flagTrackingBCast
	flagTrackingBroken // who was to be told instead has gone
)

func newConn(s *Server, nc net.Conn) *Conn {
	c := &Conn{srv: s, nc: nc, fd: -1, opened: s.clock(), cut: make(chan struct{})}
	c.outbox.room.L = &c.outbox.mu
	switch nc.LocalAddr().(type) {
	case *net.UnixAddr:
		c.unix = true
		c.addr = nc.LocalAddr().String() + ":0"
		c.laddr = c.addr
	default:
		c.addr = nc.RemoteAddr().String()
		c.laddr = nc.LocalAddr().String()
	}
	if c.tls, _ = nc.(*tls.Conn); c.tls != nil {
		c.share() // writes to it wait, which only the outbox's goroutine may
	}
	c.initRaw()
	c.session.init(c)
	c.shared.active.Store(nanotime())
	return c
}

// serve handles the client's requests until either side ends the connection.
func (c *Conn) serve() {
	defer c.end()
	if c.handshake() != nil {
		return
	}
	c.share() // nobody can wake it to ask for that
	for {
		if err := c.fill(); err != nil {
			c.readFailed(err)
			return
		}
		if !c.process() || c.srv.closing.Load() {
			return
		}
	}
}

// fill waits for bytes and reads them. Commands parsed before are invalid then.
func (c *Conn) fill() error {
	cfg := c.srv.config
	c.reader.Limits = resp.Limits{
		MaxBulk:         cfg.ProtoMaxBulkLen.Load(),
		MaxQuery:        cfg.ClientQueryBufferLimit.Load(),
		Unauthenticated: c.mustAuthenticate(),
	}
	n, err := c.read()
	if err != nil {
		return err
	}
	c.srv.stats.Reads.Add(1)
	c.srv.stats.NetInput.Add(uint64(n))
	return nil
}

// process runs every command that has arrived whole, and sends the replies. It
// reports whether the connection goes on.
func (c *Conn) process() bool {
	c.runAll()
	return c.conclude()
}

// runAll runs or collects every command that has arrived whole. conclude must
// follow.
func (c *Conn) runAll() {
	c.shareIfAsked()
	c.ws = takeWorkspace(c)
	for !c.closing && !c.dead.Load() {
		cmd, ok, err := c.reader.Next()
		if err != nil {
			c.protocolError(err)
			break
		}
		if !ok {
			break
		}
		c.dispatch(cmd)
		if c.caching {
			c.endCaching(cmd.Args[0])
		}
		if len(c.ws.out.Buf) >= flushBytes {
			c.flush()
		}
	}
}

// conclude runs what was collected and sends the replies. It reports whether the
// connection goes on.
func (c *Conn) conclude() bool {
	c.finish()
	c.publish()
	c.release()
	c.flush()
	c.ws.release()
	return !c.closing && !c.dead.Load()
}

// publish makes what was done visible to others before the client can know that
// it is done.
func (c *Conn) publish() {
	ws, st := c.ws, c.srv.stats
	ws.tally.flush(st)
	ws.countLookups(st)
	c.shared.active.Store(nanotime())
	if ws.last != nil {
		c.shared.last.Store(int32(ws.last.ID) + 1)
	}
	if n := int64(c.reader.Buffered()); n != c.shared.pending.Load() {
		c.shared.pending.Store(n)
	}
	c.chargeInput()
}

// protocolError replies to bytes that are no request, and ends the connection.
func (c *Conn) protocolError(err error) {
	c.finish()
	c.ws.out.Error(err.Error())
	c.srv.stats.countError(err.Error())
	c.closing = true
	c.srv.log.Debug("protocol error", "id", c.id, "addr", c.addr, "err", err)
}

func (c *Conn) readFailed(err error) {
	switch {
	case errors.Is(err, resp.ErrQueryTooLong):
		c.srv.stats.QueryLimitKills.Add(1)
		c.srv.log.Warn("client closed: query buffer limit", "id", c.id, "addr", c.addr)
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, syscall.ECONNRESET):
	default:
		c.srv.log.Debug("cannot read from client", "id", c.id, "addr", c.addr, "err", err)
	}
}

// end delivers what waits to be sent and lets go of the connection.
func (c *Conn) end() {
	c.unsubscribeAll() // or it might never be empty
	c.stopTracking()
	c.awaitEmpty()
	if c.tls != nil && !c.dead.Load() {
		_ = c.tls.CloseWrite() // the client is told that this is the end, if it still listens
	}
	c.kill()
	c.stopMonitoring()
	c.srv.clients.remove(c)
}

// kill cuts the connection. Its goroutine notices by itself. It reports whether
// the connection was alive.
func (c *Conn) kill() bool {
	if !c.dead.CompareAndSwap(false, true) {
		return false
	}
	close(c.cut)
	c.uncharge()
	c.unblock(waitGone)
	c.outbox.close()
	switch {
	case c.sock != nil:
		c.sock.shut()
	case c.tls != nil:
		c.tls.NetConn().Close() // its own Close may wait for the client
	default:
		c.nc.Close()
	}
	return true
}

// wake makes the goroutine look up from waiting for its client.
func (c *Conn) wake() {
	c.unblock(waitClosing) // only Close wakes
	if c.sock != nil {
		c.wakeSock()
		return
	}
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // fails when already closed
}

// idle returns for how long the client has sent nothing.
func (c *Conn) idle(now int64) time.Duration {
	return time.Duration(now - c.shared.active.Load())
}

func (c *Conn) setFlag(flag uint32, on bool) {
	if on {
		c.shared.flags.Or(flag)
	} else {
		c.shared.flags.And(^flag)
	}
}

// clients are the connections that are open.
type clients struct {
	count atomic.Int64
	mu    struct {
		sync.Mutex
		lastID uint64
		byID   map[uint64]*Conn
	}
}

func (s *clients) init() { s.mu.byID = make(map[uint64]*Conn) }

// add gives c its id, unless there are max clients already.
func (s *clients) add(c *Conn, max int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if int64(len(s.mu.byID)) >= max {
		return false
	}
	s.mu.lastID++
	c.id = s.mu.lastID
	s.mu.byID[c.id] = c
	s.count.Store(int64(len(s.mu.byID)))
	return true
}

func (s *clients) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.byID, c.id)
	s.count.Store(int64(len(s.mu.byID)))
}

func (s *clients) get(id uint64) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.byID[id]
}

// list returns the open connections, in no order.
func (s *clients) list() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Conn, 0, len(s.mu.byID))
	for _, c := range s.mu.byID {
		list = append(list, c)
	}
	return list
}

func (s *clients) each(f func(*Conn)) {
	for _, c := range s.list() {
		f(c)
	}
}

// checkInterval is how often idle and slow clients are looked for.
const checkInterval = time.Second

// checkClients closes clients that have been idle for longer than timeout, or
// slow for longer than the soft limit of their output allows, or take too much memory.
func (s *Server) checkClients() {
	s.keepClientMemory()
	now := nanotime()
	timeout := time.Duration(s.config.Timeout.Load()) * time.Second
	s.clients.each(func(c *Conn) {
		if timeout > 0 && c.idle(now) > timeout && !c.monitoring.Load() && c.shared.flags.Load()&(flagReplica|flagBlocked|flagPubSub) == 0 {
			if c.kill() {
				s.log.Debug("idle client closed", "id", c.id, "addr", c.addr)
			}
			return
		}
		c.checkOutput(now)
	})
}

// ClientCount returns how many clients are connected.
func (s *Server) ClientCount() int { return int(s.clients.count.Load()) }
