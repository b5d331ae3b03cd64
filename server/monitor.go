package server

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("monitor", monitor) }

// monitors are the clients that watch every command. The list is replaced, not
// changed, so that feeding it takes no lock.
type monitors struct {
	list atomic.Pointer[[]*Conn]
	mu   sync.Mutex // held while replacing list
}

func (m *monitors) any() bool { return m.list.Load() != nil }

func (m *monitors) add(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*Conn
	if old := m.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = append(list, c)
	m.list.Store(&list)
}

func (m *monitors) remove(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.list.Load()
	if old == nil {
		return
	}
	list := slices.DeleteFunc(slices.Clone(*old), func(o *Conn) bool { return o == c })
	if len(list) == 0 {
		m.list.Store(nil)
		return
	}
	m.list.Store(&list)
}

// feed shows a command of c, in a database, to all monitors.
func (m *monitors) feed(c *Conn, db int, args [][]byte) {
	from := c.addr
	if c.unix {
		from = "unix:" + c.addr[:len(c.addr)-len(":0")]
	}
	m.show(c.srv.clock(), db, from, args)
}

// show shows a command to all monitors.
func (m *monitors) show(now time.Time, db int, from string, args [][]byte) {
	list := m.list.Load()
	if list == nil {
		return
	}
	line := appendMonitorLine(nil, now, db, from, redacted(args))
	for _, to := range *list {
		to.enqueue(line, true)
	}
}

// appendMonitorLine appends
//
//	+<seconds>.<microseconds> [<db> <address>] "<argument>" ...\r\n
func appendMonitorLine(b []byte, now time.Time, db int, from string, args [][]byte) []byte {
	b = append(b, '+')
	b = strconv.AppendInt(b, now.Unix(), 10)
	b = append(b, '.')
	micros := strconv.Itoa(1e6 + now.Nanosecond()/1000)
	b = append(b, micros[1:]...)
	b = append(b, " ["...)
	b = strconv.AppendInt(b, int64(db), 10)
	b = append(b, ' ')
	b = append(b, from...)
	b = append(b, ']')
	for _, a := range args {
		b = append(b, ' ')
		b = appendQuoted(b, a)
	}
	return append(b, '\r', '\n')
}

// appendQuoted appends s between double quotes, as Redis prints strings for
// people: \\ \" \n \r \t \a \b, and \xHH for what cannot be printed.
func appendQuoted(b, s []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, ch := range s {
		switch ch {
		case '\\', '"':
			b = append(b, '\\', ch)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\a':
			b = append(b, '\\', 'a')
		case '\b':
			b = append(b, '\\', 'b')
		default:
			if ch < ' ' || ch > '~' {
				b = append(b, '\\', 'x', hex[ch>>4], hex[ch&15])
			} else {
				b = append(b, ch)
			}
		}
	}
	return append(b, '"')
}

func monitor(c *Conn, x *command.Ctx) error {
	if c.txn.running {
		return resp.Error("ERR MONITOR isn't allowed for DENY BLOCKING client")
	}
	if c.monitoring.Load() {
		return nil // as in Redis: no second reply
	}
	// The reply leaves before the first command is shown, and every command is shown
	// that is sent after the reply came. From then on others send to this client as
	// well; it never goes back to writing by itself, since a message of theirs may
	// still be on its way.
	x.Out.OK()
	c.mute(0)
	replies := c.ws.out.Buf
	c.ws.out.Buf = nil
	c.share()
	c.srv.monitors.add(c)
	c.send(replies, func() { c.monitoring.Store(true) })
	return nil
}

// stopMonitoring ends MONITOR for a connection, if it is on.
func (c *Conn) stopMonitoring() {
	if !c.monitoring.Load() {
		return
	}
	c.srv.monitors.remove(c)
	c.outbox.mu.Lock()
	defer c.outbox.mu.Unlock()
	c.monitoring.Store(false)
}
