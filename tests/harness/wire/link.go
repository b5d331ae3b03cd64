package wire

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Link says what happens to packets from one host to another. The zero value
// hands them over as they are.
type Link struct {
	// Drop loses all packets.
	Drop bool
	// Loss is the share of packets that get lost, 0 to 1.
	Loss float64
	// Delay is added to each packet, and up to Jitter more; they keep their order.
	Delay, Jitter time.Duration
	// BytesPerSecond limits the rate; 0 does not. Packets that would wait for
	// more than queueLimit are lost, as in a router.
	BytesPerSecond int64
}

// queueLimit is how long a packet may wait for the rate of a slow link.
const queueLimit = 500 * time.Millisecond

// queuePackets bounds the packets that wait in a link.
const queuePackets = 4096

// pipe carries the packets of one direction under a rule that holds them back.
type pipe struct {
	rule    Link
	deliver func(packet []byte)
	queue   chan timed
	stop    chan struct{}
	done    sync.WaitGroup

	// The rest belongs to the goroutine that reads the sending host's device.
	free time.Time // when what was sent before has left
	last time.Time // when the packet before this one is due
}

type timed struct {
	due    time.Time
	packet []byte
}

func newPipe(rule Link, deliver func([]byte)) *pipe {
	p := &pipe{rule: rule, deliver: deliver, queue: make(chan timed, queuePackets), stop: make(chan struct{})}
	if rule.holdsBack() {
		p.done.Go(p.run)
	}
	return p
}

func (l Link) holdsBack() bool {
	return !l.Drop && (l.Delay > 0 || l.Jitter > 0 || l.BytesPerSecond > 0)
}

// close loses what is still on its way.
func (p *pipe) close() {
	close(p.stop)
	p.done.Wait()
}

// send takes a packet, which is the caller's again when it returns.
func (p *pipe) send(packet []byte) {
	r := &p.rule
	if r.Drop || r.Loss > 0 && rand.Float64() < r.Loss {
		return
	}
	if !r.holdsBack() {
		p.deliver(packet)
		return
	}
	now := time.Now()
	due := now
	if r.BytesPerSecond > 0 {
		if p.free.Before(now) {
			p.free = now
		}
		if p.free.Sub(now) > queueLimit {
			return
		}
		p.free = p.free.Add(time.Duration(float64(len(packet)) / float64(r.BytesPerSecond) * float64(time.Second)))
		due = p.free
	}
	due = due.Add(r.Delay)
	if r.Jitter > 0 {
		due = due.Add(rand.N(r.Jitter))
	}
	if due.Before(p.last) {
		due = p.last
	}
	p.last = due
	select {
	case p.queue <- timed{due: due, packet: append([]byte(nil), packet...)}:
	default: // full: lost
	}
}

// run delivers packets when they are due.
func (p *pipe) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-p.stop:
			return
		case t := <-p.queue:
			timer.Reset(time.Until(t.due))
			select {
			case <-p.stop:
				return
			case <-timer.C:
			}
			p.deliver(t.packet)
		}
	}
}
