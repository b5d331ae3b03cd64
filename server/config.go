package server

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dkv/server/command"
)

// Config holds every parameter of the server. There is one registry of them
// (config_table.go): the config file, the command line and CONFIG SET all go
// through it, so a name means the same everywhere.
//
// A value is kept in the form in which CONFIG GET prints it. Parameters that
// are read for each request or connection are kept in the exported atomics as
// well, which a change updates before its hooks run.
//
// All methods are safe for concurrent use.
type Config struct {
	ProtoMaxBulkLen         atomic.Int64 // bytes
	ClientQueryBufferLimit  atomic.Int64 // bytes
	MaxClients              atomic.Int64
	Timeout                 atomic.Int64 // seconds, 0 is never
	TCPKeepalive            atomic.Int64 // seconds, 0 is off
	Databases               atomic.Int64
	SlowlogLogSlowerThan    atomic.Int64 // microseconds, negative is off
	SlowlogMaxLen           atomic.Int64
	LatencyMonitorThreshold atomic.Int64 // milliseconds, 0 is off
	BusyReplyThreshold      atomic.Int64 // milliseconds, 0 or less is never
	LuaMemoryLimit          atomic.Int64 // bytes
	CommandMemoryLimit      atomic.Int64 // bytes
	LatencyTracking         atomic.Bool
	ProtectedMode           atomic.Bool
	ClusterRedirect         atomic.Bool
	RequirePass             atomic.Pointer[string] // never nil; "" is no password

	Encodings command.Limits // of OBJECT ENCODING

	OutputLimitNormal  OutputLimit
	OutputLimitReplica OutputLimit
	OutputLimitPubSub  OutputLimit

	// change serializes changes, hooks included, so that hooks see them in
	// the order in which readers do. It is taken before mu.
	change sync.Mutex

	mu struct {
		sync.RWMutex
		values map[*param]string
		given  map[*param]bool // set by file, flag or CONFIG SET
		hooks  map[*param][]func(value string) error
		file   string          // for Rewrite; "" when started without one
		users  [][]string      // the words of `user` lines
		lines  func() []string // the `user` lines as they are now; nil: see setUserLines
	}
}

// OutputLimit bounds what may wait to be sent to one client of a class. Zero
// is no limit.
type OutputLimit struct {
	Hard        atomic.Int64 // bytes
	Soft        atomic.Int64 // bytes, for longer than SoftSeconds
	SoftSeconds atomic.Int64
}

// Pair is a parameter's name and value.
type Pair struct{ Name, Value string }

// ErrUnknownParameter is returned for a name that is not in the registry.
var ErrUnknownParameter = errors.New("unknown parameter")

// ParamError says why a value was refused, in the words Redis uses.
type ParamError struct {
	Name   string
	Reason string
}

func (e *ParamError) Error() string { return e.Name + ": " + e.Reason }

// NewConfig returns a Config in which every parameter has its default.
func NewConfig() *Config {
	c := &Config{}
	c.mu.values = make(map[*param]string, len(params))
	c.mu.given = make(map[*param]bool)
	c.mu.hooks = make(map[*param][]func(string) error)
	for _, p := range params {
		c.store(p, p.def)
	}
	return c
}

// Set gives a parameter a value, as a config file or flag would: parameters
// that cannot change at run time are accepted, so it is for use before the
// server starts. value is split into words where the parameter takes several.
// The error is ErrUnknownParameter, a *ParamError, or a hook's.
func (c *Config) Set(name, value string) error {
	p := findParam(name)
	if p == nil {
		return fmt.Errorf("%w %q", ErrUnknownParameter, name)
	}
	words, err := p.words(value)
	if err != nil {
		return err
	}
	return c.setWords(p, words)
}

// SetAtRuntime applies all pairs or none of them, in their order, as CONFIG
// SET does. The error is ErrUnknownParameter or a *ParamError with the name at fault.
//
// local: who asks comes from this machine, see enable-protected-configs.
func (c *Config) SetAtRuntime(pairs []Pair, local bool) error {
	c.change.Lock()
	defer c.change.Unlock()
	type step struct {
		p        *param
		old, new string
	}
	var steps []step
	for i, pair := range pairs {
		p := findParam(pair.Name)
		if p == nil {
			return fmt.Errorf("%w %q", ErrUnknownParameter, pair.Name)
		}
		if reason := c.refuse(p, pair, local); reason != "" {
			return &ParamError{pair.Name, reason}
		}
		if slices.ContainsFunc(pairs[:i], func(q Pair) bool { return strings.EqualFold(q.Name, pair.Name) }) {
			return &ParamError{pair.Name, "duplicate parameter"}
		}
		name := strings.ToLower(pair.Name) // as Redis shows it when the value is at fault
		words, err := p.words(pair.Value)
		if err != nil {
			return &ParamError{name, reasonOf(err)}
		}
		old := c.value(p)
		value, err := p.parse(words, old)
		if err != nil {
			return &ParamError{name, reasonOf(err)}
		}
		steps = append(steps, step{p, old, value})
	}
	for _, s := range steps {
		c.store(s.p, s.new) // all before the first hook: some look at several parameters
	}
	for i, s := range steps {
		if err := c.runHooks(s.p, s.new); err != nil {
			for _, s := range steps {
				c.store(s.p, s.old)
			}
			for j := i; j >= 0; j-- {
				_ = c.runHooks(steps[j].p, steps[j].old)
			}
			return &ParamError{s.p.name, reasonOf(err)}
		}
	}
	c.mu.Lock()
	for _, s := range steps {
		c.mu.given[s.p] = true
	}
	c.mu.Unlock()
	return nil
}

// refuse says why a parameter cannot be set at run time, "" when it can. What only dkv
// cannot change may be set to what it is: tools write back what they have read.
func (c *Config) refuse(p *param, given Pair, local bool) string {
	if p.flags&paramImmutable != 0 && (immutableInRedis[strings.ToLower(given.Name)] || given.Value != c.shown(p)) {
		return "can't set immutable config"
	}
	if allowed := c.String("enable-protected-configs"); p.flags&paramProtected != 0 && allowed != "yes" && (allowed != "local" || !local) {
		return "can't set protected config"
	}
	return ""
}

// Get returns the value of a parameter as CONFIG GET prints it.
func (c *Config) Get(name string) (value string, ok bool) {
	p := findParam(name)
	if p == nil {
		return "", false
	}
	return c.value(p), true
}

// String returns the value of a parameter that is known to exist.
func (c *Config) String(name string) string {
	return c.value(mustParam(name))
}

// Int returns a parameter of a numeric kind; memory sizes are in bytes.
func (c *Config) Int(name string) int64 {
	n, err := strconv.ParseInt(c.String(name), 10, 64)
	if err != nil {
		// Only maxmemory reaches above the range of an int64.
		return 1<<63 - 1
	}
	return n
}

// Duration returns a parameter of that kind.
func (c *Config) Duration(name string) time.Duration {
	d, err := time.ParseDuration(c.String(name))
	if err != nil {
		panic("server: " + name + " is no duration") // checked when it was set
	}
	return d
}

// Bool returns a yes/no parameter.
func (c *Config) Bool(name string) bool { return c.String(name) == "yes" }

// Given reports whether the parameter was set by a file, a flag or CONFIG SET.
func (c *Config) Given(name string) bool {
	p := mustParam(name)
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.mu.given[p]
}

// OnChange calls f with the new value after the parameter changed. f must not
// call Set.
func (c *Config) OnChange(name string, f func(value string)) {
	c.OnApply(name, func(v string) error { f(v); return nil })
}

// OnApply calls f to put a new value into effect. When f returns an error the
// change is undone, f is called with the old value, and the error's text is
// the reason given to the client.
func (c *Config) OnApply(name string, f func(value string) error) {
	p := mustParam(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.hooks[p] = append(c.mu.hooks[p], f)
}

func (c *Config) setWords(p *param, words []string) error {
	c.change.Lock()
	defer c.change.Unlock()
	if p.name == "listen-addr" && len(words) == 1 {
		return c.setListenAddr(words[0])
	}
	return c.setLocked(p, words)
}

func (c *Config) setLocked(p *param, words []string) error {
	old := c.value(p)
	value, err := p.parse(words, old)
	if err != nil {
		return &ParamError{p.name, reasonOf(err)}
	}
	c.store(p, value)
	if err := c.runHooks(p, value); err != nil {
		c.store(p, old)
		return &ParamError{p.name, reasonOf(err)}
	}
	c.mu.Lock()
	c.mu.given[p] = true
	c.mu.Unlock()
	return nil
}

func (c *Config) value(p *param) string {
	if p.name == "listen-addr" {
		return c.listenAddr()
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.mu.values[p]
}

func (c *Config) runHooks(p *param, value string) error {
	c.mu.RLock()
	hooks := c.mu.hooks[p]
	c.mu.RUnlock()
	for _, f := range hooks {
		if err := f(value); err != nil {
			return err
		}
	}
	return nil
}

// store keeps a value that p.parse returned, in the map and in the atomic of
// a hot parameter.
func (c *Config) store(p *param, value string) {
	c.mu.Lock()
	c.mu.values[p] = value
	c.mu.Unlock()
	if n := c.hotInt(p.name); n != nil {
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			v = 1<<63 - 1
		}
		n.Store(v)
		return
	}
	switch p.name {
	case "requirepass":
		c.RequirePass.Store(&value)
	case "protected-mode":
		c.ProtectedMode.Store(value == "yes")
	case "cluster-redirect":
		c.ClusterRedirect.Store(value == "yes")
	case "latency-tracking":
		c.LatencyTracking.Store(value == "yes")
	case "client-output-buffer-limit":
		c.storeOutputLimits(value)
	}
}

func (c *Config) hotInt(name string) *atomic.Int64 {
	switch name {
	case "proto-max-bulk-len":
		return &c.ProtoMaxBulkLen
	case "client-query-buffer-limit":
		return &c.ClientQueryBufferLimit
	case "maxclients":
		return &c.MaxClients
	case "timeout":
		return &c.Timeout
	case "tcp-keepalive":
		return &c.TCPKeepalive
	case "databases":
		return &c.Databases
	case "slowlog-log-slower-than":
		return &c.SlowlogLogSlowerThan
	case "slowlog-max-len":
		return &c.SlowlogMaxLen
	case "busy-reply-threshold":
		return &c.BusyReplyThreshold
	case "lua-memory-limit":
		return &c.LuaMemoryLimit
	case "command-memory-limit":
		return &c.CommandMemoryLimit
	case "latency-monitor-threshold":
		return &c.LatencyMonitorThreshold
	case "hash-max-listpack-entries":
		return &c.Encodings.HashListpackEntries
	case "hash-max-listpack-value":
		return &c.Encodings.HashListpackValue
	case "list-max-listpack-size":
		return &c.Encodings.ListMaxListpackSize
	case "set-max-intset-entries":
		return &c.Encodings.SetIntsetEntries
	case "set-max-listpack-entries":
		return &c.Encodings.SetListpackEntries
	case "set-max-listpack-value":
		return &c.Encodings.SetListpackValue
	case "zset-max-listpack-entries":
		return &c.Encodings.ZSetListpackEntries
	case "zset-max-listpack-value":
		return &c.Encodings.ZSetListpackValue
	case "stream-node-max-bytes":
		return &c.Encodings.StreamNodeBytes
	case "stream-node-max-entries":
		return &c.Encodings.StreamNodeEntries
	case "hll-sparse-max-bytes":
		return &c.Encodings.HLLSparseBytes
	}
	return nil
}

func (c *Config) storeOutputLimits(value string) {
	f := strings.Fields(value)
	for i := 0; i+3 < len(f); i += 4 {
		l := &c.OutputLimitNormal
		switch f[i] {
		case "slave":
			l = &c.OutputLimitReplica
		case "pubsub":
			l = &c.OutputLimitPubSub
		}
		for j, dst := range []*atomic.Int64{&l.Hard, &l.Soft, &l.SoftSeconds} {
			n, _ := strconv.ParseInt(f[i+1+j], 10, 64)
			dst.Store(n)
		}
	}
}

func reasonOf(err error) string {
	var pe *ParamError
	if errors.As(err, &pe) {
		return pe.Reason
	}
	return err.Error()
}
