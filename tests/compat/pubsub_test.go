package compat

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"dkv/tests/harness"
)

const messageLimit = 20 * time.Second

// receive returns the next message, in a form that is easy to compare.
func receive(t *testing.T, p *redis.PubSub) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), messageLimit)
	defer cancel()
	for {
		got, err := p.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		switch m := got.(type) {
		case *redis.Subscription:
			return fmt.Sprintf("%s %s %d", m.Kind, m.Channel, m.Count)
		case *redis.Message:
			return fmt.Sprintf("%s %s %s", m.Pattern, m.Channel, m.Payload)
		}
	}
}

func expectMessages(t *testing.T, p *redis.PubSub, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := receive(t, p); got != w {
			t.Errorf("got %q, want %q", got, w)
		}
	}
}

func TestPubSub(t *testing.T) {
	bothProtocols(t, func(t *testing.T, ctx context.Context, c *redis.Client) {
		p := c.Subscribe(ctx, "a", "b")
		defer p.Close()
		expectMessages(t, p, "subscribe a 1", "subscribe b 2")
		if err := p.PSubscribe(ctx, "a*"); err != nil {
			t.Fatal(err)
		}
		expectMessages(t, p, "psubscribe a* 3")
		want(t, 2, c.Publish(ctx, "a", "1"))
		want(t, 1, c.Publish(ctx, "b", "2"))
		want(t, 0, c.Publish(ctx, "c", "3"))
		expectMessages(t, p, " a 1", "a* a 1", " b 2")
		if err := p.Ping(ctx, "alive"); err != nil {
			t.Fatal(err)
		}
		if got, err := p.Receive(ctx); err != nil || got.(*redis.Pong).Payload != "alive" {
			t.Errorf("PING: %v, %v", got, err)
		}
		if err := p.Unsubscribe(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		expectMessages(t, p, "unsubscribe a 2")
		want(t, 1, c.Publish(ctx, "a", "4"))
		expectMessages(t, p, "a* a 4")

		s := c.SSubscribe(ctx, "s")
		defer s.Close()
		expectMessages(t, s, "ssubscribe s 1")
		want(t, 1, c.SPublish(ctx, "s", "5"))
		expectMessages(t, s, " s 5")
		if got, err := c.PubSubNumSub(ctx, "a", "b").Result(); err != nil || got["a"] != 0 || got["b"] != 1 {
			t.Errorf("NUMSUB: %v, %v", got, err)
		}
		want(t, 1, c.PubSubNumPat(ctx))
	})
}

// go-redis subscribes again by itself when the server comes back.
func TestPubSubReconnects(t *testing.T) {
	srv := harness.Dkv(t)
	c := redis.NewClient(&redis.Options{Addr: srv.Addr()})
	defer c.Close()
	p := c.Subscribe(t.Context(), "a")
	defer p.Close()
	messages := p.Channel(redis.WithChannelHealthCheckInterval(100 * time.Millisecond))
	srv.Kill()
	srv.MustStart(t)
	harness.Until(t, messageLimit, "the subscriber to be back", func() bool { return c.Publish(t.Context(), "a", "hello").Val() == 1 })
	select {
	case m := <-messages:
		if m.Payload != "hello" {
			t.Errorf("got %v", m)
		}
	case <-time.After(messageLimit):
		t.Error("the message did not come")
	}
}
