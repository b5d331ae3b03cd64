package raftlog

import "go.etcd.io/raft/v3/raftpb"

// Write is an append to one shard's log.
type Write struct {
	Shard     *ShardLog
	HardState *raftpb.HardState
	Entries   []*raftpb.Entry
	MustSync  bool
	// Err is how it ended, as ShardLog.Append returns it.
	Err error
}

// AppendTogether does several appends at once, which share one sync; each ends by
// itself, in its Err. The shards are different ones of the same log, and nobody else
// appends to several of them at a time.
func AppendTogether(writes []Write) {
	var room [8]*request
	requests := room[:0]
	for i := range writes {
		w := &writes[i]
		w.Shard.writing.Lock()
		defer w.Shard.writing.Unlock()
		something, err := w.Shard.prepare(w.HardState, w.Entries, w.MustSync)
		if w.Err = err; something {
			requests = append(requests, &w.Shard.req)
		}
	}
	if len(requests) == 0 {
		return
	}
	// The errors are in the requests.
	_ = requests[0].shard.l.do(requests[0], requests[1:]...)
	for i := range writes {
		w := &writes[i]
		for _, r := range requests {
			if r.shard == w.Shard {
				w.Err = r.err
				w.Shard.release()
			}
		}
	}
}
