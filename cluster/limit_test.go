package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/cluster/transport"
)

// TestRequestTooLarge: what cannot be passed on is refused at once, for good.
func TestRequestTooLarge(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.MaxCallBytes = 4000; o.Timeout = time.Minute })
	n := c.follower(list...)
	began := time.Now()
	err := n.put("k", strings.Repeat("x", 4000))
	if !errors.Is(err, shard.ErrTooBig) || errors.Is(err, shard.ErrUncertain) ||
		!strings.HasPrefix(err.Error(), "ERR The request of 4002 bytes exceeds the limit of 4000 bytes for requests between nodes. Nothing happened") {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	n.mustGet("k", "")
	n.mustPut("k", strings.Repeat("x", 3998))
}

// TestAnswerTooLarge: the outcome of a request is known though its answer does not
// come back.
func TestAnswerTooLarge(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.MaxCallBytes = 4000 })
	for _, n := range list {
		n.SetExecutor(func(ctx context.Context, id raftlog.ShardID, payload []byte) ([]byte, error) {
			if _, err := n.execute(ctx, id, payload); err != nil {
				return nil, err
			}
			return make([]byte, 4001), nil
		})
	}
	n := c.follower(list...)
	err := n.put("k", "v")
	if !errors.Is(err, ErrAnswerTooLarge) || errors.Is(err, shard.ErrUncertain) ||
		err.Error() != "REPLYTOOBIG The request was carried out, but the reply exceeds the limit for replies between nodes: 4001 bytes, the limit is 4000" {
		t.Fatal(err)
	}
	n.mustGet("k", "v")
}

// TestTextOfATransport: an error that the other node's transport has made is a reply
// as it is.
func TestTextOfATransport(t *testing.T) {
	err := decodeError(&transport.RemoteError{Text: "transport: 9 calls are running"})
	if err.Error() != "ERR transport: 9 calls are running" || errors.Is(err, shard.ErrUncertain) {
		t.Error(err)
	}
}
