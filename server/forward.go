package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// submit has the next part of the request done by its shard, here or by its
// leader, and sets err. It is sent once: Node.Run alone knows when nothing has
// happened and it may be sent again.
func (r *shardRequest) submit() {
	r.done, r.aborted = r.from, false
	if r.slots != r.srv.slots() {
		r.err = errSlotsChanged
		r.failed()
		return
	}
	r.run.Idempotent = !r.writes()
	r.err = r.srv.node.Run(r.srv.work, r.shard, &r.run)
	if r.err != nil {
		r.failed()
	}
}

// enqueue begins submit where this node leads the shard, and reports whether it
// does; await must follow.
func (r *shardRequest) enqueue() bool {
	if r.slots != r.srv.slots() || !r.srv.leads(r.shard) {
		return false
	}
	r.done, r.aborted = r.from, false
	r.warm()
	r.waiting = true
	r.srv.node.Shard(r.shard).Submit(&r.task)
	return true
}

// await ends what enqueue began. Nothing has happened when the shard says that
// it has another leader by now; then it is submit's.
func (r *shardRequest) await() {
	if !r.waiting {
		return
	}
	r.waiting = false
	if r.err = r.task.Wait(); errors.Is(r.err, shard.ErrNotLeader) {
		r.submit()
	} else if r.err != nil {
		r.failed()
	}
}

// failed forgets the replies of the part, none of which counts.
func (r *shardRequest) failed() {
	r.out.Buf = r.out.Buf[:r.mark]
	if r.done == r.from {
		r.done = len(r.calls) // it was refused as a whole
	}
}

func (r *shardRequest) encode() []byte {
	return appendRequest(make([]byte, 0, requestSize(r)), r)
}

// decode takes the leader's answer. The commands have been run: when it cannot be
// understood nobody here knows how they went.
func (r *shardRequest) decode(answer []byte) error {
	err := parseAnswer(r, answer)
	if err == nil {
		return nil
	}
	r.srv.log.Error("the answer of a shard's leader was not understood", "shard", r.shard, "bytes", len(answer))
	if r.writes() {
		return shard.ErrUncertain
	}
	return err
}

// errSlotsChanged is for a command that was routed before this node was added
// to a cluster, and would now go to the wrong shard.
const errSlotsChanged resp.Error = "CLUSTERDOWN The node has just joined a cluster, try again"

// execution is what running a forwarded request takes.
type execution struct {
	shardRequest
	buf resp.Writer
}

var executions = sync.Pool{New: func() any {
	e := new(execution)
	e.task.Eval = e.eval
	return e
}}

// execute is the cluster.Executor: it runs what another node has forwarded on
// this one, which leads the shard or refuses. Commands are counted where their
// client is.
func (s *Server) execute(ctx context.Context, id raftlog.ShardID, payload []byte) ([]byte, error) {
	e := executions.Get().(*execution)
	defer func() {
		if !e.blocks { // else it may be looked at yet: see blockedCall
			e.release()
		}
	}()
	e.srv, e.shard, e.out = s, id, &e.buf
	if err := parseRequest(&e.shardRequest, payload); err != nil {
		return nil, err
	}
	if err := e.represent(); err != nil {
		return nil, err
	}
	if e.withdraws {
		s.tickets.withdraw(e.ticket)
		return nil, nil
	}
	if e.kills != killNone {
		return appendKilled(nil, s.scripts.Kill(e.kills == killFunction)), nil
	}
	if !s.owns(id, &e.shardRequest) {
		return nil, errForward
	}
	local := s.node.Shard(id)
	if local == nil {
		return nil, shard.ErrNotLeader
	}
	if e.blocks {
		if err := e.runParking(ctx, local); err != nil {
			return nil, err
		}
	} else {
		e.warm()
		local.Submit(&e.task)
		if err := e.task.Wait(); err != nil {
			return nil, err
		}
	}
	about := answerSize(&e.shardRequest)
	if limit := s.node.MaxCallBytes(); about > limit {
		e.shorten(about-limit, limit)
		about = answerSize(&e.shardRequest)
	}
	return appendAnswer(make([]byte, 0, about), &e.shardRequest), nil
}

// represent sets who the calls of a forwarded request are run for.
func (e *execution) represent() error {
	callers := make([]*caller, len(e.onBehalf))
	for i, who := range e.onBehalf {
		var err error
		if callers[i], err = e.srv.users.foreign(who[0], who[1]); err != nil {
			return err
		}
	}
	if e.byCall == nil {
		if len(callers) > 0 {
			e.caller = callers[0]
		}
		return nil
	}
	for i, n := range e.byCall {
		if n > 0 {
			e.calls[i].as = callers[n-1]
		}
	}
	return nil
}

// shorten takes off so many bytes of the replies, or as many as it can: errors
// that say so take the place of those that are too much. The commands were carried
// out all the same, which is known, so that nothing is uncertain.
func (r *shardRequest) shorten(excess, limit int) {
	instead := fmt.Appendf(nil, "-REPLYTOOBIG The command was carried out, but the reply makes the answer exceed the limit of %d bytes for replies between nodes\r\n", limit)
	// The large ones go first: the fewest are lost then.
	largest := make([]int, 0, r.done-r.from)
	for i := r.from; i < r.done; i++ {
		if len(r.reply(i)) > len(instead) {
			largest = append(largest, i)
		}
	}
	slices.SortFunc(largest, func(a, b int) int { return len(r.reply(b)) - len(r.reply(a)) })
	lost := make(map[int]bool)
	for _, i := range largest {
		if excess <= 0 {
			break
		}
		excess -= len(r.reply(i)) - len(instead)
		lost[i] = true
	}
	b := r.out.Buf[:r.mark]
	start := r.mark
	for i := r.from; i < r.done; i++ {
		k := &r.calls[i]
		end := k.end
		if lost[i] {
			b = append(b, instead...) // shorter than what was there
			k.failed = true
		} else {
			b = append(b, r.out.Buf[start:end]...)
		}
		start, k.end = end, len(b)
	}
	r.out.Buf = b
}

// release gives the execution back.
func (e *execution) release() {
	if cap(e.buf.Buf) > maxKeptOutput {
		e.buf.Buf = nil
	}
	e.buf.Reset()
	clear(e.calls) // they point into the payload
	clear(e.argv)
	e.clear()
	e.trim()
	executions.Put(e)
}

// owns reports whether all keys of a request belong to a shard: another node
// must not have another idea of where they are.
func (s *Server) owns(id raftlog.ShardID, r *shardRequest) bool {
	slots := s.slots()
	if int(id) >= slots.Shards() {
		return false
	}
	if slots.Shards() == 1 {
		return true
	}
	for i := range r.watch {
		if slots.ShardOf(keyspace.SlotOf(r.watch[i].key)) != id {
			return false
		}
	}
	for i := range r.calls {
		k := &r.calls[i]
		for arg := range keyArgs(k.spec, k.args) {
			if slots.ShardOf(keyspace.SlotOf(k.args[arg])) != id {
				return false
			}
		}
	}
	return true
}

// leads reports whether this node leads a shard.
func (s *Server) leads(id raftlog.ShardID) bool {
	local := s.node.Shard(id)
	return local != nil && local.Group().Status().Leading
}

// keys are the positions of the keys that a writing call has in a row.
func (k *call) keys() iter.Seq[int] {
	return func(yield func(int) bool) {
		spec := k.spec
		if spec.FirstKey == 0 || spec.Flags&command.FlagWrite == 0 {
			return
		}
		last := spec.LastKey
		if last < 0 {
			last += len(k.args)
		}
		for arg := spec.FirstKey; arg <= last && arg < len(k.args) && yield(arg); arg += spec.KeyStep {
		}
	}
}

// warmElements looks up the elements that a call names.
func warmElements(tx *keyspace.Tx, e keyspace.Entry, spec *command.Spec, args [][]byte) error {
	if spec.ElementArg == 0 || !e.Exists() || e.Type == keyspace.TypeString {
		return nil
	}
	col, err := tx.Collection(e, e.Type)
	if err != nil || col.Inline() {
		return err
	}
	for i := spec.ElementArg; i < len(args); i += spec.ElementStep {
		if err := col.Warm(args[i]); err != nil {
			return err
		}
	}
	return nil
}
