package chaos

import (
	"fmt"
	"time"
)

// Options of a run. Zero means the default.
type Options struct {
	// Time is how long faults go on, in all rounds together; checking comes on top.
	Time time.Duration
	// Round is the length of a round; default 45 s.
	Round time.Duration
	// Seed chooses the faults.
	Seed uint64
	// Dir is an empty folder for the nodes' data.
	Dir string
	// Reports is a folder that gets histories and logs when something was
	// found; "" writes none.
	Reports string
	// Log is called with what happens, line by line.
	Log func(format string, args ...any)

	// Nodes is how many start the cluster; default 3.
	Nodes int
	// Clients is the number of connections that read and write; default 6.
	Clients int
	// Loopback does without a network of its own: no partitions, no full disks,
	// but needs no root.
	Loopback bool
	// Program is the server, "" for the module's; Clock: one whose clock jumps.
	Program string
	Clock   bool
	// Flags are given to all nodes.
	Flags []string
	// Faults names those to use, as they are logged; none: all that are possible.
	Faults []string
	// Each brings about each of the faults once, one after the other, in the place of
	// faults by chance for a time: with a change of the membership in the middle, while
	// a follower that was far behind is sent a raft snapshot.
	Each bool
	// staleReads has clients read after READONLY and record it as if they had
	// not: to test that this is noticed.
	staleReads bool
	// NoMembership leaves out changes of membership.
	NoMembership bool
}

func (o Options) withDefaults() Options {
	if o.Round == 0 {
		o.Round = 45 * time.Second
	}
	if o.Time == 0 {
		o.Time = o.Round
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Clients == 0 {
		o.Clients = 6
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	return o
}

// flags are those of every node: small logs, so that a node that was away for
// seconds needs a raft snapshot; the rest as users have it.
func (o Options) flags() []string {
	return append([]string{"-max-log-size", "2mb", "-repl-log-size", "1mb", "-log-cache-size", "1mb",
		"-hot-cache-size", "8mb", "-hot-write-buffer-size", "1mb", "-memtable-size", "4mb", "-cluster-timeout", "2s"}, o.Flags...)
}

const (
	// diskBytes is the size of a node's disk when it has one of its own.
	diskBytes = 768 << 20
	// callLimit is how long a client waits for its replies.
	callLimit = 6 * time.Second
	// recoverLimit is the longest time until all nodes take writes after a
	// fault was taken back.
	recoverLimit = 20 * time.Second
	// restartLimit is the same after all nodes were started.
	restartLimit = 40 * time.Second
	// convergeLimit is the longest time until all nodes hold the same.
	convergeLimit = 40 * time.Second
	// checkLimit bounds the check of one group's history.
	checkLimit = time.Minute
)

// Result is what a run found.
type Result struct {
	Seed       uint64
	Rounds     int
	Elapsed    time.Duration
	Operations int            // with a reply that says what happened
	Nothing    int            // refused: nothing happened
	Unknown    int            // outcome unknown
	Faults     map[string]int // how often each was brought about
	Errors     map[string]int // first words of errors that clients were told
	Snapshots  int            // raft snapshots, as far as the logs are kept
	LongestGap time.Duration  // without any acknowledged write
	Violations []string
}

func (r *Result) violation(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
}
