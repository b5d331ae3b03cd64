package server

import (
	"context"
	"errors"
	"time"

	"dkv/cluster/raftlog"
	"dkv/resp"
	"dkv/server/command"
	"dkv/server/script"
)

func init() {
	bind("script|kill", func(c *Conn, x *command.Ctx) error { return killScript(c, x, killRunning) })
	bind("function|kill", func(c *Conn, x *command.Ctx) error { return killScript(c, x, killFunction) })
}

// killKind is what is to be ended: a script of EVAL, or a function.
type killKind uint8

const (
	killNone killKind = iota
	killRunning
	killFunction
)

// killScript ends a script, or a function, on this node or on one that leads a shard: these run
// what clients of all nodes have sent, and hold up all of them.
func killScript(c *Conn, x *command.Ctx, kind killKind) error {
	err := c.srv.scripts.Kill(kind == killFunction)
	if err != nil && !c.txn.running { // in EXEC nothing waits for another node
		err = c.killElsewhere(kind, err)
	}
	if err != nil {
		return err
	}
	x.Out.OK()
	return nil
}

// killElsewhere asks the leaders of the shards in turn, until one has ended something. here is
// what this node has said; the error is the first that tells of something that runs.
func (c *Conn) killElsewhere(kind killKind, here error) error {
	all, cancel := c.context()
	defer cancel()
	ctx, stop := context.WithTimeout(all, killTimeout)
	defer stop()
	payload := appendKill(nil, kind)
	for i := range c.srv.node.Shards() {
		id := raftlog.ShardID(i)
		if c.srv.leads(id) {
			continue
		}
		answer, err := c.srv.node.AskLeader(ctx, id, payload)
		switch {
		case err != nil:
			err = resp.Error(taskErrorText(err))
		case len(answer) == 0: // this node leads since now
			err = c.srv.scripts.Kill(kind == killFunction)
		case string(answer) != killedAnswer:
			err = resp.Error(answer)
		}
		if err == nil {
			return nil
		}
		if errors.Is(here, script.ErrNotBusy) {
			here = err
		}
	}
	return here
}

// appendKill appends the request that ends a script or function, see appendRequest.
func appendKill(b []byte, kind killKind) []byte {
	flags := byte(requestKillsScript)
	if kind == killFunction {
		flags = requestKillsFunction
	}
	return append(b, forwardVersion, flags)
}

// killKindOf is the inverse, given the flags of a request.
func killKindOf(flags byte) killKind {
	switch flags {
	case requestKillsScript:
		return killRunning
	case requestKillsFunction:
		return killFunction
	}
	return killNone
}

// killTimeout bounds how long the leaders of all shards are looked for and asked.
const killTimeout = 5 * time.Second

// killedAnswer is the answer when something was ended; else it is the error.
const killedAnswer = "+"

// appendKilled appends the answer.
func appendKilled(b []byte, err error) []byte {
	if err == nil {
		return append(b, killedAnswer...)
	}
	return append(b, errorText(err)...)
}
