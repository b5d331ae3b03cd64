package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/resp"
	"dkv/server/acl"
	"dkv/server/command"
)

func init() { bind("client|unblock", clientUnblock) }

// blocking is a client's wait: in a command for keys (see Conn.block), or in WAIT.
type blocking struct {
	conn   *Conn
	ctx    context.Context // ends when the wait is to
	cancel context.CancelFunc
	timer  *time.Timer
	why    atomic.Int32 // a reason
	shown  atomic.Bool  // it counts as blocked

	mu struct {
		sync.Mutex
		spec   *command.Spec // of the command, nil when its arguments are not there any more
		args   [][]byte
		denial resp.Error // why it may not go on
	}
}

// Reasons why a wait is to end before what it waits for has come.
const (
	stillWaiting int32 = iota
	waitTimedOut
	waitUnblocked     // CLIENT UNBLOCK
	waitUnblockedFail // CLIENT UNBLOCK ERROR
	waitGone          // the connection is cut, or the client has closed its side
	waitClosing       // the server closes
	waitDenied        // the user has lost the right to the command
)

const errUnblocked resp.Error = "UNBLOCKED client unblocked via CLIENT UNBLOCK"

// beginBlocking readies the connection, which has left its loop, for waiting as long
// as timeout, for ever when that is 0. endBlocking must follow.
func (c *Conn) beginBlocking(timeout time.Duration) *blocking {
	c.share() // who waits cannot be asked
	b := &blocking{conn: c}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if timeout > 0 {
		b.timer = time.AfterFunc(timeout, func() { b.end(waitTimedOut) })
	}
	c.blocking.Store(b)
	// What ends waits may have happened just before.
	switch {
	case c.dead.Load() || c.sock != nil && c.sock.hungUp():
		b.end(waitGone)
	case c.srv.closing.Load():
		b.end(waitClosing)
	}
	return b
}

// endBlocking is called when the wait is over.
func (b *blocking) endBlocking() {
	c := b.conn
	c.blocking.Store(nil)
	b.mu.Lock()
	b.mu.spec, b.mu.args = nil, nil
	b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
	}
	b.cancel()
	if b.shown.Load() {
		c.setFlag(flagBlocked, false)
		c.srv.admin.blocked.Add(-1)
	}
	c.shared.active.Store(nanotime()) // it was not idle
}

// depend has the wait end when the user loses the right to the command.
func (b *blocking) depend(spec *command.Spec, args [][]byte) {
	b.mu.Lock()
	b.mu.spec, b.mu.args = spec, args
	b.mu.Unlock()
	if u := b.conn.account.Load().user.Load(); !u.All() {
		b.recheck(u) // it may have changed just before
	}
}

// recheck ends the wait unless the user may still wait.
func (b *blocking) recheck(u *acl.User) {
	b.mu.Lock()
	defer b.mu.Unlock()
	spec := b.mu.spec
	if spec == nil {
		return
	}
	why, arg := u.Check(spec, b.mu.args)
	if why == acl.Allowed || b.why.Load() != stillWaiting {
		return
	}
	value := b.mu.args[arg]
	b.mu.denial = resp.Error("NOPERM " + acl.Message(why, u, spec, value, false))
	if b.end(waitDenied) {
		b.conn.srv.users.note(b.conn.info(nil), why, contextTop, u.Name(), deniedObject(why, spec, value))
	}
}

// show has the client counted as blocked.
func (b *blocking) show() {
	if b.shown.CompareAndSwap(false, true) {
		b.conn.setFlag(flagBlocked, true)
		b.conn.srv.admin.blocked.Add(1)
	}
}

// end ends the wait; false: something else did.
func (b *blocking) end(why int32) bool {
	if !b.why.CompareAndSwap(stillWaiting, why) {
		return false
	}
	b.cancel()
	return true
}

// unblock ends the wait of a connection, if it is in one.
func (c *Conn) unblock(why int32) bool {
	b := c.blocking.Load()
	return b != nil && b.end(why)
}

// clientUnblock is CLIENT UNBLOCK client-id [TIMEOUT|ERROR].
func clientUnblock(c *Conn, x *command.Ctx) error {
	if len(x.Args) > 4 {
		return resp.ErrSubcommandSyntax(x.Args[1], "client")
	}
	why := waitUnblocked
	if len(x.Args) == 4 {
		switch {
		case equalFold(x.Args[3], "timeout"):
		case equalFold(x.Args[3], "error"):
			why = waitUnblockedFail
		default:
			return resp.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		}
	}
	id, err := parseInt(x.Args[2])
	if err != nil {
		return err
	}
	done := int64(0)
	if o := c.srv.clients.get(uint64(id)); o != nil && o.shared.flags.Load()&flagBlocked != 0 && o.unblock(why) {
		done = 1
	}
	x.Out.Int(done)
	return nil
}

// blockedCall is a command that may wait for keys, as a request to their shard. The
// shard's writer has a hand on it until it has an outcome, so it is not used again.
type blockedCall struct {
	shardRequest
	buf    resp.Writer
	denial resp.Error // with waitDenied
}

func newBlockedCall(s *Server, id raftlog.ShardID) *blockedCall {
	k := &blockedCall{}
	k.srv, k.shard, k.out, k.blocks, k.maxReply = s, id, &k.buf, true, maxTaskReply
	k.init()
	return k
}

// block runs a command that waits for keys until it is done or its time is over. The
// shard's writer parks it and runs it again when one of the keys has changed, in the
// batch of whoever changed it (shard.Task.Park). Who waits holds a goroutine and the
// request, and no workspace.
func (c *Conn) block(spec *command.Spec, args [][]byte, id raftlog.ShardID, timeout time.Duration) {
	c.finish()
	c.leave()
	k := newBlockedCall(c.srv, id)
	k.slots, k.noTouch, k.maxString, k.writer = c.ws.slots, c.noTouch, c.ws.maxStr, c.writerName()
	k.calls = []call{{spec: spec, args: args, db: c.db, proto: c.proto, shard: id}}
	told := c.told()
	c.release()
	c.flush() // the replies to what came before are not held back
	c.ws.last = spec
	c.show(spec, args) // before what it waits for
	c.publish()
	c.ws.release()

	b := c.beginBlocking(timeout)
	b.depend(spec, args)
	stopWatching := c.watchHangup(b)
	k.task.OnPark, k.task.Reads = b.show, spec.Flags&command.FlagWrite == 0
	if !c.srv.leads(id) {
		b.show() // nobody will tell when it is parked
	}
	k.submitBlocking(b.ctx)
	stopWatching()
	b.endBlocking()

	c.ws = takeWorkspace(c)
	mark := len(c.ws.out.Buf)
	k.denial = b.mu.denial
	c.conclusionOf(k, b.why.Load())
	c.toldWhileBlocked(spec, args, told)
	c.mute(mark)
}

// conclusionOf replies how a blocking command went.
func (c *Conn) conclusionOf(k *blockedCall, why int32) {
	ws, one := c.ws, &k.calls[0]
	c.hasWritten(&k.shardRequest)
	failed := true
	switch {
	case k.err == nil:
		ws.collect(&k.shardRequest)
		ws.out.Raw(k.reply(0))
		if failed = one.failed; failed {
			c.srv.stats.countError(errorLine(k.reply(0)))
		}
	case errors.Is(k.err, shard.ErrForcedOut):
		ws.error(taskErrorText(k.err))
		c.closing = true
	case !errors.Is(k.err, shard.ErrWithdrawn):
		ws.error(taskErrorText(k.err))
	case why == waitGone || why == waitClosing:
		c.closing = true
		return
	case why == waitDenied:
		ws.error(string(k.denial))
		c.srv.stats.Command(one.spec).Rejected.Add(1)
		return
	case why == waitUnblockedFail:
		ws.error(string(errUnblocked))
	default:
		failed = false
		ws.out.NullArray()
	}
	ws.count(one.spec, one.args, one.nanos, failed)
}

// submitBlocking is submit for a request that may be parked, until ctx ends.
func (r *shardRequest) submitBlocking(ctx context.Context) {
	r.done, r.aborted = r.from, false
	if r.slots != r.srv.slots() {
		r.err = errSlotsChanged
		return
	}
	r.run.Idempotent = !r.writes()
	r.ticket = r.srv.tickets.next()
	r.err = r.srv.node.RunParking(ctx, r.shard, &r.run, appendWithdrawal(nil, r.ticket))
}

// park has the request wait for the keys that its command wants.
func (r *shardRequest) park(x *command.Ctx) {
	wishes := make([]shard.Wish, len(x.Wishes))
	for i, w := range x.Wishes {
		wishes[i] = shard.Wish{DB: x.DB, Key: w.Key, Type: w.Type, Any: w.Any}
	}
	r.task.Park(wishes)
}
