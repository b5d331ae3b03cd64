package server

import (
	"fmt"

	"dkv/cluster"
	"dkv/engine/keyspace"
	"dkv/server/command"
)

// memoryParams are those of eviction. docs/cache.md explains them.
func memoryParams() []*param {
	policies := []string{"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"}
	return []*param{
		{name: "maxmemory", kind: kindMemory, def: "0", group: groupLimits,
			doc: "With diskless: memory that the process may take, to be given at the start, since caches are sized by it. With a disk: size of the data from which an evicting policy makes room. 0: no bound. See docs/cache.md."},
		{name: "maxmemory-policy", kind: kindEnum, enum: policies, def: "noeviction", group: groupLimits,
			doc: "Keys that make room at maxmemory: of all or of those with an expiry, the ones unused for longest (lru), used least (lfu), any (random), or expiring next (ttl). noeviction: none, writes are answered OOM."},
		{name: "maxmemory-samples", kind: kindInt, def: "5", min: 1, max: maxInt32, group: groupLimits,
			doc: "Keys looked at for each that goes; above 64 as 64."},
		{name: "maxmemory-eviction-tenacity", kind: kindInt, def: "10", max: 100, effect: effectStored, group: groupLimits,
			doc: "Room is made in the background."},
		{name: "lfu-log-factor", kind: kindInt, def: "10", max: maxInt32, group: groupLimits,
			doc: "How slowly the counter of lfu grows with uses."},
		{name: "lfu-decay-time", kind: kindInt, def: "1", max: maxInt32, group: groupLimits,
			doc: "Minutes after which the counter of lfu falls by one; 0: it does not."},
	}
}

// maxSamples bounds the work for a key that goes.
const maxSamples = 64

// MaxMemory is what the parameters ask a node for.
func (c *Config) MaxMemory() cluster.MaxMemory {
	policy, err := keyspace.ParsePolicy(c.String("maxmemory-policy"))
	if err != nil {
		panic("server: " + err.Error()) // the parameter has the same names
	}
	return cluster.MaxMemory{
		Bytes: c.Int("maxmemory"), Policy: policy, Samples: int(min(c.Int("maxmemory-samples"), maxSamples)),
		LogFactor: c.Int("lfu-log-factor"), DecayMinutes: c.Int("lfu-decay-time"),
	}
}

// followMaxMemory has the node follow CONFIG SET.
func (s *Server) followMaxMemory() {
	for _, name := range []string{"maxmemory", "maxmemory-policy", "maxmemory-samples", "lfu-log-factor", "lfu-decay-time"} {
		s.config.OnChange(name, func(string) { s.node.SetMaxMemory(s.config.MaxMemory()) })
	}
}

// deniesOOM reports whether a command is refused while there is no memory: one that may
// take some, a transaction with such a one, and whatever would be queued for EXEC.
func (c *Conn) deniesOOM(spec *command.Spec) bool {
	if spec.Flags&command.FlagDenyOOM != 0 {
		return true
	}
	if spec == specExec {
		return c.txn.open && c.queuedFlags()&command.FlagDenyOOM != 0
	}
	return c.txn.open && !runsInMulti(spec)
}

// dataset is the part of the memory that holds data: all of it on a diskless node,
// what is cached, hot or not yet in a table on one with a disk.
func (s *Server) dataset(m memoryFigures) uint64 {
	if s.node.Diskless() {
		return min(uint64(max(m.node.Data, 0)), m.used)
	}
	return m.hot + m.blockCache + m.memtables
}

// keptTo says in words whether the node keeps to maxmemory; "" when it does.
func (s *Server) keptTo(m memoryFigures) string {
	limit := uint64(s.config.Int("maxmemory"))
	switch {
	case limit == 0 || m.node.Limit == 0:
		return ""
	case m.node.Full:
		return "maxmemory is reached and the policy finds nothing to evict: writes are answered OOM."
	case s.node.Diskless() && m.rss > limit:
		return fmt.Sprintf("It is %s over maxmemory. Less data does not help when clients, scripts or caches take the rest.", humanBytes(m.rss-limit))
	}
	return ""
}
