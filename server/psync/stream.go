package psync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

const (
	// A batch of commands ends when it holds so much.
	batchBytes    = 1 << 20
	batchCommands = 4096
	// maxTransaction is what an entry of the log can hold.
	maxTransaction = 1 << 30
	// maxStringBytes is for the commands of the source, whose own limit may be any.
	maxStringBytes = 1 << 40
)

// evaluate runs f on the shard's writer as a step.
func (c *conversation) evaluate(ctx context.Context, step *shard.SourceStep, f func(tx *keyspace.Tx) error) error {
	t := shard.Task{Step: step, Eval: func(tx *keyspace.Tx) {
		tx.KeepExpired = true
		defer func() {
			if p := recover(); p != nil {
				c.l.Logger.Error("a command of the source panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				step.Err = errors.New("a failure of dkv, see its log")
			}
		}()
		step.Err = f(tx)
	}}
	return c.l.Local.Evaluate(ctx, &t)
}

// unit is a command, or a transaction, of which no part is applied alone.
type unit struct {
	calls []call
	bytes int
	end   raftlog.Index // the offset behind it
	db    int           // the database that is selected then
}

type call struct {
	spec *command.Spec
	args [][]byte
	db   int
}

// stream applies the commands that come through the spool.
func (c *conversation) stream(ctx context.Context, s *spool) error {
	st := &stream{c: c, ctx: ctx, base: c.next.Index, db: int(c.next.Term)}
	st.r.Limits = resp.Limits{MaxBulk: 1 << 30, MaxQuery: 2 << 30}
	defer st.r.Release()
	for {
		cmd, ok, err := st.r.Next()
		if err != nil {
			return errors.Join(fmt.Errorf("%w: %w", errProtocol, err), st.apply())
		}
		if ok {
			if err := st.take(cmd); err != nil {
				return errors.Join(err, st.apply())
			}
		}
		if st.bytes >= batchBytes || st.commands >= batchCommands || !ok {
			if err := st.apply(); err != nil {
				return err
			}
		}
		if ok {
			continue
		}
		if d := c.l.Interval(); d > 0 {
			if err := pause(ctx, min(d, c.l.Timeout()/2)); err != nil {
				return err
			}
		}
		before := st.r.Buffered()
		if err := st.r.Fill(s); err != nil {
			return err
		}
		st.received += raftlog.Index(st.r.Buffered() - before)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stream is the commands of a source on their way into the shard.
type stream struct {
	c        *conversation
	ctx      context.Context
	r        resp.Reader
	base     raftlog.Index // the offset at which the connection began
	received raftlog.Index // bytes since
	db       int           // that is selected

	units    []unit
	open     *unit // the transaction that has begun
	bytes    int
	commands int
	asked    bool // the source wants to be acknowledged
}

// offset is the offset behind the last command that was taken.
func (st *stream) offset() raftlog.Index {
	return st.base + st.received - raftlog.Index(st.r.Buffered())
}

// take adds a command to the batch.
func (st *stream) take(cmd resp.Command) error {
	name := strings.ToLower(string(cmd.Args[0]))
	switch name {
	case "multi":
		st.open = &unit{}
		return nil
	case "exec":
		if st.open == nil {
			return fmt.Errorf("%w: EXEC without MULTI", errProtocol)
		}
		u := st.open
		st.open = nil
		return st.close(u)
	case "select":
		n, ok := keyspace.ParseInt(bytes.Join(cmd.Args[1:], nil))
		if !ok || n < 0 || n >= keyspace.Databases {
			return fmt.Errorf("%w: SELECT %.20q", ErrUnsupported, bytes.Join(cmd.Args[1:], nil))
		}
		st.db = int(n)
	case "replconf":
		st.asked = st.asked || len(cmd.Args) > 1 && strings.EqualFold(string(cmd.Args[1]), "getack")
	case "ping", "publish", "spublish", "script":
		// Nothing that data depends on: scripts come as what they have done.
	default:
		k, err := st.call(cmd)
		if err != nil {
			return err
		}
		st.bytes += cmd.Size
		st.commands++
		if st.open != nil {
			st.open.calls = append(st.open.calls, k)
			if st.open.bytes += cmd.Size; st.open.bytes > maxTransaction {
				return fmt.Errorf("%w: a transaction of more than %d bytes", ErrUnsupported, maxTransaction)
			}
			return nil
		}
		return st.close(&unit{calls: []call{k}})
	}
	if st.open != nil {
		return nil
	}
	return st.close(&unit{})
}

// close ends a unit at the present offset.
func (st *stream) close(u *unit) error {
	u.end, u.db = st.offset(), st.db
	if len(u.calls) == 0 && len(st.units) > 0 {
		last := &st.units[len(st.units)-1]
		last.end, last.db = u.end, u.db
		return nil
	}
	st.units = append(st.units, *u)
	return nil
}

// call finds the row of a command and copies its arguments.
func (st *stream) call(cmd resp.Command) (call, error) {
	spec := command.Lookup(cmd.Args[0])
	if spec != nil && spec.Subcommands != nil && len(cmd.Args) > 1 {
		spec = spec.Sub(cmd.Args[1])
	}
	if spec == nil || spec.Handler == nil || spec.Flags&command.FlagWrite == 0 {
		return call{}, fmt.Errorf("%w: the command %.40q of its stream", ErrUnsupported, cmd.Args[0])
	}
	if !spec.GoodArity(len(cmd.Args)) {
		return call{}, fmt.Errorf("%w: %s with %d arguments", ErrUnsupported, spec.Name, len(cmd.Args)-1)
	}
	k := call{spec: spec, args: make([][]byte, len(cmd.Args)), db: st.db}
	for i, a := range cmd.Args {
		k.args[i] = bytes.Clone(a)
	}
	return k, nil
}

// apply evaluates the batch and writes down how far it leads. When a command fails,
// what was before it is applied all the same.
func (st *stream) apply() error {
	units, asked := st.units, st.asked
	st.units, st.bytes, st.commands, st.asked = nil, 0, 0, false
	if len(units) == 0 {
		return nil
	}
	failed, err := st.applyUnits(units)
	if err != nil && failed > 0 {
		_, before := st.applyUnits(units[:failed])
		return errors.Join(err, before)
	}
	if err == nil && asked {
		err = st.c.ack()
	}
	return err
}

// applyUnits evaluates units as one entry of the log. failed is the number of the one
// that failed, -1 when it was none of them.
func (st *stream) applyUnits(units []unit) (failed int, err error) {
	c := st.c
	last := &units[len(units)-1]
	to := c.next
	to.Index, to.Term = last.end, raftlog.Term(last.db)
	var out resp.Writer
	failed = -1
	err = c.evaluate(st.ctx, &shard.SourceStep{From: c.from, To: to}, func(tx *keyspace.Tx) error {
		for i := range units {
			for j := range units[i].calls {
				k := &units[i].calls[j]
				out.Buf = out.Buf[:0]
				x := command.Ctx{Args: k.args, DB: k.db, Tx: tx, Out: &out, Spec: k.spec, Limits: c.f.o.Limits, MaxStringLen: maxStringBytes}
				if err := k.spec.Handler(&x); err != nil {
					failed = i
					return fmt.Errorf("%w: the command %s of its stream: %w", ErrUnsupported, k.spec.Name, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return failed, err
	}
	c.from, c.next = to, to
	c.applied.Store(int64(to.Index))
	c.l.Update(func(s *replica.LinkStatus) { s.At = to.Index })
	return -1, nil
}
