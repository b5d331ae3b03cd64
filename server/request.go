package server

import (
	"fmt"
	"runtime/debug"

	"dkv/cluster"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/cluster/slot"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// call is a command on keys that waits to be run.
type call struct {
	spec  *command.Spec
	args  [][]byte
	db    int
	proto int // of its reply: 2 or 3
	// refused is why EXEC does not run it; "": it does.
	refused resp.Error
	shard   raftlog.ShardID // that it belongs to
	// as is who it is run for, where an AUTH before it in its transaction changes that;
	// nil: see shardRequest.caller.
	as *caller

	// How it went.
	shown  bool  // to monitors, see Conn.showInTurn
	nanos  int64 // it took
	end    int   // where its reply ends in its request's output
	failed bool
}

// shardRequest is what one shard is asked to do at once: a run of calls, or a whole
// transaction. It is evaluated on the writer of the shard's leader: here, or on
// another node, which gets it as forward_codec.go draws it and evaluates it by
// the same code.
//
// A long run is done in parts: evaluation ends early when the replies become
// large, and the request is submitted again for the rest.
type shardRequest struct {
	srv   *Server
	shard raftlog.ShardID
	slots slot.Map // by which the shard was chosen

	calls     []call
	from      int       // calls before it were done by earlier parts
	watch     []watched // of a transaction
	noTouch   bool
	caller    *caller    // who it is done for; nil: somebody who may do everything
	writer    writerName // that changes are noted with; zero: none
	maxString int64      // bytes, see command.Ctx
	// onBehalf are name and rules of the callers of a forwarded request: of one for all calls,
	// or with byCall of those that calls number, from 1.
	onBehalf [][2][]byte
	byCall   []int
	maxReply int // bytes; the call that reaches it is the last of its part; 0: no limit

	// out is where the replies go, after mark. Invariant: what stands before
	// mark is left alone, what comes after it counts only once submit has
	// returned nil.
	out  *resp.Writer
	mark int

	// How the part went.
	done         int  // calls before it are done
	aborted      bool // a watched key has changed: nothing was run
	hits, misses uint64
	err          error // of the part, see Node.Run
	lost         error // why reads of a failed part cannot be run by themselves

	sent   int         // calls whose replies have reached the client's output
	own    resp.Writer // out, when replies of several requests are put together
	argv   [][]byte    // what the args of parsed calls are parts of
	warmer warmer      // for warm
	x      command.Ctx
	task   shard.Task
	run    cluster.Request

	waiting bool // task is in the shard's queue
	warmed  bool // its keys were looked up together with others'

	// blocks: the one call may wait for keys, see Conn.block; ticket then names the
	// request. withdraws: it is no request, the one with that ticket is withdrawn. kills: it
	// is none either, a script or function is to be ended.
	blocks, withdraws bool
	kills             killKind
	before            func(k *call) // if set, called before each call that is evaluated on this node
	ticket            ticket
}

// newRequest returns an empty request. It is reused: what it needs to be
// submitted is made once.
func newRequest(id raftlog.ShardID) *shardRequest {
	r := &shardRequest{shard: id}
	r.init()
	return r
}

func (r *shardRequest) init() {
	r.task.Eval = r.eval
	r.run = cluster.Request{Task: &r.task, Encode: r.encode, Decode: r.decode}
}

// clear forgets the calls and how they went.
func (r *shardRequest) clear() {
	r.calls, r.argv = r.calls[:0], r.argv[:0]
	r.watch, r.caller, r.onBehalf, r.byCall = nil, nil, nil, nil
	r.from, r.sent, r.done, r.mark = 0, 0, 0, 0
	r.aborted, r.err, r.lost = false, nil, nil
	r.blocks, r.withdraws, r.kills, r.before, r.warmed = false, false, killNone, nil, false
	r.own.Reset()
}

// trim gives back what a large request took.
func (r *shardRequest) trim() {
	if cap(r.own.Buf) > maxKeptOutput {
		r.own.Buf = nil
	}
	if cap(r.calls) > maxKeptCalls {
		r.calls = nil
	}
	if cap(r.argv) > maxKeptCalls {
		r.argv = nil
	}
	r.x.Args, r.x.Tx, r.out = nil, nil, nil
}

// eval runs the calls on the shard's writer, while who submitted the request
// waits. It may be called again, when leadership was lost in between and nothing
// has happened.
func (r *shardRequest) eval(tx *keyspace.Tx) {
	r.out.Buf = r.out.Buf[:r.mark]
	r.done, r.aborted = r.from, false
	r.hits, r.misses = 0, 0
	if r.changed(tx) {
		r.aborted = true
		return
	}
	hits, misses := tx.Hits, tx.Misses
	tx.NoTouch = r.noTouch
	if r.writer != (writerName{}) {
		tx.SetWriter(r.writer[:])
		defer tx.SetWriter(nil)
	}
	r.srv.limitReply(r.out, r.mark)
	defer r.out.Limit(0, nil)
	began := nanotime()
	for r.done < len(r.calls) && (r.maxReply == 0 || len(r.out.Buf)-r.mark < r.maxReply) {
		k := &r.calls[r.done]
		if r.before != nil {
			r.before(k)
		}
		k.failed = r.write(tx, k)
		k.end = len(r.out.Buf)
		now := nanotime()
		k.nanos, began = now-began, now
		r.done++
		if r.maxReply != 0 { // not within a transaction
			r.task.Settle()
			began = nanotime()
		}
	}
	tx.NoTouch = false
	r.hits, r.misses = tx.Hits-hits, tx.Misses-misses
}

// changed reports whether a watched key has changed since, or expired.
func (r *shardRequest) changed(tx *keyspace.Tx) bool {
	for i := range r.watch {
		w := &r.watch[i]
		if tx.Changed(w.db, w.key, w.since) {
			return true
		}
		if expired, err := tx.ExpiredSince(w.db, w.key, w.at); expired || err != nil {
			return true
		}
	}
	return false
}

// write runs a call in a write Tx. What a failed one had done and replied is
// undone.
func (r *shardRequest) write(tx *keyspace.Tx, k *call) (failed bool) {
	x := &r.x
	x.Spec, x.Args, x.DB, x.Tx, x.Out, x.MaxStringLen = k.spec, k.args, k.db, tx, r.out, r.maxString
	x.Limits = &r.srv.config.Encodings
	x.MaxKept = r.srv.config.CommandMemoryLimit.Load()
	x.MayWait = r.blocks
	x.Sharded = r.srv.slots().Shards() > 1
	x.Scripts, x.Shard = r.srv.scripts, int(r.shard)
	x.Users = &r.srv.users
	r.callerOf(k).of(x)
	r.out.Proto = k.proto
	mark, before := tx.Mark(), len(r.out.Buf)
	if r.maxReply != 0 {
		r.srv.limitReply(r.out, before)
	}
	err := r.srv.guard(x)
	if err == nil {
		if err = r.srv.replied(r.out, nil); err == nil {
			return false
		}
		r.srv.limitReply(r.out, r.mark)
	}
	if !command.Keeps(err) {
		tx.Rollback(mark)
	}
	r.out.Buf = r.out.Buf[:before]
	if err == command.ErrWait {
		if x.Again != nil {
			k.args, x.Again = x.Again, nil
		}
		r.park(x)
		return false
	}
	r.out.Error(errorText(err))
	return true
}

// writes reports whether any of the calls that are left may change data.
func (r *shardRequest) writes() bool {
	for i := r.from; i < len(r.calls); i++ {
		if spec := r.calls[i].spec; spec.Flags&command.FlagWrite != 0 || spec.MayWrite || spec.Effect != nil {
			return true
		}
	}
	return false
}

// reply returns the reply to call i of the part that was done last.
func (r *shardRequest) reply(i int) []byte {
	start := r.mark
	if i > r.from {
		start = r.calls[i-1].end
	}
	return r.out.Buf[start:r.calls[i].end]
}

// guard runs a keyspace handler and turns its panic into an error.
func (s *Server) guard(x *command.Ctx) (err error) {
	defer s.recovered(&err, x)
	if x.Spec.Handler == nil {
		return x.Spec.Effect(x)
	}
	return x.Spec.Handler(x)
}

// recovered is deferred around handlers: a bug in one of them fails its
// command, not the node.
func (s *Server) recovered(err *error, x *command.Ctx) {
	p := recover()
	if p == nil {
		return
	}
	s.log.Error("a command panicked", "command", x.Spec.Name, "args", len(x.Args), "panic", fmt.Sprint(p),
		"stack", string(debug.Stack()))
	*err = resp.ErrInternal
}
