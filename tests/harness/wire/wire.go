package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// ErrUnavailable is returned where namespaces and TUN devices cannot be had.
var ErrUnavailable = errors.New("no network namespaces here")

const (
	// Clients is the number of the host that Dial connects from.
	Clients = 254
	// maxPacket is the MTU: large, as there is no cable, so that a full link
	// costs few system calls.
	maxPacket = 60_000
	// dialLimit bounds Dial.
	dialLimit = 3 * time.Second
)

// Address returns the address of a host.
func Address(host int) string { return fmt.Sprintf("127.77.0.%d", host) }

// Wire is the network. Its methods are safe for concurrent use.
type Wire struct {
	mu struct {
		sync.RWMutex
		hosts  map[int]*Host
		pipes  map[[2]int]*pipe // of links that are not as they should be
		next   int
		closed bool
	}
}

// Host is one machine of the network.
type Host struct {
	Number int
	wire   *Wire
	room   *room
	tun    *os.File
	reader sync.WaitGroup
}

// New makes a network with no hosts but that of the clients.
func New() (*Wire, error) {
	w := &Wire{}
	w.mu.hosts = make(map[int]*Host)
	w.mu.pipes = make(map[[2]int]*pipe)
	if err := w.addHost(Clients); err != nil {
		return nil, err
	}
	return w, nil
}

// AddHost adds a host. Numbers of hosts that were closed are used again only
// when there are no others.
func (w *Wire) AddHost() (*Host, error) {
	w.mu.Lock()
	number := w.mu.next
	for range Clients {
		number = number%(Clients-1) + 1
		if w.mu.hosts[number] == nil {
			break
		}
	}
	w.mu.next = number
	w.mu.Unlock()
	if err := w.addHost(number); err != nil {
		return nil, err
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.mu.hosts[number], nil
}

// Host returns a host by its number, nil when there is none.
func (w *Wire) Host(number int) *Host {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.mu.hosts[number]
}

// Dial connects to host:port from the clients' host.
func (w *Wire) Dial(addr string) (net.Conn, error) {
	h := w.Host(Clients)
	if h == nil {
		return nil, net.ErrClosed
	}
	var c net.Conn
	err := h.room.visit(func() (err error) {
		c, err = net.DialTimeout("tcp4", addr, dialLimit)
		return err
	})
	return c, err
}

// SetLink changes what happens to packets from one host to another from now on.
func (w *Wire) SetLink(from, to int, rule Link) {
	var p *pipe
	if rule != (Link{}) {
		p = newPipe(rule, func(packet []byte) { w.deliver(to, packet) })
	}
	w.mu.Lock()
	old := w.mu.pipes[[2]int{from, to}]
	if p != nil && !w.mu.closed {
		w.mu.pipes[[2]int{from, to}] = p
	} else {
		delete(w.mu.pipes, [2]int{from, to})
	}
	w.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// SetBoth is SetLink in both directions.
func (w *Wire) SetBoth(a, b int, rule Link) {
	w.SetLink(a, b, rule)
	w.SetLink(b, a, rule)
}

// Heal makes all links whole.
func (w *Wire) Heal() {
	w.mu.Lock()
	old := w.mu.pipes
	w.mu.pipes = make(map[[2]int]*pipe)
	w.mu.Unlock()
	for _, p := range old {
		p.close()
	}
}

// Close removes all hosts; processes on them are killed.
func (w *Wire) Close() error {
	w.mu.Lock()
	w.mu.closed = true
	var hosts []*Host
	for _, h := range w.mu.hosts {
		hosts = append(hosts, h)
	}
	w.mu.Unlock()
	w.Heal()
	for _, h := range hosts {
		h.Close()
	}
	return nil
}

// Addr returns the host's address.
func (h *Host) Addr() string { return Address(h.Number) }

// Do runs f on the host's thread: processes that it starts run on that host.
func (h *Host) Do(f func() error) error { return h.room.do(f) }

// Close removes the host. Processes that were started on it are killed.
func (h *Host) Close() {
	h.wire.mu.Lock()
	if h.wire.mu.hosts[h.Number] == h {
		delete(h.wire.mu.hosts, h.Number)
	}
	h.wire.mu.Unlock()
	h.tun.Close()
	h.reader.Wait()
	h.room.close()
}

func (w *Wire) addHost(number int) error {
	room, err := newRoom()
	if err != nil {
		return err
	}
	h := &Host{Number: number, wire: w, room: room}
	err = room.do(func() (err error) {
		h.tun, err = openTUN(Address(number))
		return err
	})
	if err != nil {
		room.close()
		return err
	}
	w.mu.Lock()
	closed := w.mu.closed
	if !closed {
		w.mu.hosts[number] = h
	}
	w.mu.Unlock()
	h.reader.Go(h.read)
	if closed {
		h.Close()
		return net.ErrClosed
	}
	return nil
}

// read hands on what the host sends until its device is closed.
func (h *Host) read() {
	buf := make([]byte, maxPacket+4096)
	for {
		n, err := h.tun.Read(buf)
		if err != nil {
			return
		}
		packet := buf[:n]
		// An IPv4 header has the receiver's address at 16; version 6 has no
		// business here (the kernel asks for routers).
		const headerBytes, versionShift, lastOfReceiver = 20, 4, 19
		if n < headerBytes || packet[0]>>versionShift != 4 {
			continue
		}
		to := int(packet[lastOfReceiver])
		h.wire.mu.RLock()
		p := h.wire.mu.pipes[[2]int{h.Number, to}]
		h.wire.mu.RUnlock()
		if p != nil {
			p.send(packet)
		} else {
			h.wire.deliver(to, packet)
		}
	}
}

// deliver writes a packet to a host's device. A host that is gone hears nothing.
func (w *Wire) deliver(to int, packet []byte) {
	if h := w.Host(to); h != nil {
		h.tun.Write(packet)
	}
}
