package server

import (
	"cmp"
	"slices"
	"strconv"

	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("client|info", clientInfo)
	bind("client|list", clientList)
	bind("client|kill", clientKill)
}

// connBytes is roughly what a connection takes without its buffers.
const connBytes = 4 << 10

// clientType is a class of clients, as LIST and KILL filter by.
type clientType int

const (
	anyClient clientType = iota
	normalClient
	masterClient
	replicaClient
	pubsubClient
)

func parseClientType(arg []byte) (clientType, error) {
	switch {
	case equalFold(arg, "normal"):
		return normalClient, nil
	case equalFold(arg, "master"):
		return masterClient, nil
	case equalFold(arg, "replica"), equalFold(arg, "slave"):
		return replicaClient, nil
	case equalFold(arg, "pubsub"):
		return pubsubClient, nil
	}
	return anyClient, resp.Error("ERR Unknown client type '" + cText(arg) + "'")
}

// is says whether c belongs to a class. Monitors are normal clients.
func (c *Conn) is(t clientType) bool {
	if c.shared.flags.Load()&flagReplica != 0 {
		return t == anyClient || t == replicaClient
	}
	if c.shared.flags.Load()&flagPubSub != 0 {
		return t == anyClient || t == pubsubClient
	}
	return t == anyClient || t == normalClient
}

func clientInfo(c *Conn, x *command.Ctx) error {
	x.Out.Verbatim("txt", string(c.appendInfo(nil, c)))
	return nil
}

func clientList(c *Conn, x *command.Ctx) error {
	var chosen []*Conn
	switch args := x.Args[2:]; {
	case len(args) == 0:
		chosen = c.srv.clients.list()
	case len(args) == 2 && equalFold(args[0], "type"):
		t, err := parseClientType(args[1])
		if err != nil {
			return err
		}
		chosen = slices.DeleteFunc(c.srv.clients.list(), func(o *Conn) bool { return !o.is(t) })
	case len(args) > 1 && equalFold(args[0], "id"):
		for _, arg := range args[1:] {
			id, err := parseInt(arg)
			if err != nil {
				return resp.Error("ERR Invalid client ID")
			}
			if o := c.srv.clients.get(uint64(id)); o != nil {
				chosen = append(chosen, o)
			}
		}
		x.Out.Verbatim("txt", string(c.appendLines(chosen)))
		return nil
	default:
		return resp.ErrSyntax
	}
	slices.SortFunc(chosen, func(a, b *Conn) int { return cmp.Compare(a.id, b.id) })
	x.Out.Verbatim("txt", string(c.appendLines(chosen)))
	return nil
}

func (c *Conn) appendLines(list []*Conn) []byte {
	b := make([]byte, 0, 300*len(list))
	for _, o := range list {
		b = o.appendInfo(b, c)
	}
	return b
}

// appendInfo appends the line of CLIENT LIST about c. asker is who asks: only
// its own goroutine can look into its buffers; those of others count as empty,
// which they are while they wait for their clients.
func (c *Conn) appendInfo(b []byte, asker *Conn) []byte {
	text := func(name, value string) {
		b = append(append(append(append(b, ' '), name...), '='), value...)
	}
	num := func(name string, n int64) {
		text(name, "")
		b = strconv.AppendInt(b, n, 10)
	}
	sh := &c.shared
	sh.mu.Lock()
	name, libName, libVersion, user := sh.mu.name, sh.mu.libName, sh.mu.libVersion, sh.mu.user
	sh.mu.Unlock()
	last := "NULL"
	if id := sh.last.Load(); id > 0 {
		last = command.All()[id-1].Name
	}
	var free, args, replyCap, replyLen int64
	if c == asker {
		last = c.ws.last.Name
		free, replyCap, replyLen = int64(c.reader.Free()), int64(cap(c.ws.out.Buf)), int64(len(c.ws.out.Buf))
		for _, a := range c.ws.x.Args {
			args += int64(len(a))
		}
	}
	pending, held := sh.pending.Load(), sh.held.Load()
	outBytes, pieces := c.outbox.pending()
	events := "r"
	if outBytes > 0 {
		events = "rw"
	}
	now := nanotime()

	b = append(b, "id="...)
	b = strconv.AppendUint(b, c.id, 10)
	text("addr", c.addr)
	text("laddr", c.laddr)
	num("fd", int64(c.fd))
	text("name", name)
	num("age", int64(c.srv.clock().Sub(c.opened).Seconds()))
	num("idle", int64(c.idle(now).Seconds()))
	text("flags", c.flagLetters())
	num("db", int64(sh.db.Load()))
	num("sub", int64(sh.subs[toChannel].Load()))
	num("psub", int64(sh.subs[toPattern].Load()))
	num("ssub", int64(sh.subs[toShardChannel].Load()))
	num("multi", int64(sh.queued.Load()))
	num("qbuf", pending)
	num("qbuf-free", free)
	num("argv-mem", args)
	num("multi-mem", held)
	num("rbs", replyCap)
	num("rbp", replyCap)
	num("obl", replyLen)
	num("oll", int64(pieces))
	num("omem", int64(outBytes))
	num("tot-mem", connBytes+pending+free+args+held+replyCap+int64(outBytes))
	text("events", events)
	text("cmd", last)
	text("user", user)
	num("redir", -1)
	num("resp", int64(sh.proto.Load()))
	text("lib-name", libName)
	text("lib-ver", libVersion)
	return append(b, '\n')
}

// flagLetters is the flags field of CLIENT LIST.
func (c *Conn) flagLetters() string {
	f := c.shared.flags.Load()
	var b []byte
	for _, l := range [...]struct {
		on     bool
		letter byte
	}{
		{c.monitoring.Load(), 'O'},
		{f&flagReplica != 0, 'S'},
		{f&flagPubSub != 0, 'P'},
		{f&flagTransaction != 0, 'x'},
		{f&(flagPaused|flagBlocked) != 0, 'b'},
		{c.unix, 'U'},
		{f&flagReadOnly != 0, 'r'},
		{f&flagNoEvict != 0, 'e'},
		{f&flagNoTouch != 0, 'T'},
	} {
		if l.on {
			b = append(b, l.letter)
		}
	}
	if len(b) == 0 {
		return "N"
	}
	return string(b)
}

// killFilter chooses the clients of CLIENT KILL; zero values match all.
type killFilter struct {
	id     uint64
	addr   *string
	laddr  *string
	class  clientType
	user   string
	skipMe bool
}

func clientKill(c *Conn, x *command.Ctx) error {
	f := killFilter{}
	old := len(x.Args) == 3
	if old {
		f.addr = new(string(x.Args[2]))
	} else {
		var err error
		if f, err = parseKillFilter(x.Args[2:]); err != nil {
			return err
		}
	}
	killed := int64(0)
	for _, o := range c.srv.clients.list() {
		switch {
		case !f.matches(o), o == c && f.skipMe:
			continue
		case o == c:
			c.closing = true // after the reply
		case !o.kill():
			continue
		}
		killed++
	}
	switch {
	case !old:
		x.Out.Int(killed)
	case killed == 0:
		return resp.ErrNoSuchClient
	default:
		x.Out.OK()
	}
	return nil
}

func parseKillFilter(args [][]byte) (killFilter, error) {
	f := killFilter{skipMe: true}
	for ; len(args) > 0; args = args[2:] {
		if len(args) == 1 {
			return f, resp.ErrSyntax
		}
		var err error
		switch value := args[1]; {
		case equalFold(args[0], "id"):
			id, perr := parseInt(value)
			if perr != nil || id < 1 {
				return f, resp.Error("ERR client-id should be greater than 0")
			}
			f.id = uint64(id)
		case equalFold(args[0], "type"):
			f.class, err = parseClientType(value)
		case equalFold(args[0], "addr"):
			f.addr = new(string(value))
		case equalFold(args[0], "laddr"):
			f.laddr = new(string(value))
		case equalFold(args[0], "user"):
			if f.user = string(value); f.user != defaultUser {
				return f, resp.Error("ERR No such user '" + cText(value) + "'")
			}
		case equalFold(args[0], "skipme") && equalFold(value, "yes"):
			f.skipMe = true
		case equalFold(args[0], "skipme") && equalFold(value, "no"):
			f.skipMe = false
		default:
			return f, resp.ErrSyntax
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *killFilter) matches(c *Conn) bool {
	return (f.id == 0 || c.id == f.id) &&
		(f.addr == nil || c.addr == *f.addr) &&
		(f.laddr == nil || c.laddr == *f.laddr) &&
		c.is(f.class)
}
