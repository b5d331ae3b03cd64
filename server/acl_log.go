package server

import (
	"bytes"
	"sync"

	"dkv/resp"
	"dkv/server/acl"
	"dkv/server/command"
)

func init() { bind("acl|log", aclLogCmd) }

// Contexts of a denial.
const (
	contextTop    = "toplevel"
	contextMulti  = "multi"
	contextScript = "lua"
)

// Bounds of how denials are put together, as in Redis.
const (
	aclLogScan     = 10
	aclLogInterval = 60e3 // milliseconds
	aclLogShown    = 10   // entries, without a count
	maxLogObject   = 4096 // bytes of the name of a key or user that are kept
)

// aclLog is what was denied lately.
type aclLog struct {
	config *Config
	mu     struct {
		sync.Mutex
		list   []*denial // the newest first
		nextID int64
	}
}

// denial is an entry of the log.
type denial struct {
	id               int64
	count            int64
	reason           acl.Reason
	context          string
	object, user     string
	client           string
	created, updated int64 // Unix ms
}

func (d *denial) like(o *denial) bool {
	return d.reason == o.reason && d.context == o.context && d.object == o.object && d.user == o.user &&
		max(d.updated-o.updated, o.updated-d.updated) <= aclLogInterval
}

// note counts a denial and puts it into the log. client is its line of CLIENT LIST.
func (u *users) note(client string, why acl.Reason, context, user, object string) {
	st := u.srv.stats
	switch why {
	case acl.DeniedCommand:
		st.DeniedCommands.Add(1)
	case acl.DeniedKey:
		st.DeniedKeys.Add(1)
	case acl.DeniedChannel:
		st.DeniedChannels.Add(1)
	case acl.DeniedAuth:
		st.AuthFailures.Add(1)
	}
	now := u.srv.clock().UnixMilli()
	d := &denial{
		count: 1, client: client, reason: why, context: context, created: now, updated: now,
		object: object[:min(len(object), maxLogObject)], user: user[:min(len(user), maxLogObject)],
	}
	u.log.add(d)
}

// info is the line of CLIENT LIST about a connection. asker is c when the goroutine is its own.
func (c *Conn) info(asker *Conn) string {
	return string(bytes.TrimSuffix(c.appendInfo(nil, asker), []byte("\n")))
}

// add puts an entry in front, or counts one that is like it.
func (l *aclLog) add(d *denial) {
	most := int(l.config.Int("acllog-max-len"))
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.mu.list
	for i := range min(len(list), aclLogScan) {
		if old := list[i]; old.like(d) {
			old.client, old.updated = d.client, d.updated
			old.count++
			copy(list[1:i+1], list[:i])
			list[0] = old
			return
		}
	}
	d.id = l.mu.nextID
	l.mu.nextID++
	list = append(list, nil)
	copy(list[1:], list)
	list[0] = d
	if len(list) > most {
		clear(list[most:])
		list = list[:most]
	}
	l.mu.list = list
}

// newest returns copies of up to n entries.
func (l *aclLog) newest(n int64) []denial {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]denial, min(n, int64(len(l.mu.list))))
	for i := range list {
		list[i] = *l.mu.list[i]
	}
	return list
}

func (l *aclLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.list = nil
}

// aclLogCmd is ACL LOG [count|RESET].
func aclLogCmd(c *Conn, x *command.Ctx) error {
	n := int64(aclLogShown)
	switch {
	case len(x.Args) > 3:
		return resp.ErrSubcommandSyntax(x.Args[1], "acl")
	case len(x.Args) == 3 && equalFold(x.Args[2], "reset"):
		c.srv.users.log.reset()
		x.Out.OK()
		return nil
	case len(x.Args) == 3:
		var err error
		if n, err = parseInt(x.Args[2]); err != nil {
			return err
		}
	}
	list := c.srv.users.log.newest(max(n, 0))
	now := c.srv.clock().UnixMilli()
	x.Out.Array(len(list))
	for i := range list {
		list[i].reply(x.Out, now)
	}
	return nil
}

func (d *denial) reply(w *resp.Writer, now int64) {
	text := func(name, value string) {
		w.BulkString(name)
		w.BulkString(value)
	}
	number := func(name string, n int64) {
		w.BulkString(name)
		w.Int(n)
	}
	w.Map(10)
	number("count", d.count)
	text("reason", d.reason.String())
	text("context", d.context)
	text("object", d.object)
	text("username", d.user)
	w.BulkString("age-seconds")
	w.Double(float64(now-d.updated) / 1000)
	text("client-info", d.client)
	number("entry-id", d.id)
	number("timestamp-created", d.created)
	number("timestamp-last-updated", d.updated)
}
