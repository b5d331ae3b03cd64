package script

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"

	"dkv/cluster/slot"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// Options says where an Engine runs. All functions may be called by several
// goroutines.
type Options struct {
	// Slots is the map from slots to shards.
	Slots func() slot.Map
	// BusyAfter is how long a script may run before others are told that the server
	// is busy; zero: for ever.
	BusyAfter func() time.Duration
	// MemoryLimit is how many bytes a script may take.
	MemoryLimit func() int64
	// Databases is the number of databases that SELECT knows.
	Databases func() int64
	// Guard runs the handler of a command and turns a panic into an error.
	Guard func(c *command.Ctx) error
	// Refuse ends the tasks that wait for the shard's writer, which a script keeps.
	// It is called on the writer's goroutine, from time to time.
	Refuse func(shard int, err error)
	// Follows reports whether the node is a replica, whose scripts must not write.
	Follows func() bool
	// Stale reports whether the node is a replica that has lost its source and must not
	// serve what it has (replica-serve-stale-data no).
	Stale func() bool
	// Alone reports whether there are too few replicas for writes (min-replicas-to-write).
	Alone func() bool
	// OutOfMemory reports whether commands that take memory are refused. nil: never.
	OutOfMemory func() bool
	// Receivers returns how many subscribers of this node a message of a channel has,
	// of a shard channel when sharded.
	Receivers func(sharded bool, channel []byte) int
	// Own runs a command that acts on no keys and is not in ownCommands; false: scripts
	// may not call it.
	Own func(x *command.Ctx) (known bool, err error)
	// AllowAll reports whether scripts may call commands that are not for scripts
	// (DEBUG SET-DISABLE-DENY-SCRIPTS).
	AllowAll func() bool
	// Called is told of each command that a script has run, with its arguments, and of
	// those that were refused beforehand.
	Called func(c Call)
	// Failed counts an error reply that a script has met and that is not its own reply.
	Failed func(text string)
	Logger *slog.Logger
}

// A Call is a command that a script has asked for. Args are valid while Called runs.
type Call struct {
	Spec     *command.Spec
	Args     [][]byte
	DB       int
	Took     time.Duration
	Rejected bool // it did not run
	Failed   bool // it has replied an error
}

// Errors of scripts, as Redis words them.
const (
	// ErrBusy is the reply to commands while a script runs for too long.
	ErrBusy           resp.Error = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
	ErrBusyFunction   resp.Error = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	ErrNotBusy        resp.Error = "NOTBUSY No scripts in execution right now."
	ErrUnkillable     resp.Error = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
	errNoScript       resp.Error = "NOSCRIPT No matching script. Please use EVAL."
	errKilledScript   resp.Error = "ERR Script killed by user with SCRIPT KILL."
	errKilledFunction resp.Error = "ERR Script killed by user with FUNCTION KILL."
	errClosing        resp.Error = "ERR The server is shutting down"
	errMemory         resp.Error = "ERR The script needs more memory than lua-memory-limit allows"
	errTooManyKeys    resp.Error = "ERR Number of keys can't be greater than number of args"
	errNegativeKeys   resp.Error = "ERR Number of keys can't be negative"
	errNoCluster      resp.Error = "ERR Can not run script on cluster, 'no-cluster' flag is set."
)

// An Engine evaluates scripts, on the goroutine that asks it to, and keeps what they
// are compiled to. It is safe for concurrent use.
type Engine struct {
	o     Options
	known cache

	overdue atomic.Int64 // how many of the running scripts have run for too long
	closed  atomic.Bool

	mu struct {
		sync.Mutex
		running   map[*run]struct{}
		states    []*state // idle ones
		functions []*state // idle ones that have libraries loaded
		counted   counted
	}
}

// maxIdleStates bounds the interpreters that wait for the next script: about as many
// as there are goroutines that run scripts at the same time.
const maxIdleStates = 16

// New returns an Engine.
func New(o Options) *Engine {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{o: o}
	e.mu.running = make(map[*run]struct{})
	e.known.init()
	return e
}

// Close ends all running scripts, which are undone, and those that begin later.
func (e *Engine) Close() {
	e.closed.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	for r := range e.mu.running {
		r.stop.Store(stopClosing)
	}
}

// Busy returns the error for commands while a script that writes to a shard has run
// for too long, "" when none does; shard -1 is any.
func (e *Engine) Busy(shard int) resp.Error {
	if e.overdue.Load() == 0 {
		return ""
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for r := range e.mu.running {
		if r.late.Load() && !r.x.Tx.ReadOnly() && (shard < 0 || r.x.Shard == shard) {
			return r.busyError()
		}
	}
	return ""
}

// Kill ends the scripts, or functions, that are running. Errors: ErrNotBusy when
// there are none, ErrUnkillable when all of them have written.
func (e *Engine) Kill(functions bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error = ErrNotBusy
	for r := range e.mu.running {
		switch {
		case r.function != functions:
			if err == ErrNotBusy {
				err = r.busyError()
			}
		case r.wrote.Load():
			if err == ErrNotBusy || err != nil {
				err = ErrUnkillable
			}
		default:
			r.stop.Store(stopKilled)
			return nil
		}
	}
	return err
}

// Run implements command.Scripter.
func (e *Engine) Run(c *command.Ctx) error {
	switch c.Spec.Name {
	case "eval", "eval_ro", "evalsha", "evalsha_ro":
		return e.eval(c)
	case "script|load":
		return e.load(c)
	case "script|exists":
		return e.exists(c)
	case "script|flush":
		return e.flush(c)
	}
	return e.runFunctions(c)
}

// ReadsOnly reports whether a command, EVAL or its like, says of itself that it will
// not write. It may say no without need.
func (e *Engine) ReadsOnly(spec *command.Spec, args [][]byte) bool {
	switch spec.Name {
	case "eval":
		sc, err := e.compiled(args[1], false)
		return err == nil && sc.flags&flagNoWrites != 0
	case "evalsha":
		sc := e.known.get(shaOf(args[1]))
		return sc != nil && sc.flags&flagNoWrites != 0
	}
	return false
}

// eval is EVAL and its like.
func (e *Engine) eval(c *command.Ctx) error {
	bySHA := c.Spec.Name == "evalsha" || c.Spec.Name == "evalsha_ro"
	if bySHA && shaOf(c.Args[1]) == "" {
		return errNoScript
	}
	keys, err := numKeys(c.Args, resp.ErrNotInt)
	if err != nil {
		return err
	}
	var sc *script
	if !bySHA {
		sc, err = e.compiled(c.Args[1], true)
	} else {
		sc, err = e.find(c)
	}
	if err != nil {
		return err
	}
	if err := e.mayRun(c, sc.flags); err != nil {
		return err
	}
	r := e.beginWith(e.take(), c, sc.sha, sc.flags, false)
	defer e.end(r)
	s := r.state
	s.globals.RawSetString("KEYS", s.list(c.Args[3:3+keys]))
	s.globals.RawSetString("ARGV", s.list(c.Args[3+keys:]))
	return r.finish(s.invoke(s.main(sc)))
}

// mayRun refuses a script that says of itself what cannot be done now. One that says
// nothing runs; its commands are refused one by one.
func (e *Engine) mayRun(c *command.Ctx, f flags) error {
	writes := f&(flagNoWrites|flagUndeclared) == 0
	switch {
	case f&flagNoCluster != 0 && e.o.Slots().Shards() > 1:
		return errNoCluster
	case writes && e.o.Follows():
		return resp.ErrReadOnly
	case writes && c.Spec.Flags&command.FlagReadOnly != 0:
		return errWriteFlag
	case f&flagAllowStale == 0 && e.o.Stale():
		return resp.ErrMasterDown
	case writes && e.o.Alone():
		return resp.ErrNoReplicas
	case f&(flagUndeclared|flagAllowOOM|flagNoWrites) == 0 && e.outOfMemory():
		return resp.ErrOOM
	}
	return nil
}

func (e *Engine) outOfMemory() bool { return e.o.OutOfMemory != nil && e.o.OutOfMemory() }

// numKeys returns the argument that counts the keys behind it.
func numKeys(args [][]byte, notInt error) (int, error) {
	n, ok := keyspace.ParseInt(args[2])
	switch {
	case !ok:
		return 0, notInt
	case n > int64(len(args)-3):
		return 0, errTooManyKeys
	case n < 0:
		return 0, errNegativeKeys
	}
	return int(n), nil
}

// beginWith readies an interpreter for a script.
func (e *Engine) beginWith(s *state, c *command.Ctx, name string, f flags, function bool) *run {
	r := s.run
	if r == nil {
		r = &run{engine: e, state: s}
	}
	r.reset(c, name, f, function)
	s.ready(r)
	e.mu.Lock()
	e.mu.running[r] = struct{}{}
	e.mu.Unlock()
	if e.closed.Load() {
		r.stop.Store(stopClosing)
	}
	return r
}

func (s *state) ready(r *run) {
	s.meter.start(r)
	s.run, s.depth, s.json = r, 0, defaultJSON
	s.L.G.CurrentThread = s.L
	s.L.SetContext(&s.meter)
}

func (e *Engine) end(r *run) {
	s := r.state
	if r.late.Load() {
		e.overdue.Add(-1)
		e.o.Logger.Warn("a slow script has ended", "script", r.name, "after", time.Since(r.began))
	}
	e.mu.Lock()
	delete(e.mu.running, r)
	e.mu.Unlock()
	r.forget()
	if s.meter.measured && s.meter.err != nil {
		return // what it holds may be large
	}
	e.giveBack(s)
}

// take returns an idle interpreter for scripts or makes one.
func (e *Engine) take() *state {
	e.mu.Lock()
	if n := len(e.mu.states); n > 0 {
		s := e.mu.states[n-1]
		e.mu.states[n-1] = nil
		e.mu.states = e.mu.states[:n-1]
		e.mu.Unlock()
		return s
	}
	e.mu.Unlock()
	return newState(false)
}

// giveBack makes an interpreter idle.
func (e *Engine) giveBack(s *state) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.library == nil {
		if len(e.mu.states) < maxIdleStates {
			e.mu.states = append(e.mu.states, s)
		}
		return
	}
	if len(e.mu.functions) >= maxIdleStates {
		e.mu.functions = append(e.mu.functions[:0], e.mu.functions[1:]...)
	}
	e.mu.functions = append(e.mu.functions, s)
}

// list makes a table of arguments.
func (s *state) list(args [][]byte) *lua.LTable {
	t := s.L.CreateTable(len(args), 0)
	for _, a := range args {
		s.meter.met(len(a))
		t.Append(lua.LString(a))
	}
	return t
}

// main returns a script as a function of this interpreter.
func (s *state) main(sc *script) *lua.LFunction {
	if f := s.scripts[sc.sha]; f != nil {
		return f
	}
	if len(s.scripts) >= maxFunctions {
		clear(s.scripts)
	}
	f := s.L.NewFunctionFromProto(sc.proto)
	s.scripts[sc.sha] = f
	return f
}

// invoke calls f, and returns its first result, or the error as __redis__err__handler
// makes it of what was raised.
func (s *state) invoke(f *lua.LFunction, args ...lua.LValue) (lua.LValue, *lua.LTable) {
	L := s.L
	L.Push(f)
	for _, a := range args {
		L.Push(a)
	}
	err := L.PCall(len(args), 1, s.handler)
	if err == nil {
		v := L.Get(-1)
		L.SetTop(0)
		return v, nil
	}
	L.SetTop(0)
	s.settle()
	t, ok := err.(*lua.ApiError).Object.(*lua.LTable)
	if !ok {
		t = L.NewTable()
		t.RawSetString("err", lua.LString("ERR "+text(translated(err.(*lua.ApiError).Object))))
	}
	return nil, t
}

// settle closes what an error has left open of the stack: a function of Lua's that
// returns does so.
func (s *state) settle() {
	s.L.RemoveContext()
	s.L.Push(s.empty)
	s.L.Call(0, 0)
	s.L.SetTop(0)
}

// Slow reports whether any script has run for too long.
func (e *Engine) Slow() bool { return e.overdue.Load() != 0 }

// Known is the number of scripts that EVALSHA finds without looking for a record, and the
// bytes of their source texts.
func (e *Engine) Known() (n, bytes int) {
	c := &e.known
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, el := range c.bySHA {
		if e := el.Value.(*entry); e.known {
			n++
			bytes += len(e.source)
		}
	}
	return n, bytes
}

// Running is the number of scripts that are being run.
func (e *Engine) Running() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.mu.running)
}
