package crash

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"dkv/tests/harness"
)

// After a crash with 1 GiB of data the first answer comes in under 5 seconds.
func TestRestartLarge(t *testing.T) {
	harness.NeedLong(t)
	const (
		valueBytes = 64 << 10
		count      = (1 << 30) / valueBytes
		pipeline   = 64
		limit      = 5 * time.Second
	)
	srv := harness.Dkv(t, "-fsync", "everysec")
	random := randomBytes(valueBytes + count)
	value := func(i int) string { return random[i : i+valueBytes] }
	c := srv.Dial(t)
	for i := 0; i < count; i += pipeline {
		for k := i; k < i+pipeline; k++ {
			c.Queue("SET", fmt.Sprintf("key:%d", k), value(k))
		}
		c.SetDeadline(time.Now().Add(callLimit))
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		for range pipeline {
			if r, err := c.Read(); err != nil || string(r.Raw) != "+OK\r\n" {
				t.Fatalf("SET: %s, %v", r, err)
			}
		}
	}
	srv.Kill()

	start := time.Now()
	srv.MustStart(t)
	took := time.Since(start)
	t.Logf("answered after %v", took)
	if took > limit {
		t.Errorf("answered after %v, more than %v", took, limit)
	}
	c = srv.Dial(t)
	c.Want(fmt.Sprintf(":%d\r\n", count), "DBSIZE")
	for range 200 {
		i := rand.IntN(count)
		if string(c.Do("GET", fmt.Sprintf("key:%d", i)).Str) != value(i) {
			t.Fatalf("key:%d has another value", i)
		}
	}
}

// randomBytes returns bytes that no compression makes smaller.
func randomBytes(n int) string {
	b := make([]byte, n)
	var chacha = rand.NewChaCha8([32]byte{1})
	chacha.Read(b)
	return string(b)
}
