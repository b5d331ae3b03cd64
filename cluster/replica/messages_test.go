package replica

import (
	"bytes"
	"testing"

	"dkv/cluster/raftlog"
)

// TestMessagesWait: a message is due when the entries before it have been sent, and
// what is too much is lost.
func TestMessagesWait(t *testing.T) {
	m := newMessages()
	for i, data := range []string{"a", "b", "c"} {
		if !m.push([]byte(data), []raftlog.Index{5, 5, 7}[i]) {
			t.Fatal("no room for a few bytes")
		}
	}
	for _, step := range []struct {
		at   raftlog.Index
		want string
	}{{4, ""}, {6, "ab"}, {6, ""}, {7, "c"}, {9, ""}} {
		if got := m.take(nil, step.at); string(got) != step.want {
			t.Errorf("at %d: %q, want %q", step.at, got, step.want)
		}
	}
	large := make([]byte, frameBytes)
	n := 0
	for ; m.push(large, 1); n++ {
	}
	if n != maxMessageBytes/frameBytes {
		t.Errorf("%d messages of %d bytes wait", n, len(large))
	}
	for range n {
		if got := m.take(nil, 1); !bytes.Equal(got, large) {
			t.Fatalf("a frame of %d bytes", len(got))
		}
	}
	if !m.push(make([]byte, 2*maxMessageBytes), 1) {
		t.Error("a message that is larger than the bound is taken when nothing else waits")
	}
}
