package command

import (
	"strconv"
	"strings"
	"testing"

	"dkv/engine/keyspace"
)

// reap runs the reaper until it has nothing left to do now.
func (c *client) reap() {
	c.tb.Helper()
	for more := true; more; {
		c.store.Write(func(tx *keyspace.Tx) {
			var err error
			if _, c.reaped, more, err = c.store.Keyspace().Reap(tx, c.reaped, 100); err != nil {
				c.tb.Fatal(err)
			}
			c.reaped = append([]byte(nil), c.reaped...)
		})
	}
}

func TestFieldExpiry(t *testing.T) {
	const missing, positive, above, match = "-ERR Mandatory argument FIELDS is missing or not at the right position", "-ERR Number of fields must be a positive integer",
		"-ERR Parameter `numFields` should be greater than 0", "-ERR The `numfields` parameter must match the number of arguments"
	c := newClient(t)
	now := strconv.FormatInt(c.store.Now/1000, 10)
	c.expect(
		"hset h a 1 b 2 c 3", "3", "hexpire h 100 FIELDS 2 a none", "[1 -2]", "httl h FIELDS 3 a b none", "[100 -1 -2]", "hpttl h FIELDS 1 a", "[100000]", "hexpire none 100 FIELDS 2 a b", "[-2 -2]", "httl none FIELDS 1 a", "[-2]",
		"hexpire h 200 NX FIELDS 2 a b", "[0 1]", "hexpire h 300 XX FIELDS 2 a c", "[1 0]", "hexpire h 250 GT FIELDS 3 a b c", "[0 1 0]", "hexpire h 280 LT FIELDS 3 a b c", "[1 0 1]", "httl h FIELDS 3 a b c", "[280 250 280]",
		"hpexpire h 1500 FIELDS 1 a", "[1]", "httl h FIELDS 1 a", "[2]", "hpttl h FIELDS 1 a", "[1500]", "hexpireat h "+now+" FIELDS 1 c", "[2]", "hget h c", "nil", "hlen h", "2", "hpexpireat h 4000000000000 FIELDS 1 a", "[1]",
		"hexpiretime h FIELDS 1 a", "[4000000000]", "hpexpiretime h FIELDS 2 a none", "[4000000000000 -2]", "hpersist h FIELDS 3 a a none", "[1 -1 -2]", "httl h FIELDS 1 a", "[-1]",
		"hexpire h 100 FIELDS 1 a", "[1]", "hset h a 5", "0", "httl h FIELDS 1 a", "[-1]", "hexpire h 100 FIELDS 1 a", "[1]", "hincrby h a 3", "8", "httl h FIELDS 1 a", "[100]", "hincrbyfloat h a 0.5", "8.5", "httl h FIELDS 1 a", "[100]",
		"copy h g", "1", "httl g FIELDS 2 a b", "[100 250]", "rename g r", "+OK", "httl r FIELDS 2 a b", "[100 250]", "move r 1", "1",
		"hexpire h 0 FIELDS 2 a b", "[2 2]", "exists h", "0", "set s v", "+OK", "hexpire s 1 FIELDS 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "httl s FIELDS 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"hset h a 1", "1", "hexpire h -1 FIELDS 1 a", "-ERR invalid expire time, must be >= 0", "hexpire h x FIELDS 1 a", "-ERR value is not an integer or out of range", "hexpire h 99999999999 FIELDS 1 a", "-ERR invalid expire time in 'hexpire' command",
		"hpexpireat h 70368744177664 FIELDS 1 a", "-ERR invalid expire time in 'hpexpireat' command", "hpexpireat h 70368744177663 FIELDS 1 a", "[1]", "hexpire h 1 FIELD 1 a", missing, "hexpire h 1 NX XX FIELDS 1 a", missing,
		"hexpire h 1 FIELDS 0 a", above, "hexpire h 1 FIELDS x a", above, "hexpire h 1 FIELDS 2 a", match, "hexpire h 1 FIELDS 1 a b", match, "httl h NX 1 a", missing, "httl h FIELDS 0 a", positive, "httl h FIELDS 2 a", match, "hpersist h FIELDS x a", positive,
		"hexpire h 1 NX FIELDS 1", match, "hexpire h 1 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command",
	)
	c.db = 1
	c.expect("httl r FIELDS 2 a b", "[100 250]")
}

func TestHgetexHsetex(t *testing.T) {
	c := newClient(t)
	c.expect(
		"hsetex h EX 100 FIELDS 2 a 1 b 2", "1", "httl h FIELDS 2 a b", "[100 100]", "hsetex h FNX FIELDS 2 b 9 c 3", "0", "hsetex h FXX FIELDS 2 b 9 c 3", "0", "hsetex h FXX KEEPTTL FIELDS 2 a 5 b 9", "1", "httl h FIELDS 2 a b", "[100 100]",
		"hsetex h FNX FIELDS 1 c 3", "1", "hsetex h FIELDS 1 a 6", "1", "httl h FIELDS 1 a", "[-1]", "hsetex none FXX FIELDS 1 a 1", "0", "exists none", "0", "hsetex h PXAT 1 FIELDS 2 a 1 b 1", "1", "hgetall h", "[c 3]", "hsetex none PXAT 1 FIELDS 1 a 1", "1", "exists none", "0",
		"hgetex h FIELDS 2 c none", "[3 nil]", "hgetex h EX 50 FIELDS 1 c", "[3]", "httl h FIELDS 1 c", "[50]", "hgetex h PERSIST FIELDS 2 c none", "[3 nil]", "httl h FIELDS 1 c", "[-1]", "hgetex none FIELDS 1 a", "[nil]", "hgetex h EXAT 0 FIELDS 1 c", "[3]", "exists h", "0",
		"hgetex h EX 100 PERSIST FIELDS 1 a", "-ERR Mandatory argument FIELDS is missing or not at the right position", "hgetex h FIELDS x a", "-ERR Number of fields must be a positive integer", "hgetex h FIELDS 2 a", "-ERR The `numfields` parameter must match the number of arguments",
		"hgetex h EX x FIELDS 1 a", "-ERR value is not an integer or out of range", "hgetex h EX -5 FIELDS 1 a", "-ERR invalid expire time, must be >= 0", "hgetex h EXAT 99999999999 FIELDS 1 a", "-ERR invalid expire time in 'hgetex' command",
		"hsetex h BOGUS FIELDS 1 a v", "-ERR unknown argument: BOGUS", "hsetex h FNX FXX FIELDS 1 a v", "-ERR Only one of FXX or FNX arguments can be specified", "hsetex h EX 60 KEEPTTL FIELDS 1 a v", "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
		"hsetex h FIELDS x a v", "-ERR invalid number of fields", "hsetex h FIELDS 0 a v", "-ERR invalid number of fields", "hsetex h FIELDS 2 a v", "-ERR wrong number of arguments for 'hsetex' command", "hsetex h FIELDS 1 a v b w", "-ERR wrong number of arguments for 'hsetex' command",
		"hsetex h EX -5 FIELDS 1 a v", "-ERR invalid expire time, must be >= 0", "hsetex h FNX FNX FNX EX", "-ERR Only one of FXX or FNX arguments can be specified", "hsetex h FNX EX 100 EX", "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
		"hsetex h FNX KEEPTTL FIELDS 1", "-ERR wrong number of arguments for 'hsetex' command", "set s v", "+OK", "hgetex s FIELDS 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "hsetex s FIELDS 1 a v", "-WRONGTYPE Operation against a key holding the wrong kind of value",
	)
}

// A field whose time has come is not there, whatever asks, though HLEN counts it until
// it is deleted. Hashes inline and of records.
func TestExpiredFieldsAreHidden(t *testing.T) {
	for _, filler := range []int{0, 300} {
		c := newClient(t)
		args := []string{"hset", "h"}
		for i := range filler {
			args = append(args, "x"+strconv.Itoa(i), "v")
		}
		if filler != 0 {
			c.do(args...)
			del := []string{"hdel", "h"}
			for i := range filler {
				del = append(del, "x"+strconv.Itoa(i))
			}
			c.do("hset", "h", "stay", "0")
			c.do(del...)
			c.do("hdel", "h", "stay")
			c.do(args...) // some were inline before
		}
		c.expect("hset h a 1 b 2 c 3", "3", "hpexpire h 1000 FIELDS 2 a b", "[1 1]", "hdel h x0", strconv.Itoa(min(filler, 1)))
		c.store.Now += 1000
		c.expect("hget h a", "1") // at its very millisecond
		c.store.Now++
		n := strconv.Itoa(3 + max(filler-1, 0))
		c.expect("hlen h", n, "hget h a", "nil", "hmget h a b c", "[nil nil 3]", "hexists h a", "0", "hstrlen h a", "0", "httl h FIELDS 2 a c", "[-2 -1]", "hexpire h 5 FIELDS 1 a", "[-2]", "hpersist h FIELDS 1 a", "[-2]", "hgetex h FIELDS 1 b", "[nil]")
		for _, name := range []string{"hgetall", "hkeys", "hvals", "hscan"} {
			reply := c.do(strings.Fields(name + " h" + map[bool]string{true: " 0 COUNT 1000"}[name == "hscan"])...)
			for _, gone := range []string{"$1\r\na\r\n", "$1\r\nb\r\n", "$1\r\n1\r\n", "$1\r\n2\r\n"} {
				if strings.Contains(reply, gone) {
					t.Errorf("%s shows %q: %q", name, gone, reply)
				}
			}
			if shorten(reply); strings.Contains(shorten(reply), "and then") || !strings.Contains(reply, "$1\r\n3\r\n") && name != "hkeys" {
				t.Errorf("%s: %q", name, reply)
			}
		}
		for range 200 {
			if got := shorten(c.do("hrandfield", "h")); got == "a" || got == "b" {
				t.Fatalf("hrandfield: %s", got)
			}
		}
		if got := shorten(c.do("hrandfield", "h", "1000")); strings.Count(got, " ") != filler-min(filler, 1) || strings.Contains(got, "and then") {
			t.Errorf("hrandfield of all: %s", got)
		}
		c.expect("hsetnx h a 7", "1", "hset h b 8", "1", "hdel h a b", "2", "hset h d 4", "1", "hpexpire h 10 FIELDS 1 d", "[1]")
		c.store.Now += 11
		c.expect("hdel h d", "0", "hincrby h d 5", "5", "httl h FIELDS 1 d", "[-1]")
	}
}

// The reaper deletes fields, and the hash with its last one, however many there are.
func TestReapFields(t *testing.T) {
	for _, n := range []int{3, 5000} {
		c := newClient(t)
		args := []string{"hsetex", "h", "PX", "100", "FIELDS", strconv.Itoa(n)}
		for i := range n {
			args = append(args, "f"+strconv.Itoa(i), "v")
		}
		c.do(args...)
		c.expect("hpexpire h 50 FIELDS 1 f1", "[1]", "hsetex h PX 200 FIELDS 1 last v", "1", "expire h 1000", "1", "hpersist h FIELDS 1 f2", "[1]")
		c.reap()
		c.expect("hlen h", strconv.Itoa(n+1))
		c.store.Now += 60
		c.reap()
		c.expect("hlen h", strconv.Itoa(n))
		c.store.Now += 60
		c.reap()
		c.expect("hlen h", "2", "hgetall h", map[bool]string{true: "[f2 v last v]", false: "[last v f2 v]"}[n == 3], "hdel h f2", "1")
		c.store.Now += 200
		c.expect("exists h", "1", "hgetall h", "[]", "hkeys h", "[]", "hrandfield h", "nil", "hrandfield h 2", "[]", "hrandfield h -2", "[]", "hlen h", "1")
		c.reap()
		c.expect("exists h", "0", "dbsize", "0")
		if left, kinds := c.store.Records(); left != 0 {
			t.Errorf("%d records are left: %s", left, kinds)
		}
	}
}
