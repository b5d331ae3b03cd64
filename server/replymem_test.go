package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

const tooLarge = "-ERR the reply is larger than command-memory-limit (1048576 bytes)\r\n"

// A reply that would be too large is an error, whichever way it is made; nothing has been
// changed then, and the connection goes on.
func TestReplyLimit(t *testing.T) {
	for _, loops := range []string{"0", "1"} {
		s := startServer(t, "event-loops", loops, "command-memory-limit", "1mb")
		c := dial(t, s)
		value := strings.Repeat("v", 400_000)
		for i := range 3 {
			c.roundTrip(request("SET", fmt.Sprint("k", i), value), "+OK\r\n")
			c.do("RPUSH", "l", value)
			c.do("SADD", "s", fmt.Sprint(i)+value)
			c.do("ZADD", "z", "1", fmt.Sprint(i)+value)
			c.do("HSET", "h", fmt.Sprint(i), value)
			c.do("XADD", "x", "*", "f", value)
		}
		whole := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
		c.roundTrip(request("MGET", "k0", "k1"), "*2\r\n"+whole+whole)
		for _, words := range [][]string{
			{"MGET", "k0", "k1", "k2"}, {"LRANGE", "l", "0", "-1"}, {"SMEMBERS", "s"}, {"SINTER", "s", "s"}, {"SUNION", "s", "none"},
			{"ZRANGE", "z", "0", "-1", "WITHSCORES"}, {"HGETALL", "h"}, {"HVALS", "h"}, {"HMGET", "h", "0", "1", "2", "0"},
			{"XRANGE", "x", "-", "+"}, {"XREAD", "STREAMS", "x", "0"}, {"SSCAN", "s", "0"}, {"SRANDMEMBER", "s", "-3"},
			{"LPOP", "l", "3"}, {"SPOP", "s", "3"}, {"ZPOPMIN", "z", "3"}, {"LMPOP", "1", "l", "LEFT", "COUNT", "3"},
			{"EVAL", "return {KEYS[1], redis.call('mget', 'k0'), redis.call('mget', 'k1'), redis.call('mget', 'k2')}", "1", "k0"},
			{"EVAL_RO", "return {redis.call('get', 'k0'), redis.call('get', 'k0'), redis.call('get', 'k0')}", "0"},
		} {
			c.roundTrip(request(words...), tooLarge)
		}
		for _, words := range [][]string{{"LLEN", "l"}, {"SCARD", "s"}, {"ZCARD", "z"}} {
			c.roundTrip(request(words...), ":3\r\n")
		}
		// In a pipeline each reply has its own room, between writes as well.
		c.send(strings.Repeat(request("GET", "k0")+request("INCR", "n"), 5))
		for i := range 5 {
			c.expect(whole + fmt.Sprintf(":%d\r\n", i+1))
		}
		testTransactionLimit(t, c, whole)
	}
}

// In a transaction the commands whose replies have no room fail, and only these.
func testTransactionLimit(t *testing.T, c *client, value string) {
	t.Helper()
	begin := func(lines ...string) {
		c.roundTrip(request("MULTI"), "+OK\r\n")
		for _, line := range lines {
			c.roundTrip(request(strings.Fields(line)...), "+QUEUED\r\n")
		}
	}
	begin("GET k0", "GET k1", "GET k2", "EXISTS k0")
	c.roundTrip(request("EXEC"), "*4\r\n"+value+value+tooLarge+":1\r\n")
	begin("SET m 1", "GETDEL k0", "GETDEL k1", "GETDEL k2", "SET m 2")
	c.roundTrip(request("EXEC"), "*5\r\n+OK\r\n"+value+value+tooLarge+"+OK\r\n")
	c.roundTrip(request("GET", "m"), "$1\r\n2\r\n")
	c.roundTrip(request("EXISTS", "k0", "k1", "k2"), ":1\r\n")
	begin("SET m 3", "GET k2", "PING", "GET k2", "GET k2", "PING")
	c.roundTrip(request("EXEC"), "*6\r\n+OK\r\n"+value+"+PONG\r\n"+value+tooLarge+"+PONG\r\n")
}

// The same across shards and nodes.
func TestReplyLimitOfCluster(t *testing.T) {
	servers := startCluster(t, 3, 2, "command-memory-limit", "1mb")
	c := dial(t, servers[0])
	value := strings.Repeat("v", 400_000)
	mget := []string{"MGET"}
	for i := range 6 {
		key := fmt.Sprint("k", i)
		c.roundTrip(request("SET", key, value), "+OK\r\n")
		mget = append(mget, key)
	}
	for range 3 {
		c.do("RPUSH", "{a}l", value)
		c.do("RPUSH", "{b}l", value)
	}
	for _, s := range servers {
		c := dial(t, s)
		c.roundTrip(request(mget...), tooLarge)
		for _, words := range [][]string{{"LRANGE", "{a}l", "0", "-1"}, {"LRANGE", "{b}l", "0", "-1"}, {"LPOP", "{a}l", "3"}, {"LPOP", "{b}l", "3"}} {
			c.roundTrip(request(words...), tooLarge)
		}
		c.roundTrip(request("LLEN", "{a}l"), ":3\r\n")
		c.roundTrip(request("LLEN", "{b}l"), ":3\r\n")
	}
}

// Clients that ask for more than they read, or send halves of requests, take no more than
// maxmemory-clients together: those that take the most are cut. Others are served.
func TestClientMemory(t *testing.T) {
	const limit = 64 << 20
	for _, loops := range []string{"0", "1"} {
		s := startServer(t, "event-loops", loops, "maxmemory-clients", "64mb")
		c := dial(t, s)
		c.roundTrip(request("SET", "big", strings.Repeat("v", 8<<20)), "+OK\r\n")
		most := int64(0)
		served := func() bool {
			c.roundTrip(request("PING"), "+PONG\r\n")
			most = max(most, s.taken.Load())
			return s.stats.ClientsEvicted.Load() > 0
		}
		for range 4 {
			deaf := dial(t, s)
			go func() {
				_, _ = deaf.Write([]byte(strings.Repeat(request("MGET", "big", "big", "big"), 20))) // until it is cut
			}()
		}
		eventually(t, "a client that does not read is cut", served)
		s.stats.Reset()
		half := strings.Repeat("x", 20<<20)
		for range 4 {
			slow := dial(t, s)
			go func() {
				_, _ = io.WriteString(slow, fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", 30<<20)+half)
			}()
		}
		eventually(t, "a client that does not finish is cut", served)
		if most > limit+limit/2 {
			t.Errorf("clients took %d MiB", most>>20)
		}
		c.send("CLIENT KILL TYPE normal SKIPME yes\r\n")
		c.reply()
		eventually(t, "nothing is taken any more", func() bool { return s.taken.Load() == 0 })
		c.roundTrip(request("PING"), "+PONG\r\n")
	}
}

// What is counted for a client is given back, whatever it has done.
func TestClientMemoryIsGivenBack(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	value := strings.Repeat("v", 3<<20)
	c.roundTrip(request("SET", "big", value), "+OK\r\n")
	c.roundTrip(request("SUBSCRIBE", "ch"), "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n")
	c.roundTrip(request("UNSUBSCRIBE", "ch"), "*3\r\n$11\r\nunsubscribe\r\n$2\r\nch\r\n:0\r\n")
	for range 3 {
		c.send(strings.Repeat(request("MGET", "big", "big"), 10))
		for range 10 {
			c.expect("*2\r\n" + strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", len(value), value), 2))
		}
	}
	c.roundTrip("MULTI\r\n", "+OK\r\n")
	c.roundTrip(request("SET", "k", value), "+QUEUED\r\n")
	eventually(t, "the transaction is counted", func() bool { return s.taken.Load() > int64(len(value)) })
	c.roundTrip("DISCARD\r\n", "+OK\r\n")
	eventually(t, "nothing is taken", func() bool { return s.taken.Load() == 0 })
}

// Close does not wait for ever for a command that does not end.
func TestCloseWhileBusy(t *testing.T) {
	defer func(d time.Duration) { stopGrace = d }(stopGrace)
	stopGrace = 10 * time.Millisecond
	s := startServer(t)
	release := make(chan struct{})
	s.running.Go(func() { <-release })
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want %v", err, ErrBusy)
	}
	close(release)
}
