package cluster

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/engine/enginetest"
	"dkv/engine/keyspace"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// dialForeign connects to a source that is no dkv: it knows PING, and not what a
// replica of dkv says.
func dialForeign(context.Context, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		r := bufio.NewReader(there)
		for {
			args, err := readTestCommand(r)
			if err != nil {
				return
			}
			reply := "-ERR Unrecognized REPLCONF option: " + strings.Join(args, " ") + "\r\n"
			if args[0] == "PING" {
				reply = "+PONG\r\n"
			}
			if _, err := there.Write([]byte(reply)); err != nil {
				return
			}
		}
	}()
	return here, nil
}

// openForeign opens a node that follows such a source by foreign.
func openForeign(fs vfs.FS, mode raftlog.FsyncMode, foreign replica.Foreign) (*Node, error) {
	return Open(Options{
		Dir: "data", FS: fs, Fsync: mode, Shards: 1,
		MemtableBytes: 64 << 10, LogSegmentBytes: 32 << 10, LogRetainBytes: -1, MaxLogBytes: 64 << 10, BlockCacheBytes: 1 << 20,
		ReserveDiskBytes: -1,
		Follow:           FollowOptions{Addrs: []string{"foreign:1"}, Dial: dialForeign, Foreign: foreign},
	})
}

const foreignHistory = "redis 0123456789"

// foreignChain is a step of the chain as a source brings it.
func foreignChain(ctx context.Context, l *replica.ForeignLink, i int) error {
	from, _ := l.Local.Source()
	step := &shard.SourceStep{From: from, To: shard.SourcePosition{History: foreignHistory}}
	step.To.Index = raftlog.Index(i)
	t := shard.Task{Step: step, Eval: func(tx *keyspace.Tx) {
		putString(tx, "seq", strconv.Itoa(i))
		putString(tx, "k"+strconv.Itoa(i%chainKeys), strconv.Itoa(i))
	}}
	return l.Local.Evaluate(ctx, &t)
}

// TestForeignCrashAnywhere: what a source has brought and how far that is are never
// apart, whatever a crash takes.
func TestForeignCrashAnywhere(t *testing.T) {
	for _, mode := range []raftlog.FsyncMode{raftlog.FsyncAlways, raftlog.FsyncNo} {
		t.Run(mode.String(), func(t *testing.T) {
			rng := seedOf(t)
			mem := enginetest.NewCrashFS()
			c := &crasher{mem: mem, rng: rand.New(rand.NewPCG(rng.Uint64(), 3)), every: 7}
			done := make(chan error, 1)
			var once atomic.Bool
			n, err := openForeign(errorfs.Wrap(mem, c), mode, func(ctx context.Context, l *replica.ForeignLink) (bool, error) {
				if !once.Swap(true) {
					var err error
					for i := 1; i <= 400 && err == nil; i++ {
						c.begun.Store(int64(i))
						err = foreignChain(ctx, l, i)
						c.acked.Store(int64(i))
					}
					done <- err
				}
				<-ctx.Done()
				return true, ctx.Err()
			})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			points := c.take()
			most := 100
			if testing.Short() {
				most = 30
			}
			for _, p := range points {
				if len(points) <= most || rng.IntN(len(points)) < most {
					checkForeignPoint(t, p, mode)
				}
			}
		})
	}
}

func checkForeignPoint(t *testing.T, p crashPoint, mode raftlog.FsyncMode) {
	t.Helper()
	n, err := openForeign(p.fs, mode, func(ctx context.Context, _ *replica.ForeignLink) (bool, error) {
		<-ctx.Done()
		return false, ctx.Err()
	})
	if err != nil {
		t.Fatalf("crash before %s: restart: %v", p.op, err)
	}
	defer n.Close()
	last := checkChain(t, n)
	if mode == raftlog.FsyncAlways && last < p.acked || last > p.begun {
		t.Fatalf("crash before %s: step %d is there, %d was acknowledged and %d had begun", p.op, last, p.acked, p.begun)
	}
	at, ok := n.Shard(0).Source()
	if ok != (last > 0) || ok && (at.History != foreignHistory || int(at.Index) != last) {
		t.Fatalf("crash before %s: step %d is there, the place is %+v, %v", p.op, last, at, ok)
	}
}

// TestForeignPartial: what was loaded in part is gone when nobody is followed any more.
func TestForeignPartial(t *testing.T) {
	loaded := make(chan error, 1)
	n, err := openForeign(vfs.NewMem(), raftlog.FsyncAlways, func(ctx context.Context, l *replica.ForeignLink) (bool, error) {
		partial := shard.PartialPosition()
		t := shard.Task{Step: &shard.SourceStep{Anew: true, To: partial}, Eval: func(tx *keyspace.Tx) { putString(tx, "part", "1") }}
		err := l.Local.Evaluate(ctx, &t)
		wrong := shard.Task{Step: &shard.SourceStep{To: partial}, Eval: func(tx *keyspace.Tx) { putString(tx, "wrong", "1") }}
		if got := l.Local.Evaluate(ctx, &wrong); err == nil && !errors.Is(got, shard.ErrSourceMoved) {
			err = errors.New("a step from another place was taken")
		}
		failing := &shard.SourceStep{From: partial, To: shard.SourcePosition{History: foreignHistory}}
		failed := errors.New("failed")
		bad := shard.Task{Step: failing, Eval: func(tx *keyspace.Tx) {
			putString(tx, "wrong", "1")
			failing.Err = failed
		}}
		if got := l.Local.Evaluate(ctx, &bad); err == nil && !errors.Is(got, failed) {
			err = errors.New("a step that failed was taken")
		}
		loaded <- err
		<-ctx.Done()
		return true, ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	at, _ := n.Shard(0).Source()
	if v, found := getString(t, n, "part"); !at.Partial() || !found || v != "1" {
		t.Fatalf("at %+v, %q", at, v)
	}
	if _, found := getString(t, n, "wrong"); found {
		t.Error("what failed was written")
	}
	if err := n.Unfollow(); err != nil {
		t.Fatal(err)
	}
	if _, found := getString(t, n, "part"); found {
		t.Error("what was loaded in part is served")
	}
	if _, ok := n.Shard(0).Source(); ok {
		t.Error("it still has a place")
	}
	if got := n.Keyspace().Counts()[0].Keys; got != 0 {
		t.Errorf("%d keys", got)
	}
}

// TestForeignShards: one link follows for all shards, and when one has a part only, what
// all have is deleted when nobody is followed any more.
func TestForeignShards(t *testing.T) {
	const shards = 3
	library := "library:lib"
	loaded := make(chan error, 1)
	var calls atomic.Int64
	n, err := Open(Options{
		Dir: "data", FS: vfs.NewMem(), Shards: shards, ReserveDiskBytes: -1,
		Follow: FollowOptions{Addrs: []string{"foreign:1"}, Dial: dialForeign, Foreign: func(ctx context.Context, l *replica.ForeignLink) (bool, error) {
			if calls.Add(1) == 1 {
				loaded <- fillPart(ctx, l, library)
			}
			<-ctx.Done()
			return true, ctx.Err()
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	if f, ok := n.Following(); !ok || len(f.Links) != 1 {
		t.Errorf("%d links are told of", len(f.Links))
	}
	if err := n.Unfollow(); err != nil {
		t.Fatal(err)
	}
	for i := range shards {
		s := n.Shard(raftlog.ShardID(i))
		if keys := s.Keyspace().Counts()[0].Keys; keys != 0 {
			t.Errorf("shard %d has %d keys", i, keys)
		}
		if _, ok := s.Source(); ok {
			t.Errorf("shard %d still has a place", i)
		}
		err := n.readState(t.Context(), raftlog.ShardID(i), func(tx *keyspace.Tx) error {
			if _, found, err := tx.ScriptRecord(nil, library); err != nil || found {
				t.Errorf("shard %d has the functions: %v", i, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if calls.Load() != 1 {
		t.Errorf("%d links followed", calls.Load())
	}
}

// fillPart loads all shards, of which the second one is not done.
func fillPart(ctx context.Context, l *replica.ForeignLink, library string) error {
	if l.Shard != 0 || len(l.All) != l.Shards {
		return errors.New("not the first link, or not all shards")
	}
	for i, local := range l.All {
		step := &shard.SourceStep{Anew: true, To: shard.SourcePosition{History: foreignHistory}}
		if i == 1 {
			step.To = shard.PartialPosition()
		}
		t := shard.Task{Step: step, Eval: func(tx *keyspace.Tx) {
			putString(tx, "part", "1")
			tx.PutScriptRecord(library, []byte("code"))
		}}
		if err := local.Evaluate(ctx, &t); err != nil {
			return err
		}
		err := l.Read(ctx, raftlog.ShardID(i), func(tx *keyspace.Tx) error {
			if _, found, err := tx.ScriptRecord(nil, library); err != nil || !found {
				return errors.New("what was written is not read")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
