package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster"
	"dkv/server/script"
)

// Options configures a Server. Node and Config are required.
type Options struct {
	Node   *cluster.Node
	Config *Config
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Clock is the wall clock; default time.Now.
	Clock func() time.Time
	// Version is this program's version, for INFO.
	Version string
}

// Server serves the Redis protocol from one node. All methods are safe for
// concurrent use.
type Server struct {
	node    *cluster.Node
	config  *Config
	log     *slog.Logger
	clock   func() time.Time
	version string
	started time.Time

	loops    []*loop // from start on
	nextLoop atomic.Uint64
	stats    *Stats
	slowlog  *slowlog
	latency  *latencyMonitor
	admin    *admin
	clients  clients
	monitors monitors
	pubsub   pubsub
	notes    notifications
	tracker  tracker
	pause    pause
	tls      *tlsKeeper
	repl     replicating
	tickets  tickets
	scripts  *script.Engine
	users    users

	shutdown chan ShutdownRequest
	attackAt atomic.Int64 // nanotime of the last logged cross-protocol attack

	taken atomic.Int64 // bytes that clients are charged for, see replymem.go

	closing atomic.Bool
	done    chan struct{} // closed by Close
	// work is the context of what clients ask for. It ends when Close cuts them.
	work    context.Context
	endWork context.CancelFunc
	// running counts the goroutines that Close waits for. Invariant: it is above
	// zero while one of them may start another, Serve included (see mu).
	running sync.WaitGroup
	ended   sync.Once

	mu struct {
		sync.Mutex
		listeners []net.Listener
		listening bool // Listen has succeeded
		serving   bool
	}
}

// ShutdownRequest is what the SHUTDOWN command asks of whoever runs the server.
type ShutdownRequest struct {
	NoSave bool // do not flush the engine first; the log has everything
	Now    bool // do not wait for clients
	Force  bool // end even when flushing fails
}

// Errors of Serve: it was called before, or after Close. ErrBusy is Close's.
var (
	ErrServing = errors.New("server: already serving")
	ErrClosed  = errors.New("server: closed")
	ErrBusy    = errors.New("server: a command is still running")
)

// stopGrace is how long Close waits for commands whose clients were cut. A variable for
// the tests.
var stopGrace = 5 * time.Second

// New returns a Server that does not listen yet. The error names a missing
// option.
func New(o Options) (*Server, error) {
	if o.Node == nil || o.Config == nil {
		return nil, errors.New("server: Options.Node and Options.Config are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := &Server{
		node:     o.Node,
		config:   o.Config,
		log:      o.Logger,
		clock:    o.Clock,
		version:  o.Version,
		started:  o.Clock(),
		stats:    newStats(&o.Config.LatencyTracking),
		shutdown: make(chan ShutdownRequest, 1),
		done:     make(chan struct{}),
	}
	s.tls = &tlsKeeper{config: o.Config, log: o.Logger}
	for _, name := range tlsParams {
		o.Config.OnApply(name, s.tls.apply)
	}
	s.slowlog = newSlowlog(o.Config, o.Clock)
	s.latency = newLatencyMonitor(o.Config, o.Clock)
	s.admin = newAdmin(o)
	s.clients.init()
	s.pubsub.init()
	s.pause.init()
	s.repl.init(s)
	s.tickets.init()
	s.scripts = newScripts(s)
	s.work, s.endWork = context.WithCancel(context.Background())
	if err := s.users.init(s); err != nil {
		return nil, err
	}
	s.node.SetExecutor(s.execute)
	s.node.SetReceiver(s.takeMessages)
	s.notes.init(s)
	s.tracker.init(s)
	s.followMaxMemory()
	s.followAddresses()
	return s, nil
}

// Stats returns the server's counters.
func (s *Server) Stats() *Stats { return s.stats }

// ListenAndServe is Listen and Serve.
func (s *Server) ListenAndServe(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Serve accepts clients until ctx ends or Close is called, then returns nil.
// Clients that are connected stay so until Close.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.start(); err != nil {
		return err
	}
	defer s.running.Done()
	select {
	case <-ctx.Done():
	case <-s.done:
	}
	s.closeListeners()
	return nil
}

// start starts the goroutines of Serve and counts Serve as running.
func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.mu.serving:
		return ErrServing
	case s.closing.Load():
		return ErrClosed
	}
	if err := s.startLoops(s.config.EventLoops()); err != nil {
		return err
	}
	s.mu.serving = true
	s.running.Add(1)
	for _, l := range s.mu.listeners {
		s.running.Go(func() { s.accept(l) })
	}
	s.running.Go(s.housekeep)
	s.running.Go(s.notes.run)
	s.running.Go(s.users.run)
	return nil
}

// Shutdown yields what a client's SHUTDOWN asks for. Whoever runs the server
// then calls Close.
func (s *Server) Shutdown() <-chan ShutdownRequest { return s.shutdown }

// requestShutdown passes a SHUTDOWN on. A second one while the first waits is
// dropped.
func (s *Server) requestShutdown(r ShutdownRequest) {
	select {
	case s.shutdown <- r:
	default:
	}
}

// Close stops accepting, lets every client's running commands finish and their
// replies leave, and closes the connections. When ctx ends first, connections
// are cut and ctx's error is returned; or ErrBusy when a command has not ended some seconds
// after that: then the node cannot be closed, but the process can end, for the log has all
// that was acknowledged. It can be called again.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock() // so that Serve has counted itself, or sees that it is too late
	if s.closing.CompareAndSwap(false, true) {
		close(s.done)
	}
	s.mu.Unlock()
	s.closeListeners()
	s.scripts.Close()
	s.clients.each((*Conn).wake)
	finished := make(chan struct{})
	go func() {
		s.running.Wait()
		s.ended.Do(s.stopLoops)
		close(finished)
	}()
	select {
	case <-finished:
		s.endWork()
		return nil
	case <-ctx.Done():
	}
	s.endWork()
	s.clients.each(func(c *Conn) { c.kill() })
	select {
	case <-finished:
		return ctx.Err()
	case <-time.After(stopGrace):
		return ErrBusy
	}
}

// housekeep does what must be done from time to time until the server closes.
func (s *Server) housekeep() {
	sample := time.NewTicker(rateInterval)
	defer sample.Stop()
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	for {
		select {
		case <-sample.C:
			s.stats.sample(s.clock())
		case <-check.C:
			s.checkClients()
			s.users.poll()
		case <-s.done:
			return
		}
	}
}

var epoch = time.Now()

// nanotime is a monotonic clock: nanoseconds since the program started.
func nanotime() int64 { return int64(time.Since(epoch)) }
