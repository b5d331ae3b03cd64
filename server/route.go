package server

import (
	"iter"
	"strconv"

	"dkv/cluster/raftlog"
	"dkv/cluster/slot"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// route is where a command goes.
type route struct {
	kind  routeKind
	keyed bool // it has keys: slot is that of the first
	shard raftlog.ShardID
	slot  slot.Slot
}

type routeKind uint8

const (
	routeOne   routeKind = iota // to shard
	routeSplit                  // to the shards of its keys, each its share
	routeAll                    // to all shards
)

// plan is what routing knows of a row of the command table beforehand.
type plan struct {
	kind  planKind
	split bool // the keys may be in several shards: see splitters
	// channels: the keys are shard channels, which have their slot's node only for
	// clients that are redirected: here every node has all messages.
	channels bool
	// The positions of the keys are first, first+step ... last (from the end
	// when negative); without simple the row's KeySpecs must be asked.
	simple            bool
	first, last, step int
}

type planKind uint8

const (
	planNone planKind = iota // no keys: any shard will do, or none
	planKeys
	planAll // acts on whole databases
)

// plans are those of all rows, by command.Spec.ID.
var plans []plan

func init() {
	plans = make([]plan, len(command.All()))
	for _, spec := range command.All() {
		p := &plans[spec.ID]
		switch {
		case everywhere[spec.Name] != nil:
			p.kind = planAll
		case len(spec.KeySpecs) != 0:
			*p = plan{kind: planKeys, first: spec.FirstKey, last: spec.LastKey, step: spec.KeyStep}
			p.simple = spec.FirstKey > 0 && isSimple(spec)
			p.split = splitters[spec.Name] != nil
			if spec.KeySpecs[0].Flags&command.KeyNotKey != 0 {
				p.channels, p.simple = true, true
			}
		}
	}
}

// isSimple reports whether FirstKey, LastKey and KeyStep say all about a row's
// keys.
func isSimple(spec *command.Spec) bool {
	keys := 0
	for i := range spec.KeySpecs {
		k := &spec.KeySpecs[i]
		if k.Keyword != "" || k.Counted || k.Unknown || k.Limit > 1 || k.Flags&command.KeyNotKey != 0 {
			return false
		}
		keys += k.LastKey + 1
	}
	return len(spec.KeySpecs) == 1 || spec.KeyStep == 1 && keys == spec.LastKey-spec.FirstKey+1
}

// keyArgs yields the positions of the keys in a command.
func keyArgs(spec *command.Spec, args [][]byte) iter.Seq[int] {
	p := &plans[spec.ID]
	return func(yield func(int) bool) {
		switch {
		case p.kind != planKeys:
		case p.simple:
			last := p.last
			if last < 0 {
				last += len(args)
			}
			for i := p.first; i <= last && i < len(args); i += p.step {
				if !yield(i) {
					return
				}
			}
		default:
			keys, _ := spec.Keys(args) // what has no keys goes anywhere, and fails there
			for _, i := range keys {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// slots is the map from slots to shards. It changes once, when a node that was
// started to join a cluster is added to it: until then nothing is served.
func (s *Server) slots() slot.Map { return slot.NewMap(s.node.Shards()) }

// shardOf is the shard that a key belongs to.
func (ws *workspace) shardOf(key []byte) raftlog.ShardID {
	return ws.slots.ShardOf(keyspace.SlotOf(key))
}

// routes reports whether it matters where commands go. A node with one shard
// that does not redirect spends nothing on routing.
func (c *Conn) routes() bool {
	return c.ws.slots.Shards() > 1 || c.srv.config.ClusterRedirect.Load()
}

// route finds where a command goes, or why it goes nowhere.
//
// The keys of a command must be in one shard. With cluster-redirect they must be
// in one slot, as in Redis Cluster, so that its clients meet what they know.
func (c *Conn) route(spec *command.Spec, args [][]byte) (at route, refusal resp.Error) {
	p := &plans[spec.ID]
	slots, redirect := c.ws.slots, c.srv.config.ClusterRedirect.Load()
	switch {
	case p.kind == planNone, p.channels && !redirect:
		return route{}, ""
	case p.kind == planAll && slots.Shards() == 1:
		return route{}, ""
	case p.kind == planAll && c.txn.open:
		return route{}, resp.ErrCrossSlot // no transaction spans shards
	case p.kind == planAll:
		return route{kind: routeAll}, ""
	}
	sameSlot, sameShard := true, true
	for i := range keyArgs(spec, args) {
		sl := keyspace.SlotOf(args[i])
		switch {
		case !at.keyed:
			at.keyed, at.slot, at.shard = true, sl, slots.ShardOf(sl)
		case sl != at.slot:
			sameSlot = false
			sameShard = sameShard && slots.ShardOf(sl) == at.shard
		}
	}
	switch {
	case sameShard && (sameSlot || !redirect):
	case redirect, c.txn.open, !p.split:
		return at, resp.ErrCrossSlot
	case (len(args)-p.first)%p.step != 0:
		return at, resp.ErrWrongArity(spec.Name) // not as many values as keys
	default:
		at.kind = routeSplit
	}
	if redirect && at.keyed {
		refusal = c.moved(at, spec.Flags)
	}
	return at, refusal
}

// moved returns where to a client of a cluster that redirects has to go with its
// command, "" when it is right here. Where no leader is known the command waits
// for one like any other.
func (c *Conn) moved(at route, flags command.Flags) resp.Error {
	leader, known := c.srv.node.Leader(at.shard)
	switch {
	case !known, leader.Self, leader.ClientAddr == "":
		return ""
	case c.readOnly && flags&command.FlagWrite == 0:
		return ""
	}
	return resp.ErrMoved(strconv.Itoa(int(at.slot)), leader.ClientAddr)
}

// allShards are the shards that a command about whole databases is for: with
// cluster-redirect those that this node leads, since a client then asks every
// leader and adds up; all when it leads none, like a replica of Redis Cluster.
func (c *Conn) allShards() []raftlog.ShardID {
	all := c.ws.slots.All()
	if !c.srv.config.ClusterRedirect.Load() {
		return all
	}
	var led []raftlog.ShardID
	for _, id := range all {
		if m, known := c.srv.node.Leader(id); known && m.Self {
			led = append(led, id)
		}
	}
	if len(led) == 0 {
		return all
	}
	return led
}
