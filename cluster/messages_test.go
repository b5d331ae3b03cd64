package cluster

import "testing"

// TestMessageQueueBound: a member that takes nothing costs no more than the bound, and
// whoever publishes does not wait.
func TestMessageQueueBound(t *testing.T) {
	q := &messageQueue{wake: make(chan struct{}, 1)}
	message := make([]byte, messageBatchBytes/2)
	n := 0
	for ; q.push(message); n++ {
	}
	if n != messageQueueBytes/len(message) {
		t.Errorf("%d messages of %d bytes wait", n, len(message))
	}
	for sent := 0; sent < n; {
		batch, count := q.take()
		if count != 2 || len(batch) != messageBatchBytes {
			t.Fatalf("a batch of %d messages, %d bytes", count, len(batch))
		}
		sent += count
	}
	if _, count := q.take(); count != 0 || !q.push(make([]byte, 2*messageQueueBytes)) {
		t.Error("a message that is larger than the bound is taken when nothing else waits")
	}
	q.end()
	if q.push(message) {
		t.Error("a queue that has ended takes a message")
	}
}
