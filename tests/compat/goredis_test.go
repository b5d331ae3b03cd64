package compat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// bothProtocols runs a test with a client of each protocol version on a server
// of its own.
func bothProtocols(t *testing.T, test func(t *testing.T, ctx context.Context, c *redis.Client)) {
	t.Helper()
	srv := harness.Dkv(t, "-fsync", "no")
	for _, protocol := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", protocol), func(t *testing.T) {
			c := redis.NewClient(&redis.Options{Addr: srv.Addr(), Protocol: protocol, MaxRetries: -1})
			t.Cleanup(func() { c.Close() })
			if err := c.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			test(t, t.Context(), c)
		})
	}
}

// command is what the typed results of go-redis have in common.
type command[T any] interface{ Result() (T, error) }

// want fails the test when a command's result is another.
func want[T comparable](t *testing.T, expected T, c command[T]) {
	t.Helper()
	if got, err := c.Result(); err != nil || got != expected {
		t.Errorf("%v\n got %v, %v\nwant %v", c, got, err, expected)
	}
}

// wantNil fails the test when a command finds something.
func wantNil[T any](t *testing.T, c command[T]) {
	t.Helper()
	if got, err := c.Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("%v\n got %v, %v\nwant nothing", c, got, err)
	}
}

// wantError fails the test when a command's error has another text.
func wantError[T any](t *testing.T, text string, c command[T]) {
	t.Helper()
	if got, err := c.Result(); err == nil || err.Error() != text {
		t.Errorf("%v\n got %v, %v\nwant error %q", c, got, err, text)
	}
}

// wantNear is want for times.
func wantNear(t *testing.T, expected time.Duration, c command[time.Duration]) {
	t.Helper()
	const tolerance = 3 * time.Second
	if got, err := c.Result(); err != nil || got > expected || got < expected-tolerance {
		t.Errorf("%v\n got %v, %v\nwant about %v", c, got, err, expected)
	}
}

func TestStrings(t *testing.T) {
	bothProtocols(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		want(t, "OK", c.Set(ctx, "k", "v", 0))
		want(t, "v", c.Get(ctx, "k"))
		wantNil(t, c.Get(ctx, "absent"))
		want(t, "OK", c.Set(ctx, "binary", "a\x00\r\n\xff", 0))
		want(t, "a\x00\r\n\xff", c.Get(ctx, "binary"))
		want(t, "OK", c.Set(ctx, "ttl", "v", time.Hour))
		wantNear(t, time.Hour, c.TTL(ctx, "ttl"))
		want(t, "OK", c.Set(ctx, "ttl", "w", redis.KeepTTL))
		wantNear(t, time.Hour, c.TTL(ctx, "ttl"))
		want(t, true, c.SetNX(ctx, "nx", "v", time.Minute))
		want(t, false, c.SetNX(ctx, "nx", "w", 0))
		want(t, true, c.SetXX(ctx, "nx", "x", 0))
		want(t, false, c.SetXX(ctx, "absent", "x", 0))
		want(t, "x", c.SetArgs(ctx, "nx", "y", redis.SetArgs{Get: true, Mode: "XX", ExpireAt: time.Now().Add(time.Hour)}))
		wantNil(t, c.SetArgs(ctx, "new", "y", redis.SetArgs{Get: true}))
		want(t, "OK", c.SetEx(ctx, "ex", "v", time.Minute))
		wantNear(t, time.Minute, c.PTTL(ctx, "ex"))
		want(t, "v", c.GetEx(ctx, "ex", time.Hour))
		wantNear(t, time.Hour, c.TTL(ctx, "ex"))
		want(t, "v", c.GetSet(ctx, "k", "w"))
		want(t, "w", c.GetDel(ctx, "k"))
		wantNil(t, c.GetDel(ctx, "k"))

		want(t, "OK", c.MSet(ctx, "a", 1, "b", "2"))
		if got, err := c.MGet(ctx, "a", "absent", "b").Result(); err != nil || !slices.Equal(got, []any{"1", nil, "2"}) {
			t.Errorf("MGET: %v, %v", got, err)
		}
		want(t, false, c.MSetNX(ctx, "b", 1, "d", 1))
		want(t, true, c.MSetNX(ctx, "e", 1, "f", 1))

		want(t, 1, c.Incr(ctx, "n"))
		want(t, 11, c.IncrBy(ctx, "n", 10))
		want(t, 10, c.Decr(ctx, "n"))
		want(t, -5, c.DecrBy(ctx, "n", 15))
		want(t, 2.5, c.IncrByFloat(ctx, "float", 2.5))
		want(t, 2.25, c.IncrByFloat(ctx, "float", -0.25))
		want(t, "OK", c.Set(ctx, "text", "abc", 0))
		wantError(t, "ERR value is not an integer or out of range", c.Incr(ctx, "text"))
		wantError(t, "ERR value is not a valid float", c.IncrByFloat(ctx, "text", 1))

		want(t, 6, c.Append(ctx, "text", "def"))
		want(t, 6, c.StrLen(ctx, "text"))
		want(t, "bcd", c.GetRange(ctx, "text", 1, 3))
		want(t, 8, c.SetRange(ctx, "text", 5, "XYZ"))
		want(t, "abcdeXYZ", c.Get(ctx, "text"))

		c.MSet(ctx, "lcs1", "ohmytext", "lcs2", "mynewtext")
		lcs, err := c.LCS(ctx, &redis.LCSQuery{Key1: "lcs1", Key2: "lcs2"}).Result()
		if err != nil || lcs.MatchString != "mytext" {
			t.Errorf("LCS: %+v, %v", lcs, err)
		}
		lcs, err = c.LCS(ctx, &redis.LCSQuery{Key1: "lcs1", Key2: "lcs2", Idx: true, MinMatchLen: 4, WithMatchLen: true}).Result()
		if err != nil || lcs.Len != 6 || len(lcs.Matches) != 1 || lcs.Matches[0].MatchLen != 4 || lcs.Matches[0].Key1.Start != 4 {
			t.Errorf("LCS IDX: %+v, %v", lcs, err)
		}
	})
}

func TestKeys(t *testing.T) {
	bothProtocols(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		c.MSet(ctx, "a", 1, "b", 2, "c", 3, "d", 4)
		want(t, 3, c.Exists(ctx, "a", "a", "b", "absent"))
		want(t, 1, c.Del(ctx, "a", "absent"))
		want(t, 1, c.Unlink(ctx, "b"))
		want(t, "string", c.Type(ctx, "c"))
		want(t, "none", c.Type(ctx, "absent"))
		want(t, 1, c.Touch(ctx, "c", "absent"))
		want(t, "OK", c.Rename(ctx, "c", "cc"))
		wantError(t, "ERR no such key", c.Rename(ctx, "c", "cc"))
		want(t, false, c.RenameNX(ctx, "cc", "d"))
		want(t, 1, c.Copy(ctx, "d", "dd", 0, false))
		want(t, 0, c.Copy(ctx, "d", "dd", 0, false))
		want(t, 1, c.Copy(ctx, "d", "dd", 3, true))
		want(t, true, c.Move(ctx, "d", 4))
		want(t, false, c.Move(ctx, "d", 4))
		keys, err := c.Keys(ctx, "*").Result()
		if slices.Sort(keys); err != nil || !slices.Equal(keys, []string{"cc", "dd"}) {
			t.Errorf("KEYS: %v, %v", keys, err)
		}
		want(t, 2, c.DBSize(ctx))
		if key, err := c.RandomKey(ctx).Result(); err != nil || !slices.Contains(keys, key) {
			t.Errorf("RANDOMKEY: %q, %v", key, err)
		}

		want(t, time.Duration(-1), c.TTL(ctx, "cc"))
		want(t, time.Duration(-2), c.TTL(ctx, "absent"))
		want(t, true, c.Expire(ctx, "cc", time.Hour))
		want(t, false, c.ExpireNX(ctx, "cc", time.Hour))
		want(t, true, c.ExpireXX(ctx, "cc", 2*time.Hour))
		want(t, false, c.ExpireGT(ctx, "cc", time.Hour))
		want(t, true, c.ExpireLT(ctx, "cc", time.Hour))
		want(t, true, c.PExpire(ctx, "cc", 90*time.Minute))
		wantNear(t, 90*time.Minute, c.PTTL(ctx, "cc"))
		at := time.Now().Add(time.Hour).Truncate(time.Second)
		want(t, true, c.ExpireAt(ctx, "cc", at))
		want(t, time.Duration(at.Unix())*time.Second, c.ExpireTime(ctx, "cc"))
		want(t, true, c.PExpireAt(ctx, "cc", at))
		want(t, time.Duration(at.UnixMilli())*time.Millisecond, c.PExpireTime(ctx, "cc"))
		want(t, true, c.Persist(ctx, "cc"))
		want(t, false, c.Persist(ctx, "cc"))

		want(t, "int", c.ObjectEncoding(ctx, "cc"))
		if idle, err := c.ObjectIdleTime(ctx, "cc").Result(); err != nil || idle > time.Minute {
			t.Errorf("OBJECT IDLETIME: %v, %v", idle, err)
		}
		if n, err := c.ObjectRefCount(ctx, "cc").Result(); err != nil || n < 1 {
			t.Errorf("OBJECT REFCOUNT: %v, %v", n, err)
		}
		if n, err := c.MemoryUsage(ctx, "cc").Result(); err != nil || n < 1 {
			t.Errorf("MEMORY USAGE: %v, %v", n, err)
		}
		want(t, "OK", c.FlushDB(ctx))
		want(t, 0, c.DBSize(ctx))
		want(t, "OK", c.FlushAllAsync(ctx))
	})
}

// An iterator of go-redis meets every key once at least.
func TestScanIterator(t *testing.T) {
	bothProtocols(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		const keys = 2500
		pipe := c.Pipeline()
		for i := range keys {
			pipe.Set(ctx, fmt.Sprintf("key:%d", i), i, 0)
			pipe.Set(ctx, fmt.Sprintf("other:%d", i), i, 0)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		for _, count := range []int64{0, 1, 7, 1000, 100_000} {
			seen := make(map[string]bool)
			it := c.Scan(ctx, 0, "key:*", count).Iterator()
			for it.Next(ctx) {
				seen[it.Val()] = true
			}
			if err := it.Err(); err != nil || len(seen) != keys {
				t.Errorf("COUNT %d: %d keys of %d, %v", count, len(seen), keys, err)
			}
		}
		seen := 0
		it := c.ScanType(ctx, 0, "*", 100, "string").Iterator()
		for it.Next(ctx) {
			seen++
		}
		if seen < 2*keys {
			t.Errorf("TYPE string: %d keys of %d", seen, 2*keys)
		}
	})
}

func TestPipelineAndTransaction(t *testing.T) {
	bothProtocols(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		const depth = 10_000
		results := make([]*redis.IntCmd, depth)
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range results {
				results[i] = p.Incr(ctx, "n")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			if r.Val() != int64(i+1) {
				t.Fatalf("reply %d is %d", i, r.Val())
			}
		}
		var get *redis.StringCmd
		_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "a", "1", 0)
			p.IncrBy(ctx, "a", 41)
			get = p.Get(ctx, "a")
			return nil
		})
		if err != nil || get.Val() != "42" {
			t.Errorf("transaction: %v, GET %q", err, get.Val())
		}
		// An error in the middle of a transaction does not stop it.
		_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "text", "abc", 0)
			p.Incr(ctx, "text")
			get = p.Get(ctx, "text")
			return nil
		})
		if err == nil || get.Val() != "abc" {
			t.Errorf("transaction with an error: %v, GET %q", err, get.Val())
		}
	})
}

// Optimistic loops with WATCH lose no increment.
func TestWatchLoop(t *testing.T) {
	bothProtocols(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		const goroutines, increments = 8, 40
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range increments {
					if err := watchIncrement(ctx, c, "counter"); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		want(t, fmt.Sprint(goroutines*increments), c.Get(ctx, "counter"))
	})
}

// watchIncrement adds one by reading, and writing when nobody else has written.
func watchIncrement(ctx context.Context, c *redis.Client, key string) error {
	const maxTries = 5000 // somebody makes progress in each
	for range maxTries {
		err := c.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, key).Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, key, n+1, 0)
				return nil
			})
			return err
		}, key)
		if !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
	return fmt.Errorf("not once in %d tries", maxTries)
}

func TestConnectionCommands(t *testing.T) {
	bothProtocols(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		want(t, "PONG", c.Ping(ctx))
		want(t, "hello", c.Echo(ctx, "hello"))
		conn := c.Conn()
		defer conn.Close()
		want(t, "OK", conn.Select(ctx, 7))
		want(t, true, conn.ClientSetName(ctx, "me"))
		want(t, "me", conn.ClientGetName(ctx))
		id, err := conn.ClientID(ctx).Result()
		if err != nil || id == 0 {
			t.Errorf("CLIENT ID: %d, %v", id, err)
		}
		info, err := conn.ClientInfo(ctx).Result()
		if err != nil || info.Name != "me" || info.DB != 7 || info.ID != id || info.LibName == "" && !harness.StandIn() {
			t.Errorf("CLIENT INFO: %+v, %v", info, err)
		}
		hello, err := conn.Hello(ctx, 3, "", "", "").Result()
		if err != nil || hello["server"] != "redis" || hello["proto"] != int64(3) {
			t.Errorf("HELLO: %v, %v", hello, err)
		}
		want(t, 0, c.ClientKillByFilter(ctx, "ID", "999999999"))
		want(t, true, c.ClientPause(ctx, time.Millisecond))
		want(t, true, c.ClientUnpause(ctx))
		other := redis.NewClient(&redis.Options{Addr: c.Options().Addr, DB: 7})
		defer other.Close()
		want(t, "OK", other.Set(ctx, "in7", "v", 0))
		wantNil(t, c.Get(ctx, "in7"))
		want(t, "v", conn.Get(ctx, "in7"))
	})
}

func TestServerCommands(t *testing.T) {
	bothProtocols(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		if now, err := c.Time(ctx).Result(); err != nil || time.Since(now).Abs() > time.Minute {
			t.Errorf("TIME: %v, %v", now, err)
		}
		want(t, "OK", c.ConfigSet(ctx, "slowlog-log-slower-than", "0"))
		config, err := c.ConfigGet(ctx, "slowlog-log-*").Result()
		if err != nil || config["slowlog-log-slower-than"] != "0" {
			t.Errorf("CONFIG GET: %v, %v", config, err)
		}
		c.Echo(ctx, "slow")
		slow, err := c.SlowLogGet(ctx, 10).Result()
		if err != nil || !slices.ContainsFunc(slow, func(s redis.SlowLog) bool { return slices.Contains(s.Args, "slow") }) {
			t.Errorf("SLOWLOG GET: %v, %v", slow, err)
		}
		want(t, "OK", c.ConfigSet(ctx, "slowlog-log-slower-than", "10000"))
		want(t, "OK", c.ConfigResetStat(ctx))
		want(t, "OK", c.Save(ctx))
		if at, err := c.LastSave(ctx).Result(); err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
			t.Errorf("LASTSAVE: %v, %v", at, err)
		}
		commands, err := c.Command(ctx).Result()
		if err != nil || commands["get"] == nil || !commands["get"].ReadOnly || commands["get"].Arity != 2 ||
			commands["set"] == nil || commands["set"].ReadOnly || commands["mset"].StepCount != 2 {
			t.Errorf("COMMAND: %d commands, get %+v, %v", len(commands), commands["get"], err)
		}
		names, err := c.CommandList(ctx, &redis.FilterBy{Pattern: "mset*"}).Result()
		if slices.Sort(names); err != nil || !slices.Equal(names, []string{"mset", "msetnx"}) {
			t.Errorf("COMMAND LIST: %v, %v", names, err)
		}
		keys, err := c.CommandGetKeys(ctx, "mset", "a", "1", "b", "2").Result()
		if err != nil || !slices.Equal(keys, []string{"a", "b"}) {
			t.Errorf("COMMAND GETKEYS: %v, %v", keys, err)
		}
		if info, err := c.InfoMap(ctx, "server", "keyspace").Result(); err != nil || info["Server"]["redis_version"] == "" {
			t.Errorf("INFO: %v, %v", info, err)
		}
		want(t, 0, c.Wait(ctx, 0, time.Millisecond))
	})
}

// A client with the wrong password, or none, gets nothing; with the right one
// it works, by AUTH and inside HELLO.
func TestPassword(t *testing.T) {
	srv := harness.Dkv(t, "-requirepass", "secret")
	ctx := t.Context()
	for _, protocol := range []int{2, 3} {
		for password, expected := range map[string]string{
			"secret": "", "": "NOAUTH Authentication required.",
			"wrong": "WRONGPASS invalid username-password pair or user is disabled.",
		} {
			c := redis.NewClient(&redis.Options{Addr: srv.Addr(), Protocol: protocol, Password: password, MaxRetries: -1})
			err := c.Set(ctx, "k", "v", 0).Err()
			if expected == "" && err != nil || expected != "" && (err == nil || err.Error() != expected) {
				t.Errorf("RESP%d, password %q: %v, want %q", protocol, password, err, expected)
			}
			c.Close()
		}
	}
}

// A client's connections come back by themselves after a restart.
func TestReconnect(t *testing.T) {
	srv := harness.Dkv(t)
	ctx := t.Context()
	c := redis.NewClient(&redis.Options{Addr: srv.Addr()})
	defer c.Close()
	want(t, "OK", c.Set(ctx, "k", "v", 0))
	srv.Kill()
	srv.MustStart(t)
	want(t, "v", c.Get(ctx, "k"))
}
