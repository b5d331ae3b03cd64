package command

import (
	"strings"
	"testing"
)

// Fields take their expiries along, inline and as records of their own; what has
// expired stays behind.
func TestDumpFieldExpiry(t *testing.T) {
	for _, size := range []int{3, 400} {
		c := newClient(t)
		words := []string{"hset", "h"}
		for i := range size {
			words = append(words, "f"+strings.Repeat("x", i), "v"+strings.Repeat("y", i))
		}
		c.do(words...)
		c.store.Now = 1_700_000_000_000
		c.expect("hpexpireat h 1700000000500 FIELDS 1 f", "[1]", "hpexpireat h 1700000900000 FIELDS 2 fx none", "[1 -2]")
		c.store.Now += 1000 // f has expired, and is not deleted yet
		payload := bulk(t, c.do("dump", "h"))
		if got := c.do("restore", "again", "0", payload); got != "+OK\r\n" {
			t.Fatalf("RESTORE: %s", got)
		}
		c.expect("hpexpiretime again FIELDS 3 f fx fxx", "[-2 1700000900000 -1]", "hget again fx", "vy")
		want, got := c.do("hlen", "h"), c.do("hlen", "again")
		if want == got || c.do("hgetall", "again") != c.do("hgetall", "h") && size == 3 {
			t.Errorf("%d fields: HLEN %s, of the copy %s", size, want, got)
		}
		// All gone by the time it is restored.
		c.do("del", "again")
		c.store.Now = 1_700_001_000_000
		if got := c.do("restore", "again", "0", payload); got != "+OK\r\n" {
			t.Fatalf("RESTORE: %s", got)
		}
		c.expect("hexists again fx", "0", "hget again fxx", "vyy")
	}
}
