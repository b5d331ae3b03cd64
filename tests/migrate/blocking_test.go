package migrate

import (
	"testing"

	"dkv/tests/harness"
)

// TestBlockedReaders: XREAD with BLOCK waits for what a Redis server's clients add, on dkv
// that follows it, and on a replica of that.
func TestBlockedReaders(t *testing.T) {
	source, first, second := harness.Redis(t), harness.Dkv(t), harness.Dkv(t)
	follow(t, first, source)
	follow(t, second, first)
	var readers []*harness.TestConn
	for _, s := range []*harness.Server{first, second} {
		c := s.Dial(t)
		c.Queue("XREAD", "BLOCK", "0", "STREAMS", "s", "$")
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, patience, "it waits", func() bool { return infoField(s, "clients", "blocked_clients") == "1" })
		readers = append(readers, c)
	}
	c := source.Dial(t)
	c.OK("SET", "s", "no stream")
	c.Do("DEL", "s")
	c.OK("MULTI")
	c.Do("XADD", "s", "1-1", "f", "gone")
	c.Do("XDEL", "s", "1-1")
	c.Do("XADD", "s", "1-2", "f", "v")
	c.Do("EXEC")
	for i, r := range readers {
		r.SetDeadline(deadline())
		got, err := r.Read()
		if want := "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"; err != nil || string(got.Raw) != want {
			t.Errorf("reader %d: %s, %v", i, got, err)
		}
	}
}
