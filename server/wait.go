package server

import (
	"time"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// maxWaitMillis keeps a timeout within a time.Duration.
const maxWaitMillis = int64(1<<63-1) / int64(time.Millisecond)

// wait is WAIT numreplicas timeout: without replicas it lasts as long as the
// client asks for, and then none of them has anything. Like every blocking
// command it does not block inside EXEC.
func wait(c *Conn, x *command.Ctx) error {
	replicas, ok := keyspace.ParseInt(x.Args[1])
	if !ok {
		return resp.ErrNotInt
	}
	millis, ok := keyspace.ParseInt(x.Args[2])
	if !ok || millis > maxWaitMillis {
		return resp.ErrTimeoutNotInt
	}
	if millis < 0 {
		return resp.ErrTimeoutNegative
	}
	if replicas > 0 && !c.txn.running {
		if !c.muting() {
			c.flush() // the replies to what came before are not held back
		}
		c.srv.admin.blocked.Add(1)
		c.sleep(time.Duration(millis) * time.Millisecond)
		c.srv.admin.blocked.Add(-1)
		c.ws.spent = 0
	}
	x.Out.Int(0)
	return nil
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
