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

// evaluate runs f on a shard's writer as a step.
func (c *conversation) evaluate(ctx context.Context, i int, step *shard.SourceStep, f func(tx *keyspace.Tx) error) error {
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
	return c.locals[i].Evaluate(ctx, &t)
}

// unit is a command, or a transaction, of which no shard applies a part alone, unless
// one of its commands crosses shards.
type unit struct {
	calls []call
	bytes int
}

type call struct {
	spec *command.Spec
	args [][]byte
	db   int
	end  raftlog.Index // the offset behind it
}

// stream applies the commands that come through the spool.
func (c *conversation) stream(ctx context.Context, s *spool) error {
	st := &stream{c: c, ctx: ctx, base: c.next.Index, db: int(c.next.Term)}
	st.batch.begin(len(c.at), c.next)
	st.r.Limits = resp.Limits{MaxBulk: 1 << 30, MaxQuery: 2 << 30}
	defer st.r.Release()
	err := st.run(s)
	return errors.Join(err, st.finish())
}

func (st *stream) run(s *spool) error {
	c, ctx := st.c, st.ctx
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
		// Whoever is behind takes whole batches: an entry of the log costs the same for one
		// command as for a thousand.
		full := st.bytes >= batchBytes || st.commands >= batchCommands
		more := ok || s.waits()
		if full || !more {
			if err := st.apply(); err != nil {
				return err
			}
		}
		if ok {
			continue
		}
		if d := c.l.Interval(); d > 0 && !more {
			if err := pause(ctx, min(d, c.l.Timeout()/2)); err != nil {
				return err
			}
		}
		before := st.r.Buffered()
		if err := st.r.Fill(s); err != nil {
			return errors.Join(err, st.apply())
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

// stream is the commands of a source on their way into the shards.
type stream struct {
	c        *conversation
	ctx      context.Context
	r        resp.Reader
	base     raftlog.Index // the offset at which the connection began
	received raftlog.Index // bytes since
	db       int           // that is selected

	batch    batch
	open     *unit // the transaction that has begun
	bytes    int
	commands int
	asked    bool // the source wants to be acknowledged
	ended    bool // an EXEC has come
	failed   bool // nothing more is applied
	levelled time.Time
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
		u := st.open
		if u == nil && (len(st.c.at) == 1 || st.ended) {
			return fmt.Errorf("%w: EXEC without MULTI", errProtocol)
		}
		if u == nil {
			u = &unit{} // several shards may go on within a transaction
		}
		st.open, st.ended = nil, true
		return st.close(u)
	case "select":
		n, ok := keyspace.ParseInt(bytes.Join(cmd.Args[1:], nil))
		if !ok || n < 0 || n >= keyspace.Databases {
			return fmt.Errorf("%w: SELECT %.20q", ErrUnsupported, bytes.Join(cmd.Args[1:], nil))
		}
		st.db = int(n)
	case "replconf":
		st.asked = st.asked || len(cmd.Args) > 1 && strings.EqualFold(string(cmd.Args[1]), "getack")
	case "ping", "publish", "spublish", "script", "pfcount":
		// Nothing that data depends on: scripts come as what they have done, and PFCOUNT
		// when the source has kept the count beside the HyperLogLog.
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
	k := call{spec: spec, args: make([][]byte, len(cmd.Args)), db: st.db, end: st.offset()}
	held := make([]byte, 0, cmd.Size) // which is more than the arguments have
	for i, a := range cmd.Args {
		from := len(held)
		held = append(held, a...)
		k.args[i] = held[from:len(held):len(held)]
	}
	return k, nil
}
