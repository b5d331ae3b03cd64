package psync

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"dkv/cluster/raftlog"
	"dkv/cluster/slot"
)

// across has commands of all sorts that cross shards; what they leave depends on what
// came before, so that nothing may be done twice, or be left out.
const across = `
	SELECT 0
	MSET a 1 b 2 c 3 d 4 e 5 f 6
	MSETNX g 1 h 1 i 1 j 1
	INCR a
	RENAME a z
	INCR z
	RENAMENX z a1
	SET a 10
	APPEND a1 x
	RPUSH l1 1 2 3 4 5
	LMOVE l1 l2 LEFT RIGHT
	LMOVE l1 l2 RIGHT LEFT
	RPOPLPUSH l1 l3
	LMOVE l2 l1 LEFT LEFT
	LMOVE l3 l4 RIGHT RIGHT
	SADD s1 a b c d
	SADD s2 b c x
	SMOVE s1 s2 a
	SMOVE s1 s3 b
	SINTERSTORE s4 s1 s2
	SUNIONSTORE s5 s1 s2 s3 none
	SDIFFSTORE s1 s2 s4
	PING
	ZADD z1 1 a 2 b 3 c
	ZADD z2 5 b 6 d
	ZUNIONSTORE z3 2 z1 z2 WEIGHTS 2 3
	ZINTERSTORE z4 2 z1 z3
	ZRANGESTORE z5 z3 0 1
	ZUNIONSTORE z1 2 z1 z4
	MULTI
	INCR b
	RENAME b b2
	INCR b2
	INCR c
	SELECT 3
	SET other 1
	COPY other other2
	SELECT 0
	INCR d
	EXEC
	MULTI
	INCR c
	INCR d
	INCR e
	INCR f
	EXEC
	COPY s5 s6
	COPY l2 l9
	HSET hash f v g w
	PEXPIREAT hash 4000000000000
	RENAME hash hash2
	COPY hash2 hash3
	XADD x1 1-1 f v
	XGROUP CREATE x1 g 0
	RENAME x1 x2
	XADD x2 2-1 f v
	SETBIT bits1 7 1
	SETBIT bits2 9 1
	BITOP OR bits3 bits1 bits2
	BITOP XOR bits1 bits3 bits2
	PFADD hll1 a b c
	PFADD hll2 c d e
	PFCOUNT hll1
	PFMERGE hll3 hll1 hll2
	SORT l1 BY nosort STORE sorted
	SORT l2 STORE sorted2
	GEOADD geo1 13.361389 38.115556 here
	GEOSEARCHSTORE geo2 geo1 FROMMEMBER here BYRADIUS 1 km ASC COUNT 1
	DEL g h none1 none2
	UNLINK i j
	APPEND a1 y
	SELECT 5
	MSET a 1 b 2 c 3
	SWAPDB 5 6
	MOVE a 7
	SELECT 6
	INCR a
	RENAME a b
	INCR b
	SELECT 0
	INCRBYFLOAT float 0.5
	COPY float float2
	INCRBYFLOAT float 0.5
	FLUSHDB
	SET a 1
	RENAME a b
	INCR b
	SUNIONSTORE gone none1 none2
	MSET a 1 b 2 c 3 d 4 e 5 f 6 g 7
	DEL a b c d e
`

// cut takes a stream apart after some command, so that there is something to look at
// before all is deleted.
func cut(lines, at string) string {
	before, _, ok := strings.Cut(lines, at)
	if !ok {
		panic("no " + at)
	}
	return before
}

// TestCrashAcross crashes after each step of a stream that crosses shards, and again
// later: what is there in the end is what one shard has that never crashed.
func TestCrashAcross(t *testing.T) {
	rng := seedOf(t)
	const begins = 1000
	for name, lines := range map[string]string{"all": across, "to FLUSHDB": cut(across, "FLUSHDB"), "to SWAPDB": cut(across, "SWAPDB")} {
		stream := streamOf(lines)
		one, _ := shards(t, 1)
		startAt(one, begins)
		followAll(t, one, serve(t, stream, begins))
		want := contents(t, one)
		for _, n := range []int{2, 3, 7} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				for after := 0; ; after++ {
					all, c := shards(t, n)
					startAt(all, begins)
					crashes := 0
					for left := after; ; left = rng.IntN(40) {
						c.left = left
						// Sometimes the connection breaks, so that batches end elsewhere.
						some := stream
						if left >= 0 && rng.IntN(2) == 0 {
							some = stream[:max(int(highest(all))-begins, rng.IntN(len(stream)))]
						}
						_, _, err := followAll(t, all, serve(t, some, begins))
						if !errors.Is(err, errCrash) && len(some) < len(stream) {
							continue
						}
						if !errors.Is(err, errCrash) {
							if err == nil || !strings.Contains(err.Error(), "closed the connection") {
								t.Fatalf("after %d steps: %v", after, err)
							}
							break
						}
						crashes++
						for _, l := range all {
							l.store.Reopen()
						}
					}
					if got := contents(t, all); !maps.Equal(got, want) {
						t.Fatalf("after %d steps: %s", after, differences(got, want))
					}
					for i, l := range all {
						if l.at.Index != begins+raftlog.Index(len(stream)) {
							t.Errorf("shard %d is at %d of %d", i, l.at.Index, begins+len(stream))
						}
					}
					if crashes == 0 {
						break
					}
				}
			})
		}
	}
}

// highest is the highest offset that a shard is at.
func highest(all []*local) (at raftlog.Index) {
	for _, l := range all {
		at = max(at, l.at.Index)
	}
	return at
}

func differences(got, want map[string]string) string {
	var b strings.Builder
	names := slices.Sorted(maps.Keys(want))
	for name := range got {
		if _, ok := want[name]; !ok {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if got[name] != want[name] {
			fmt.Fprintf(&b, "%s is %s, want %s\n", name, got[name], want[name])
		}
	}
	return b.String()
}

// TestFailuresAcross: commands that cannot be done over several shards are named, and
// what came before them stays.
func TestFailuresAcross(t *testing.T) {
	for name, tc := range map[string]struct{ send, want string }{
		"SORT by keys":     {"RPUSH l1 1 2\nINCR a\nSORT l1 BY w_* STORE s2", "sort"},
		"SORT by near":     {"RPUSH {a}l1 1 2\nINCR a\nSORT {a}l1 BY w_* STORE {a}l2", "sort"},
		"a failing one":    {"INCR a\nRPUSH l1 x\nSUNIONSTORE s1 l1 s2", "sunionstore"},
		"unknown":          {"INCR a\nNOPE b", "NOPE"},
		"EXEC twice":       {"EXEC\nINCR a\nEXEC\nEXEC", "EXEC without MULTI"},
		"one in a shard":   {"INCR a\nHSET a f v", "hset"},
		"in a transaction": {"INCR a\nMULTI\nRPUSH l1 1\nSORT l1 BY w_* STORE s2\nEXEC", "sort"},
	} {
		t.Run(name, func(t *testing.T) {
			all, _ := shards(t, 3)
			startAt(all, 0)
			for range 2 {
				_, _, err := followAll(t, all, serve(t, streamOf(tc.send+"\nINCR a"), 0))
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("%v", err)
				}
				one := all[shardOfKey(slot.NewMap(3), []byte("a"))]
				if got := one.do(t, "GET a"); got != "$1 1 " {
					t.Errorf("a is %q", got)
				}
			}
		})
	}
}
