package transport

import (
	"encoding/binary"
	"runtime"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// parcel is a record that waits to be sent. Its body is either there or still a
// raft message, which the sending goroutine marshals straight into the frame.
type parcel struct {
	record
	msg  *pb.Message
	call *call // of a request: whether it is still to be sent
}

func (p *parcel) size() int { return int(p.total) }

// queue is a FIFO of parcels.
type queue struct {
	items []parcel
	head  int
	bytes int64
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(p parcel) {
	if q.head > 64 && q.head > len(q.items)/2 {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, p)
	q.bytes += int64(p.size())
}

// pop takes the first parcel. Its bytes count until the caller subtracts them.
func (q *queue) pop() parcel {
	p := q.items[q.head]
	q.items[q.head] = parcel{}
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return p
}

// urgentBytes is how large a parcel may be to overtake others.
const urgentBytes = 64 << 10

// outbox is what waits to be sent on one stream. It lives as long as the
// stream: what was not sent then is dropped, since raft sends again, and calls
// must not be.
//
// There are two queues, and every frame takes from both. Rejected: one queue
// and a reserve for small records, which then are not lost behind a large one
// but late, and a late heartbeat is an election.
type outbox struct {
	bulkLimit, urgentLimit int64 // bytes
	wake                   chan struct{}

	mu struct {
		sync.Mutex
		urgent, bulk queue
		closed       bool
		room         chan struct{} // closed when there may be room; nil: nobody waits
	}

	// The rest is the sending goroutine's.
	batch []parcel
	cut   parcel   // is sent in parts
	rest  [][]byte // what is not sent of it
	left  int      // bytes of rest
}

func newOutbox(bulkLimit, urgentLimit int64) *outbox {
	return &outbox{bulkLimit: bulkLimit, urgentLimit: urgentLimit, wake: make(chan struct{}, 1)}
}

// push queues a parcel; false: the queue is full, or closed. A parcel beyond
// the limit is taken when its queue is empty.
func (o *outbox) push(p parcel, urgent bool) bool {
	_, ok := o.tryPush(p, urgent, false)
	return ok
}

// tryPush is push, and returns a channel that is closed when to try again if
// the caller wants to wait. The channel is nil when the outbox is closed.
func (o *outbox) tryPush(p parcel, urgent, wait bool) (<-chan struct{}, bool) {
	o.mu.Lock()
	q, limit := &o.mu.bulk, o.bulkLimit
	if urgent && p.size() <= urgentBytes {
		q, limit = &o.mu.urgent, o.urgentLimit
	}
	if o.mu.closed {
		o.mu.Unlock()
		return nil, false
	}
	if q.bytes > 0 && q.bytes+int64(p.size()) > limit {
		if wait && o.mu.room == nil {
			o.mu.room = make(chan struct{})
		}
		room := o.mu.room
		o.mu.Unlock()
		return room, false
	}
	q.push(p)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil, true
}

// close refuses further parcels and returns those that no frame has taken.
func (o *outbox) close() []parcel {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.closed = true
	left := append(o.mu.urgent.items[o.mu.urgent.head:], o.mu.bulk.items[o.mu.bulk.head:]...)
	o.mu.urgent, o.mu.bulk = queue{}, queue{}
	o.makeRoomLocked()
	return left
}

func (o *outbox) makeRoomLocked() {
	if o.mu.room != nil {
		close(o.mu.room)
		o.mu.room = nil
	}
}

// waiting is how much waits, what is sent in parts included.
func (o *outbox) waiting() (parcels int, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.urgent.len() + o.mu.bulk.len(), o.mu.urgent.bytes + o.mu.bulk.bytes
}

// next returns the next frame and the number of records that end in it. It
// waits for one; nil: stop was closed.
func (o *outbox) next(stop <-chan struct{}) (f *frame, records int) {
	for {
		o.take()
		if len(o.batch) > 0 || o.left > 0 {
			if f, records := o.build(); f != nil {
				return f, records
			}
			continue
		}
		select {
		case <-o.wake:
			// Whoever is about to push does so first. It halves the time of a
			// call when 50 wait (BenchmarkCall), and a lone one's is the same.
			runtime.Gosched()
		case <-stop:
			return nil, 0
		}
	}
}

// take moves parcels for one frame into the batch: urgent ones first, to half
// a frame, then bulk ones, at least one. A bulk parcel that is larger than a
// frame is cut, and nothing follows it until it is through.
func (o *outbox) take() {
	o.batch = o.batch[:0]
	size := 0
	o.mu.Lock()
	defer o.mu.Unlock()
	for q := &o.mu.urgent; q.len() > 0 && size < frameTargetBytes/2; {
		p := q.pop()
		q.bytes -= int64(p.size())
		size += p.size() + maxHeadBytes
		o.batch = append(o.batch, p)
	}
	urgent := len(o.batch)
	for q := &o.mu.bulk; o.left == 0 && q.len() > 0; {
		next := q.items[q.head].size() + maxHeadBytes
		if size+next > frameTargetBytes && len(o.batch) > urgent {
			break
		}
		p := q.pop()
		o.batch = append(o.batch, p)
		if size += next; next > frameTargetBytes {
			break // build cuts it, and subtracts its bytes when it is through
		}
		q.bytes -= int64(p.size())
	}
	o.makeRoomLocked()
}

// build makes a frame of the batch and of a part of what is cut; nil: all of it
// had been given up by its callers.
func (o *outbox) build() (f *frame, records int) {
	size := 0
	for i := range o.batch {
		size += o.batch[i].size() + maxHeadBytes
	}
	if o.left > 0 {
		size += o.left + maxHeadBytes
	}
	b := (*framePool{}.Get(min(size, frameTargetBytes+frameTargetBytes/2)))[:0]
	for i := range o.batch {
		p := &o.batch[i]
		if p.size()+maxHeadBytes > frameTargetBytes {
			b = o.beginCut(b, *p)
			continue
		}
		if p.call != nil && !p.call.sending(true) {
			continue
		}
		records++
		b = p.appendHead(b)
		if p.msg != nil {
			b = appendMessage(b, p.msg, p.size())
		} else {
			b = append(b, p.body...)
		}
	}
	clear(o.batch)
	if o.left > 0 {
		var done bool
		if b, done = o.continueCut(b); done {
			records++
		}
	}
	if len(b) == 0 {
		framePool{}.Put(&b)
		return nil, 0
	}
	return newFrame(b), records
}

// beginCut starts to send a parcel in parts. The head goes out with an empty
// part; continueCut, which follows in the same frame, does the rest.
func (o *outbox) beginCut(b []byte, p parcel) []byte {
	if p.call != nil && !p.call.sending(false) {
		o.endCut(p)
		return b
	}
	o.cut, o.rest, o.left = p, [][]byte{p.body}, p.size()
	if p.msg != nil {
		o.rest = messageParts(p.msg, p.size())
		o.cut.msg = nil
	}
	return p.appendFirst(b, nil)
}

func (o *outbox) continueCut(b []byte) (_ []byte, done bool) {
	n := min(o.left, max(frameTargetBytes-len(b), frameTargetBytes/4))
	if c := o.cut.call; c != nil && !c.sending(n == o.left) {
		b, done = append(b, byte(kindAbort)), true
	} else {
		b = o.appendRest(b, n)
		done = o.left == 0
	}
	if done {
		o.endCut(o.cut)
		o.cut, o.rest, o.left = parcel{}, nil, 0
	}
	return b, done
}

// appendRest appends the next n bytes of what is cut, as appendMore does.
func (o *outbox) appendRest(b []byte, n int) []byte {
	b = binary.AppendUvarint(append(b, byte(kindMore)), uint64(n))
	o.left -= n
	for n > 0 {
		part := o.rest[0][:min(n, len(o.rest[0]))]
		b = append(b, part...)
		n -= len(part)
		if o.rest[0] = o.rest[0][len(part):]; len(o.rest[0]) == 0 {
			o.rest = o.rest[1:]
		}
	}
	return b
}

func (o *outbox) endCut(p parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.bulk.bytes -= int64(p.size())
	o.makeRoomLocked()
}

// appendMessage marshals a message whose size was computed when it was queued,
// which protobuf remembers.
func appendMessage(b []byte, m *pb.Message, size int) []byte {
	start := len(b)
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, m)
	if err != nil {
		// Only required fields and strings that are no UTF-8 can fail, and
		// raftpb has neither.
		panic("transport: a raft message cannot be marshaled: " + err.Error())
	}
	if len(b)-start != size {
		panic("transport: a raft message was changed after Send")
	}
	return b
}
