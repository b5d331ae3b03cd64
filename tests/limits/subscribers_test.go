package limits

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/tests/harness"
)

// Ten thousand clients subscribe to one channel, and each gets all that a pipeline
// publishes there, in order.
func TestManySubscribers(t *testing.T) {
	const (
		subscribers = 10_000
		messages    = 50
		readers     = 20
	)
	srv := harness.Dkv(t, "-fsync", "no", "-maxclients", "12000")
	subscribe := string(harness.AppendCommand(nil, "SUBSCRIBE", "news"))
	conns := make([]*harness.Conn, subscribers)
	for i := range conns {
		c, err := harness.Dial(srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
		c.SetDeadline(time.Now().Add(replyLimit))
		if err := c.Send(subscribe); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range conns {
		if r, err := c.Read(); err != nil || len(r.Elems) != 3 {
			t.Fatal(r, err)
		}
	}
	p := srv.Dial(t)
	if n := p.Info("clients")["pubsub_clients"]; n != strconv.Itoa(subscribers) && !harness.StandIn() {
		t.Errorf("pubsub_clients is %s", n)
	}
	text := strings.Repeat("x", 100)
	start := time.Now()
	var reading sync.WaitGroup
	for r := range readers {
		reading.Go(func() {
			for i := r; i < subscribers; i += readers {
				for n := range messages {
					conns[i].SetDeadline(time.Now().Add(replyLimit))
					r, err := conns[i].Read()
					if err != nil || len(r.Elems) != 3 || string(r.Elems[2].Str) != text+strconv.Itoa(n) {
						t.Errorf("subscriber %d, message %d: %s, %v", i, n, r, err)
						return
					}
				}
			}
		})
	}
	pipelined(t, p, messages, func(i int) []string { return []string{"PUBLISH", "news", text + strconv.Itoa(i)} })
	published := time.Since(start)
	reading.Wait()
	t.Logf("%d messages to %d subscribers: published in %v, all there after %v", messages, subscribers, published, time.Since(start))
	p.Want(":0\r\n", "PUBLISH", "nobody", "x")
}
