package consensus

import (
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A group's goroutine hears and says nothing while it writes and applies. For an
// entry of hundreds of MiB that can take a disk longer than an election timeout: the
// others would elect another leader, or the leader would think that it is cut off,
// and what is being written would be uncertain each time it is tried. So for as long
// as such work may take, the leader's heartbeats are sent, and a leader's are
// answered, beside that goroutine.
//
// They say no more than that the node is there in the term that it was in when the
// work began: no commit index, and no answer to a read index request. What a member
// promises by its answer is in its log by then, see Status. A disk that hangs is not
// covered up for longer than the work may take, nor is a full one: see core.append.
//
// Rejected: to write on another goroutine, as raft's asynchronous storage does. It is
// made for disks that are slow for each entry, and every promise about the order of
// what is written, sent and applied would have to be made anew.
const (
	heavyBytes          = 16 << 20 // work on less is over soon enough
	heavyBytesPerSecond = 16 << 20 // that a disk writes and applies at least
)

// heavy is the work that is under way.
type heavy struct {
	until atomic.Int64 // Unix ns: others are told until then that the node is there; 0: no such work
	stop  chan struct{}
	done  chan struct{}
}

// begin is called before the work on so many bytes, end after it; both on the
// group's goroutine. beat is called every interval in between. What is begun
// already goes on as it is.
func (h *heavy) begin(bytes int64, interval time.Duration, beat func()) {
	if bytes < heavyBytes || h.stop != nil {
		return
	}
	h.until.Store(time.Now().Add(time.Duration(bytes / heavyBytesPerSecond * int64(time.Second))).UnixNano())
	stop, done := make(chan struct{}), make(chan struct{})
	h.stop, h.done = stop, done
	go func() {
		defer close(done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if h.active() {
				beat()
			}
		}
	}()
}

// end may be called when nothing was begun.
func (h *heavy) end() {
	if h.stop == nil {
		return
	}
	h.until.Store(0)
	close(h.stop)
	<-h.done
	h.stop, h.done = nil, nil
}

// active may be called from any goroutine.
func (h *heavy) active() bool {
	until := h.until.Load()
	return until != 0 && time.Now().UnixNano() < until
}

// beat sends the heartbeats of a leader that is busy.
func (g *Group) beat() {
	st := g.status.Load()
	if st.Leader != g.o.ID {
		return
	}
	var msgs []*pb.Message
	for _, ids := range [][]NodeID{st.Voters, st.Learners} {
		for _, id := range ids {
			if id != g.o.ID {
				msgs = append(msgs, &pb.Message{
					Type: pb.MsgHeartbeat.Enum(), From: new(uint64(g.o.ID)), To: new(uint64(id)), Term: new(uint64(st.Term)),
				})
			}
		}
	}
	g.o.Transport.Send(msgs)
}

// answerBusy answers a leader's heartbeat for a member that is busy. It is answered
// once more when the member gets to it.
func (g *Group) answerBusy(m *pb.Message) {
	if m.GetType() != pb.MsgHeartbeat || !g.c.heavy.active() {
		return
	}
	st := g.status.Load()
	if NodeID(m.GetFrom()) != st.Leader || m.GetTerm() != uint64(st.Term) {
		return
	}
	g.o.Transport.Send([]*pb.Message{{
		Type: pb.MsgHeartbeatResp.Enum(), From: new(uint64(g.o.ID)), To: new(m.GetFrom()), Term: new(m.GetTerm()),
	}})
}
