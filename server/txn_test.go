package server

import (
	"fmt"
	"sync"
	"testing"
)

func TestTransactions(t *testing.T) {
	s := startServer(t)
	tests := []struct{ name, send, want string }{
		{"writes", "multi\r\nset tx:a 1\r\nincr tx:a\r\nget tx:a\r\nexec\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n:2\r\n$1\r\n2\r\n"},
		{"reads", "multi\r\nget tx:a\r\nexists tx:a tx:b\r\nexec\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n2\r\n:1\r\n"},
		{"empty", "multi\r\nexec\r\n", "+OK\r\n*0\r\n"},
		{"nested", "multi\r\nmulti\r\nwatch a\r\nexec\r\ndiscard\r\n", "+OK\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n*0\r\n-ERR DISCARD without MULTI\r\n"},
		{"without multi", "exec\r\ndiscard\r\nunwatch\r\n", "-ERR EXEC without MULTI\r\n-ERR DISCARD without MULTI\r\n+OK\r\n"},
		{"discard", "multi\r\nset tx:a 9\r\ndiscard\r\nget tx:a\r\n", "+OK\r\n+QUEUED\r\n+OK\r\n$1\r\n2\r\n"},
		{"bad command", "multi\r\nfoo\r\nset tx:a 9\r\nexec\r\nget tx:a\r\n", "+OK\r\n-ERR unknown command 'foo', with args beginning with: \r\n+QUEUED\r\n-EXECABORT Transaction discarded because of previous errors.\r\n$1\r\n2\r\n"},
		{"bad arity", "multi\r\nget\r\nexec\r\nexec\r\n", "+OK\r\n-ERR wrong number of arguments for 'get' command\r\n-EXECABORT Transaction discarded because of previous errors.\r\n-ERR EXEC without MULTI\r\n"},
		{"exec with arguments", "multi\r\nset tx:a 9\r\nexec a\r\nget tx:a\r\n", "+OK\r\n+QUEUED\r\n-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n$1\r\n2\r\n"},
		{"failing command", "multi\r\nset tx:s x\r\nincr tx:s\r\nset tx:t 1\r\nexec\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n"},
		{"connection commands", "multi\r\nping\r\nselect 5\r\nset tx:five 1\r\necho e\r\nclient getname\r\nexec\r\nexists tx:five\r\nselect 0\r\nexists tx:five\r\n",
			"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*5\r\n+PONG\r\n+OK\r\n+OK\r\n$1\r\ne\r\n$-1\r\n:1\r\n+OK\r\n:0\r\n"},
		{"protocol change", "multi\r\nhello 3 foo\r\nget none\r\nmonitor\r\nexec\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n-ERR Syntax error in HELLO option 'foo'\r\n$-1\r\n-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n"},
		{"not in a transaction", "multi\r\nsave\r\nexec\r\n", "+OK\r\n-ERR Command not allowed inside a transaction\r\n-EXECABORT Transaction discarded because of previous errors.\r\n"},
		{"several in one pipeline", "multi\r\nincr tx:n\r\nexec\r\nmulti\r\nincr tx:n\r\nexec\r\n", "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n+OK\r\n+QUEUED\r\n*1\r\n:2\r\n"},
		{"quit", "multi\r\nset tx:q 1\r\nquit\r\n", "+OK\r\n+QUEUED\r\n+OK\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dial(t, s).roundTrip(tt.send, tt.want)
		})
	}
}

func TestWatch(t *testing.T) {
	s := startServer(t)
	a, b := dial(t, s), dial(t, s)
	abort := func(name, setup, between, want string) {
		t.Helper()
		b.do("flushall")
		b.do("set", "w", "1")
		a.send(setup)
		for range count(setup, "\r\n") {
			a.reply()
		}
		if between != "" {
			b.send(between)
			for range count(between, "\r\n") {
				b.reply()
			}
		}
		a.roundTrip("multi\r\nset w2 x\r\nexec\r\n", "+OK\r\n+QUEUED\r\n"+want)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	const aborted, done = "*-1\r\n", "*1\r\n+OK\r\n"
	abort("unchanged", "watch w\r\n", "", done)
	abort("changed by another", "watch w\r\n", "set w 2\r\n", aborted)
	abort("changed by itself", "watch w\r\nset w 2\r\n", "", aborted)
	abort("created", "watch new\r\n", "set new 1\r\n", aborted)
	abort("deleted", "watch w\r\n", "del w\r\n", aborted)
	abort("unwatched", "watch w\r\nunwatch\r\n", "set w 2\r\n", done)
	abort("discarded", "watch w\r\nmulti\r\ndiscard\r\n", "set w 2\r\n", done)
	abort("other key", "watch w\r\n", "set other 2\r\n", done)
	abort("other database", "watch w\r\n", "select 1\r\nset w 2\r\nselect 0\r\n", done)
	abort("flushed", "watch w\r\n", "flushall\r\n", aborted)
	abort("several", "watch x w y\r\n", "set y 2\r\n", aborted)
}

func count(s, sub string) (n int) {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			n++
		}
	}
	return n
}

// TestWatchCounts increments a counter by optimistic transactions from several
// clients: no increment may be lost.
func TestWatchCounts(t *testing.T) {
	s := startServer(t)
	dial(t, s).do("set", "wc", "0")
	const clients, each = 8, 50
	var wg sync.WaitGroup
	for range clients {
		c := dial(t, s)
		wg.Go(func() {
			for n := 0; n < each; {
				c.do("watch", "wc")
				var length, v int
				if _, err := fmt.Sscanf(c.do("get", "wc"), "$%d\r\n%d\r\n", &length, &v); err != nil {
					t.Error(err)
					return
				}
				c.do("multi")
				c.do("set", "wc", fmt.Sprint(v+1))
				if c.do("exec") == "*1\r\n+OK\r\n" {
					n++
				}
			}
		})
	}
	wg.Wait()
	want := fmt.Sprint(clients * each)
	if got := dial(t, s).do("get", "wc"); got != fmt.Sprintf("$%d\r\n%s\r\n", len(want), want) {
		t.Errorf("the counter is %q, want %s", got, want)
	}
}

// TestTransactionsAreAtomic moves amounts between two keys while readers check
// that the sum never shows a transaction half done.
func TestTransactionsAreAtomic(t *testing.T) {
	s := startServer(t)
	dial(t, s).do("mset", "ta:a", "1000", "ta:b", "1000")
	var wg sync.WaitGroup
	for range 2 {
		c := dial(t, s)
		wg.Go(func() {
			for range 300 {
				c.send("multi\r\ndecr ta:a\r\nincr ta:b\r\nexec\r\n")
				for range 4 {
					c.reply()
				}
			}
		})
		r := dial(t, s)
		wg.Go(func() {
			for range 300 {
				for _, words := range []string{"mget ta:a ta:b\r\n", "multi\r\nget ta:a\r\nget ta:b\r\nexec\r\n"} {
					r.send(words)
					var got string
					for range count(words, "\r\n") {
						got = r.reply()
					}
					var a, b, la, lb int
					if _, err := fmt.Sscanf(got, "*2\r\n$%d\r\n%d\r\n$%d\r\n%d\r\n", &la, &a, &lb, &b); err != nil || a+b != 2000 {
						t.Errorf("%q: %q (%v)", words, got, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestTransactionTooLong(t *testing.T) {
	s := startServer(t, "client-query-buffer-limit", "1048576")
	c := dial(t, s)
	c.roundTrip("multi\r\n", "+OK\r\n")
	value := string(make([]byte, 300000))
	for range 3 {
		c.roundTrip(request("set", "tl", value), "+QUEUED\r\n")
	}
	c.send(request("set", "tl", value))
	c.expectEOF()
	if n := s.stats.QueryLimitKills.Load(); n != 1 {
		t.Errorf("%d connections closed by the limit", n)
	}
}

// A client may watch any number of keys, each of them once: who watches many has them
// found by a map, since looking through 60000 for each of 60000 takes a minute.
func TestWatchMany(t *testing.T) {
	s := startServer(t)
	a, b := dial(t, s), dial(t, s)
	keys := []string{"watch"}
	for i := range 20000 {
		keys = append(keys, fmt.Sprint("many:", i%16000))
	}
	const aborted, done = "*-1\r\n", "*1\r\n+PONG\r\n"
	// A key that is not among so many may count as one of them: changes are kept by hash.
	for _, key := range []string{"many:3", "many:15999"} {
		a.do(keys...)
		b.do("set", key, "x")
		a.roundTrip("multi\r\nping\r\nexec\r\n", "+OK\r\n+QUEUED\r\n"+aborted)
	}
	a.do(keys...)
	a.do("unwatch")
	b.do("set", "many:3", "y")
	a.roundTrip("multi\r\nping\r\nexec\r\n", "+OK\r\n+QUEUED\r\n"+done)

	x := &txn{}
	for i := range 100 {
		for db := range 2 {
			key := fmt.Append(nil, i)
			if x.watches(db, key) {
				t.Fatalf("key %d of database %d is watched already", i, db)
			}
			if x.add(watched{db: db, key: key}); !x.watches(db, key) || x.watches(2, key) {
				t.Fatalf("key %d of database %d", i, db)
			}
		}
	}
	if len(x.watch) != 200 || len(x.seen) != 200 {
		t.Errorf("%d keys, %d in the map", len(x.watch), len(x.seen))
	}
}
