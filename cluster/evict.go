package cluster

import (
	"context"
	"errors"
	"time"

	"dkv/cluster/shard"
	"dkv/engine/keyspace"
)

const (
	// How often a diskless node looks at its memory, and one with a disk at its data.
	watchMemory = 5 * time.Millisecond
	watchDisk   = 100 * time.Millisecond
	// watchIdle is how often either looks that has no bound.
	watchIdle = time.Second

	// maxVictims is the most keys that go in one task.
	maxVictims = 512
	// allowance steps: how much of the limit the estimated size of the data is kept
	// below it for what is dead and not yet given back.
	allowanceSteps = 32
	// The allowance begins with the first, and grows up to the second by itself: beyond
	// that only after the store was rewritten and is too large all the same.
	firstAllowance = 4
	freeAllowance  = 10
	// patience is how long the data may be over its limit, with nothing left to evict
	// by the estimate, before more is done than to wait for compactions.
	patience = 500 * time.Millisecond
	// reclaimAgain is how long after a store was rewritten it is again.
	reclaimAgain = 2 * time.Second
	reclaimLater = time.Minute // when hardly anything was deleted since
	// reclaimParts is in how many parts a store is rewritten.
	reclaimParts = 32
	// tooSmallInterval is how often a replica says that its bound is too small.
	tooSmallInterval = time.Minute
)

// evictor evicts keys of the shards that this node leads, as the policy says, while the
// node's data is over its limit.
//
// What an eviction deletes is not given back at once: the engine does that later, when
// it compacts. So the limit on what is there says when to act, and an estimate of what
// is alive (the number of keys, which is exact, times the mean size of those sampled)
// how far to go: to an allowance below the limit. The allowance adapts: it grows while
// that was not enough and the engine had time, and shrinks while there is room. A poor
// estimate (compression, a few large keys) is evened out by it.
type evictor struct {
	n         *Node
	samplers  []keyspace.Sampler
	allowance int64     // steps of the limit
	idleSince time.Time // since when there was nothing to evict, over the limit
	roomSince time.Time // since when there is room
	reclaimed time.Time // when the store was rewritten last
	aliveThen int64     // what was alive then
	none      bool      // the policy has found nothing to evict
}

// guardMemory runs until ctx ends.
func (n *Node) guardMemory(ctx context.Context) {
	defer n.memory.closing.Wait()
	defer n.openGate()
	e := evictor{n: n, allowance: firstAllowance}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.memory.changed:
		case <-timer.C:
		}
		timer.Reset(e.step(ctx))
	}
}

// step looks once, evicts some, and returns when to look again.
func (e *evictor) step(ctx context.Context) time.Duration {
	n, mem := e.n, &e.n.memory
	m := n.bounded()
	if m == nil || len(n.list()) == 0 {
		mem.limit.Store(0)
		e.under()
		if !n.o.Diskless {
			return watchIdle
		}
		n.weigh() // INFO goes by what garbage collections have found
		return watchDisk
	}
	data, other := n.weigh()
	limit := n.dataLimit(m, other)
	mem.limit.Store(limit)
	interval := watchDisk
	if n.o.Diskless {
		interval = watchMemory
	}
	if len(e.samplers) != len(n.list()) {
		e.samplers = make([]keyspace.Sampler, len(n.list()))
	}
	if data <= limit {
		e.under()
		if e.allowance > 1 && data < limit-limit/8 && time.Since(e.roomSince) > time.Second {
			e.allowance--
			e.roomSince = time.Now()
		}
		if data < limit-limit/8 {
			return 4 * interval
		}
		e.look()
		return interval
	}
	e.roomSince = time.Now()
	if mem.since.Load() == 0 {
		mem.since.Store(n.o.Clock().UnixNano())
	}
	if n.Follows() {
		e.tooSmall(data, limit)
		return interval
	}
	if data > limit+limit/allowanceSteps && n.o.Diskless {
		n.shutGate()
	}
	e.over(ctx, m, data, limit)
	return interval
}

// under notes that there is room.
func (e *evictor) under() {
	mem := &e.n.memory
	if since := mem.since.Swap(0); since != 0 {
		mem.exceeded.Add(max(e.n.o.Clock().UnixNano()-since, 0))
	}
	mem.full.Store(false)
	e.none, e.idleSince = false, time.Time{}
	e.n.openGate()
}

// over makes room: by evicting, while that helps by the estimate, and by having the
// engine give back what is dead. Where neither helps, writes are refused.
func (e *evictor) over(ctx context.Context, m *MaxMemory, data, limit int64) {
	e.look()
	alive, target := e.alive(), limit-limit/allowanceSteps*e.allowance
	if m.Policy != keyspace.NoEviction && alive > target && !e.none {
		e.idleSince = time.Time{}
		e.evict(ctx, m, alive-target)
		return
	}
	now := time.Now()
	if e.idleSince.IsZero() {
		e.idleSince = now
		e.flush()
	}
	mem := &e.n.memory
	switch {
	case (m.Policy == keyspace.NoEviction || e.none) && alive > limit:
		// No compaction can help, however long the one under way takes.
	case now.Sub(e.idleSince) < patience, mem.compacting.Load():
		return
	case m.Policy != keyspace.NoEviction && !e.none && e.allowance < freeAllowance:
		e.allowance++
		e.idleSince = now
		return
	case e.reclaim(alive, limit):
		return
	}
	if m.Policy == keyspace.NoEviction || e.none {
		mem.full.Store(true)
		e.n.openGate() // what waits was accepted before
		if e.none && now.Sub(e.idleSince) > time.Second {
			e.none, e.idleSince = false, time.Time{} // there may be keys to evict by now
		}
		return
	}
	if now.Sub(e.reclaimed) < reclaimLater && e.allowance < allowanceSteps-1 {
		e.allowance++
		e.idleSince = now
	}
}

// alive estimates what the keys of all shards take.
func (e *evictor) alive() (sum int64) {
	for i := range e.samplers {
		sum += e.aliveIn(i)
	}
	return sum
}

func (e *evictor) aliveIn(i int) int64 {
	keys := int64(0)
	for _, c := range e.n.list()[i].Keyspace().Counts() {
		keys += c.Keys
	}
	return int64(float64(keys) * e.samplers[i].MeanBytes())
}

// read runs f over a shard as it is on this node.
func (e *evictor) read(i int, f func(tx *keyspace.Tx) error) {
	var tx keyspace.Tx
	err := e.n.list()[i].BeginRead(e.n.ctx, &tx, shard.ReadOptions{Stale: true})
	if err == nil {
		err = errors.Join(f(&tx), tx.Close())
	}
	if err != nil && e.n.ctx.Err() == nil {
		e.n.o.Logger.Error("cannot sample keys", "shard", i, "err", err)
	}
}

// look has the samplers learn a little more about the sizes of keys.
func (e *evictor) look() {
	for i := range e.samplers {
		e.read(i, e.samplers[i].Look)
	}
}

// evict deletes keys of about that many bytes, of those shards that are led here.
func (e *evictor) evict(ctx context.Context, m *MaxMemory, bytes int64) {
	all, any := e.alive(), false
	for i := range e.samplers {
		s := &e.n.list()[i]
		if s.Group().Status().Leading && ctx.Err() == nil {
			share := int64(float64(bytes) * float64(e.aliveIn(i)) / float64(max(all, 1)))
			any = e.evictFrom(i, m, share) || any
		} else {
			any = true // another node's
		}
	}
	if e.none = !any; any {
		e.n.memory.full.Store(false)
	}
}

// evictFrom evicts from a shard, and reports whether there was anything.
func (e *evictor) evictFrom(i int, m *MaxMemory, bytes int64) (any bool) {
	s := &e.n.list()[i]
	began := time.Now()
	for bytes > 0 && time.Since(began) < watchDisk {
		var victims []keyspace.Victim
		want := min(max(int(float64(bytes)/max(e.samplers[i].MeanBytes(), 1)), 1), maxVictims)
		e.read(i, func(tx *keyspace.Tx) (err error) {
			victims, err = e.samplers[i].Victims(tx, m.Policy, want, m.Samples)
			return err
		})
		last := 0
		for last < len(victims) && bytes > 0 {
			bytes -= victims[last].Bytes
			last++
		}
		if last == 0 {
			return any
		}
		gone, err := s.Evict(victims[:last], m.Policy.Volatile())
		if err != nil {
			return true // the shard's leader has changed, or it cannot write: not for lack of keys
		}
		if gone == 0 {
			return any
		}
		any = true
	}
	return true
}

// flush has the engines write what is in memtables, so that deletions can meet what
// they delete.
func (e *evictor) flush() {
	if e.n.memory.compacting.Swap(true) {
		return
	}
	e.n.memory.closing.Go(func() {
		defer e.n.memory.compacting.Store(false)
		for i := range e.n.list() {
			e.n.logReclaim(e.n.list()[i].Flush())
		}
	})
}

// reclaim has the engines rewrite themselves, bit by bit, if that can give back much. It
// reports whether that is under way.
func (e *evictor) reclaim(alive, limit int64) bool {
	mem := &e.n.memory
	again := time.Since(e.reclaimed)
	if again < reclaimAgain || again < reclaimLater && alive > e.aliveThen-limit/allowanceSteps {
		return false
	}
	if alive > limit-limit/allowanceSteps {
		return false
	}
	mem.compacting.Store(true)
	mem.closing.Go(func() {
		defer mem.compacting.Store(false)
		stop := func() bool {
			data, other := e.n.weigh()
			m := e.n.bounded()
			return m == nil || e.n.ctx.Err() != nil || data < e.n.dataLimit(m, other)*15/16
		}
		for i := range e.n.list() {
			e.n.logReclaim(e.n.list()[i].CompactParts(reclaimParts, stop))
		}
	})
	e.reclaimed, e.aliveThen = time.Now(), alive
	return true
}

func (n *Node) logReclaim(err error) {
	if err != nil && n.ctx.Err() == nil {
		n.o.Logger.Warn("cannot give back the memory of deleted keys", "err", err)
	}
}

// tooSmall says that a replica's bound is below what its source has: a replica does not
// evict by itself, or it would not be one.
func (e *evictor) tooSmall(data, limit int64) {
	mem := &e.n.memory
	if time.Since(mem.warned) < tooSmallInterval {
		return
	}
	mem.warned = time.Now()
	e.n.o.Logger.Warn("maxmemory is too small for the data of the source: a replica evicts nothing by itself, and grows beyond it",
		"data", data, "limit", limit, "maxmemory", mem.max.Load().Bytes)
}

// shutGate has clients' writes wait.
func (n *Node) shutGate() {
	if n.memory.gate.Load() == nil {
		gate := make(chan struct{})
		n.memory.gate.Store(&gate)
	}
}

func (n *Node) openGate() {
	if gate := n.memory.gate.Swap(nil); gate != nil {
		close(*gate)
	}
}

// memoryGate is for shard.Options.Gate.
func (n *Node) memoryGate() <-chan struct{} {
	if gate := n.memory.gate.Load(); gate != nil {
		return *gate
	}
	return nil
}
