package server

import (
	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
)

// maxWarmTogether is how many keys are looked up at once, but for those of one call.
const maxWarmTogether = 256

// warmer looks up the keys that requests to one shard will change, so that the
// shard's writer finds their records in memory: lookups run on many goroutines, the
// writer is one. And the engine takes less for several keys than for each by itself.
type warmer struct {
	requests []*shardRequest
	look     keyspace.Tx
	names    keyspace.Keys
}

// warm looks up what the requests will change, and forgets them. A failure here says
// nothing; the writer will meet it again.
func (w *warmer) warm(s *Server, id raftlog.ShardID) {
	defer func() {
		clear(w.requests)
		w.requests = w.requests[:0]
	}()
	if !s.node.Warms() || !s.leads(id) {
		return
	}
	defer func() {
		if err := w.look.Close(); err != nil {
			s.log.Error("cannot end a read", "err", err)
		}
	}()
	if err := s.node.Read(s.work, id, &w.look, cluster.ReadOptions{Stale: true}); err != nil {
		return
	}
	w.names.Reset()
	for _, r := range w.requests {
		for i := r.from; i < len(r.calls); i++ {
			if w.expect(&r.calls[i]) != nil || w.names.Len() >= maxWarmTogether && w.lookUp() != nil {
				return
			}
		}
	}
	if w.lookUp() != nil {
		return
	}
	for _, r := range w.requests {
		if w.lookUpElements(r) != nil {
			return
		}
	}
}

// expect notes the keys that a call will change, or that a script is given; but not those
// that lookUpElements looks at.
func (w *warmer) expect(k *call) error {
	spec, args := k.spec, k.args
	if spec.MayWrite {
		for arg := range keyArgs(spec, args) {
			if err := w.look.Expect(&w.names, k.db, args[arg]); err != nil {
				return err
			}
		}
		return nil
	}
	if spec.ElementArg != 0 {
		return nil
	}
	for arg := range k.keys() {
		if err := w.look.Expect(&w.names, k.db, args[arg]); err != nil {
			return err
		}
	}
	return nil
}

// lookUp looks up the keys that were noted.
func (w *warmer) lookUp() error {
	err := w.look.Warm(&w.names)
	w.names.Reset()
	return err
}

// lookUpElements looks up the collections that a request's calls will change, and the
// elements that they name.
func (w *warmer) lookUpElements(r *shardRequest) error {
	for i := r.from; i < len(r.calls); i++ {
		k := &r.calls[i]
		if k.spec.ElementArg == 0 || k.spec.MayWrite {
			continue
		}
		for arg := range k.keys() {
			e, err := w.look.Inspect(k.db, k.args[arg])
			if err == nil {
				err = warmElements(&w.look, e, k.spec, k.args)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// warm looks up what the request will change, unless that was done with others'.
func (r *shardRequest) warm() {
	if r.warmed {
		r.warmed = false
		return
	}
	r.warmer.requests = append(r.warmer.requests[:0], r)
	r.warmer.warm(r.srv, r.shard)
}

// warmTogether is warm for the requests that connections have collected.
func (w *warmer) warmTogether(s *Server, list []*Conn) {
	var shards uint64
	for _, c := range list {
		for _, r := range c.ws.active {
			shards |= 1 << r.shard
		}
	}
	for id := raftlog.ShardID(0); shards != 0; id, shards = id+1, shards>>1 {
		if shards&1 == 0 {
			continue
		}
		for _, c := range list {
			if c.ws.has(id) {
				r := c.ws.requests[id]
				r.warmed = true
				w.requests = append(w.requests, r)
			}
		}
		w.warm(s, id)
	}
}
