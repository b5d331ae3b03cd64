package server

import (
	"time"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("wait", wait)
	bind("waitaof", waitAOF)
}

// maxWaitMillis keeps a timeout within a time.Duration.
const maxWaitMillis = int64(1<<63-1) / int64(time.Millisecond)

// wait is WAIT numreplicas timeout: it lasts until that many replicas have applied
// what this node had when it was asked, which is all that the client has written and
// more. Like every blocking command it does not block inside EXEC.
func wait(c *Conn, x *command.Ctx) error {
	replicas, ok := keyspace.ParseInt(x.Args[1])
	if !ok {
		return resp.ErrNotInt
	}
	timeout, err := parseWait(x.Args[2])
	if err != nil {
		return err
	}
	if c.srv.node.Follows() {
		return resp.Error("ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.")
	}
	upTo, err := c.written()
	if err != nil {
		return err
	}
	n, err := c.awaitReplicas(upTo, false, replicas, timeout)
	if err == nil {
		x.Out.Int(n)
	}
	return err
}

// waitAOF is WAITAOF numlocal numreplicas timeout. The log is the AOF: the local
// part is done by syncing it, and a replica says what it has on its disk.
func waitAOF(c *Conn, x *command.Ctx) error {
	local, ok := keyspace.ParseInt(x.Args[1])
	if !ok || local < 0 || local > 1 {
		return resp.Error("ERR value is out of range, must be between 0 and 1")
	}
	replicas, ok := keyspace.ParseInt(x.Args[2])
	if !ok || replicas < 0 {
		return resp.Error("ERR value is out of range, must be positive")
	}
	timeout, err := parseWait(x.Args[3])
	if err != nil {
		return err
	}
	switch {
	case c.srv.node.Follows():
		return resp.Error("ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.")
	case local > 0 && c.srv.node.Diskless():
		return resp.Error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
	}
	upTo, err := c.written()
	if err != nil {
		return err
	}
	synced := int64(0)
	if !c.srv.node.Diskless() {
		if local > 0 {
			c.leave()
			if err := c.srv.node.SyncLog(); err != nil {
				return err
			}
			synced = 1
		} else if c.srv.node.LogSynced() {
			synced = 1
		}
	}
	n, err := c.awaitReplicas(upTo, true, replicas, timeout)
	if err != nil {
		return err
	}
	x.Out.Array(2)
	x.Out.Int(synced)
	x.Out.Int(n)
	return nil
}

// parseWait reads a timeout in milliseconds; zero is for ever.
func parseWait(arg []byte) (time.Duration, error) {
	millis, ok := keyspace.ParseInt(arg)
	if !ok || millis > maxWaitMillis {
		return 0, resp.ErrTimeoutNotInt
	}
	if millis < 0 {
		return 0, resp.ErrTimeoutNegative
	}
	return time.Duration(millis) * time.Millisecond, nil
}

// written returns how far each shard is, which is at least as far as this client has
// written: for a shard that another node leads that takes a read barrier.
func (c *Conn) written() ([]raftlog.Index, error) {
	upTo := make([]raftlog.Index, c.srv.node.Shards())
	for i := range upTo {
		id := raftlog.ShardID(i)
		if c.wrote>>id&1 != 0 && !c.srv.node.ReadsAtOnce(id) && !c.txn.running {
			c.leave()
			if err := c.srv.node.Barrier(c.srv.work, id); err != nil {
				return nil, resp.Error(taskErrorText(err))
			}
		}
		if s := c.srv.node.Shard(id); s != nil {
			upTo[i] = s.Applied()
		}
	}
	return upTo, nil
}

// awaitReplicas waits until want replicas have got that far, for no longer than
// timeout, and returns how many have. The error is CLIENT UNBLOCK's.
func (c *Conn) awaitReplicas(upTo []raftlog.Index, durable bool, want int64, timeout time.Duration) (int64, error) {
	source := c.srv.node.Source()
	changed := source.Changed()
	n := int64(source.Has(upTo, durable))
	if n >= want || c.txn.running {
		return n, nil
	}
	c.leave()
	if !c.muting() {
		c.flush() // the replies to what came before are not held back
	}
	b := c.beginBlocking(timeout)
	b.show()
	defer b.endBlocking()
	defer func() { c.ws.spent = 0 }()
	for {
		select {
		case <-changed:
		case <-b.ctx.Done():
			if b.why.Load() == waitUnblockedFail {
				return 0, errUnblocked
			}
			return int64(source.Has(upTo, durable)), nil
		}
		changed = source.Changed()
		if n = int64(source.Has(upTo, durable)); n >= want {
			return n, nil
		}
	}
}

// sleep holds the connection for d, for ever when d is 0, or until it is cut
// or the server closes.
func (c *Conn) sleep(d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-c.cut:
	case <-c.srv.done:
	}
}
