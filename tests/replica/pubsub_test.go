package replica

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"dkv/tests/harness"
)

// TestPublishReachesReplicas: what is published on a master reaches the subscribers of
// its replicas, and of theirs, after the writes before it. What is published on a
// replica stays there.
func TestPublishReachesReplicas(t *testing.T) {
	const messages = 500
	source := harness.Dkv(t)
	first := replicaOf(t, source)
	second := replicaOf(t, first)
	awaitUp(t, first)
	awaitUp(t, second)
	var subs []*harness.TestConn
	for _, s := range []*harness.Server{source, first, second} {
		c := s.Dial(t)
		c.Want("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "SUBSCRIBE", "c")
		subs = append(subs, c)
	}
	p := source.Dial(t)
	stop := load(source.Addr(), 1, 2) // so that there is always more log to send
	for i := range messages {
		p.Queue("SET", "n", strconv.Itoa(i))
		p.Queue("PUBLISH", "c", strconv.Itoa(i))
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	for range messages {
		p.SetDeadline(time.Now().Add(patience))
		if r, err := p.Read(); err != nil || r.IsError() {
			t.Fatal(r, err)
		}
		if r, err := p.Read(); err != nil || string(r.Raw) != ":1\r\n" {
			t.Fatalf("PUBLISH: %s, %v", r, err)
		}
	}
	for at, s := range []*harness.Server{source, first, second} {
		get := s.Dial(t)
		for i := range messages {
			subs[at].SetDeadline(time.Now().Add(patience))
			r, err := subs[at].Read()
			if err != nil || len(r.Elems) != 3 || string(r.Elems[2].Str) != strconv.Itoa(i) {
				t.Fatalf("message %d on server %d: %s, %v", i, at, r, err)
			}
			if n, _ := strconv.Atoi(string(get.Do("GET", "n").Str)); n < i {
				t.Fatalf("server %d has told of write %d and has only %d", at, i, n)
			}
		}
	}
	stop()
	first.Dial(t).Want(":1\r\n", "PUBLISH", "c", "here")
	source.Dial(t).Want(":1\r\n", "PUBLISH", "c", "all")
	for at, want := range []string{"all", "here", "all"} {
		subs[at].SetDeadline(time.Now().Add(patience))
		if r, err := subs[at].Read(); err != nil || string(r.Elems[2].Str) != want {
			t.Errorf("server %d: %s, %v, want %s", at, r, err, want)
		}
	}
	if got := fmt.Sprint(source.Dial(t).DoInt("PUBLISH", "nobody", "x")); got != "0" {
		t.Errorf("receivers of a channel without subscribers: %s", got)
	}
}
