package harness

import (
	"testing"
	"time"
)

// pollEvery is how often conditions are looked at again.
const pollEvery = 2 * time.Millisecond

// Until polls cond and fails the test when it does not hold within limit. what
// completes the sentence "timed out waiting for ...".
func Until(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	if !poll(limit, cond) {
		t.Fatalf("timed out after %v waiting for %s", limit, what)
	}
}

// poll reports whether cond came true within limit.
func poll(limit time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(limit)
	for !cond() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pollEvery)
	}
	return true
}
