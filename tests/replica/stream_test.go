package replica

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"

	"dkv/tests/harness"
)

// TestStreamsOnReplica: entries, groups, consumers and what is pending, with their
// times, are the same on a replica that followed and on one that was copied to.
func TestStreamsOnReplica(t *testing.T) {
	rng := seedOf(t)
	source := harness.Dkv(t)
	s := source.Dial(t)
	follows := replicaOf(t, source)
	key := func() string { return "stream" + strconv.Itoa(rng.IntN(3)) }
	id := func() string { return fmt.Sprintf("%d-%d", rng.IntN(300), rng.IntN(2)) }
	name := func(names ...string) string { return names[rng.IntN(len(names))] }
	for i := range 1500 {
		k, group, consumer := key(), name("g", "h"), name("a", "b")
		switch rng.IntN(12) {
		case 0:
			s.Do("XTRIM", k, "MAXLEN", name("~", "="), strconv.Itoa(rng.IntN(200)))
		case 1:
			s.Do("XGROUP", "CREATE", k, group, name("0", "$"), "MKSTREAM")
		case 2:
			s.Do("XDEL", k, id(), id())
		case 3, 4:
			s.Do("XREADGROUP", "GROUP", group, consumer, "COUNT", "5", "STREAMS", k, name(">", ">", "0"))
		case 5:
			s.Do("XACK", k, group, id(), id(), id())
		case 6:
			s.Do("XCLAIM", k, group, consumer, "0", id(), id(), "FORCE")
		case 7:
			s.Do("XAUTOCLAIM", k, group, consumer, "0", "-", "COUNT", "3")
		default:
			s.Do("XADD", k, strconv.Itoa(i/5)+"-*", "field", strconv.Itoa(i))
		}
	}
	copied := replicaOf(t, source)
	awaitUp(t, copied)
	awaitSame(t, source, follows, copied)
	for _, replica := range []*harness.Server{follows, copied} {
		r := replica.Dial(t)
		for i := range 3 {
			args := []string{"XINFO", "STREAM", "stream" + strconv.Itoa(i), "FULL", "COUNT", "0"}
			want := s.Do(args...)
			if got := r.Do(args...); want.IsError() || !bytes.Equal(got.Raw, want.Raw) {
				t.Errorf("%s: %.2000s\nwant %.2000s", args[2], got, want)
			}
		}
	}
}
