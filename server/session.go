package server

import (
	"strings"

	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("ping", ping)
	bind("echo", echo)
	bind("quit", quit)
	bind("select", selectDB)
	bind("reset", reset)
	bind("hello", hello)
	bind("readonly", readonly)
	bind("readwrite", readwrite)
	bind("asking", asking)
}

// compatibleVersion is the Redis version whose behaviour clients may expect.
const compatibleVersion = "7.2.5"

// session is what a client has set up on its connection. It belongs to the
// connection's goroutine (and to the shard's writer while that runs the
// connection's EXEC). What CLIENT LIST shows of it is in Conn.shared as well.
type session struct {
	db      int
	proto   int
	name    string
	authed  bool // gave the password, or needed none when it connected
	txn     txn
	closing bool // no further command is run

	replyOff bool // CLIENT REPLY OFF
	skip     bool // the reply to this command is left out
	skipNext bool // CLIENT REPLY SKIP was this command
	muteAt   int  // where replies end since REPLY OFF in this command; -1: not in this command

	noTouch bool // CLIENT NO-TOUCH ON

	tracking *tracking // CLIENT TRACKING ON; nil: off
	caching  bool      // CLIENT CACHING was the command before, or is for this transaction

	replica replicaConf // what REPLCONF said

	readOnly bool   // READONLY: reads take what this node has
	wrote    uint64 // a bit a shard: writes since the last read barrier, which a read must wait for
	fresh    uint64 // a bit a shard: a read barrier has passed since the requests arrived
}

func (s *session) init(c *Conn) {
	*s = session{proto: 2, muteAt: -1}
	c.account.Store(c.srv.users.def)
	s.authed = c.srv.users.open()
	c.reader.Limits.Unauthenticated = !s.authed
	c.shared.db.Store(0)
	c.shared.proto.Store(2)
	c.shared.queued.Store(-1)
	c.shared.held.Store(0)
	c.shared.redir.Store(-1)
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	c.shared.mu.user, c.shared.mu.name = c.srv.users.def.name, ""
	c.shared.flags.Store(0)
}

// mustAuthenticate says whether only AUTH and its like may run.
func (c *Conn) mustAuthenticate() bool {
	return !c.authed && !c.srv.users.open()
}

// muting says whether some reply is to be left out.
func (s *session) muting() bool { return s.replyOff || s.skip }

// mute takes back the reply of the command that just ended, which starts at
// mark, when CLIENT REPLY says so.
func (c *Conn) mute(mark int) {
	if !c.replyOff && !c.skip && !c.skipNext {
		return
	}
	if c.muting() {
		if c.muteAt > mark {
			mark = c.muteAt
		}
		c.ws.out.Buf = c.ws.out.Buf[:min(mark, len(c.ws.out.Buf))]
	}
	c.muteAt = -1
	c.skip, c.skipNext = c.skipNext, false
}

func (c *Conn) setDB(db int) {
	c.db = db
	c.shared.db.Store(int32(db))
}

func (c *Conn) setProto(proto int) {
	c.proto = proto
	c.ws.out.Proto = proto
	c.shared.proto.Store(int32(proto))
}

func (c *Conn) setName(name string) {
	c.name = name
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	c.shared.mu.name = name
}

func ping(c *Conn, x *command.Ctx) error {
	if c.subs.total() > 0 && c.proto == 2 && len(x.Args) <= 2 {
		// Among messages, the reply has their form.
		var text []byte
		if len(x.Args) == 2 {
			text = x.Args[1]
		}
		x.Out.Array(2)
		x.Out.BulkString("pong")
		x.Out.Bulk(text)
		return nil
	}
	switch len(x.Args) {
	case 1:
		x.Out.Simple("PONG")
	case 2:
		x.Out.Bulk(x.Args[1])
	default:
		return resp.ErrWrongArity("ping")
	}
	return nil
}

func echo(c *Conn, x *command.Ctx) error {
	x.Out.Bulk(x.Args[1])
	return nil
}

func quit(c *Conn, x *command.Ctx) error {
	c.closing = true
	x.Out.OK()
	return nil
}

func selectDB(c *Conn, x *command.Ctx) error {
	db, err := c.databaseNamed(x.Args[1])
	if err != nil {
		return err
	}
	c.setDB(db)
	x.Out.OK()
	return nil
}

// databaseNamed parses the number of a database that there is.
func (c *Conn) databaseNamed(arg []byte) (int, error) {
	db, ok := parseInt32(arg)
	if !ok {
		return 0, resp.ErrNotInt
	}
	if db < 0 || int64(db) >= c.srv.config.Databases.Load() {
		return 0, resp.ErrDBIndexOutOfRange
	}
	return db, nil
}

// reset makes the connection like a new one.
func reset(c *Conn, x *command.Ctx) error {
	c.stopMonitoring()
	c.unsubscribeAll()
	c.stopTracking()
	c.closeTxn()
	c.session.init(c)
	c.ws.out.Proto = c.proto
	x.Out.Simple("RESET")
	return nil
}

// readonly lets reads do without the read barrier: they see what this node has
// applied, which may be behind but never goes backwards on the connection.
func readonly(c *Conn, x *command.Ctx) error {
	c.readOnly = true
	c.setFlag(flagReadOnly, true)
	x.Out.OK()
	return nil
}

func readwrite(c *Conn, x *command.Ctx) error {
	c.readOnly = false
	c.setFlag(flagReadOnly, false)
	x.Out.OK()
	return nil
}

// asking is for clients that follow a slot that is being moved; none ever is.
func asking(_ *Conn, x *command.Ctx) error {
	x.Out.OK()
	return nil
}

// helloRequest is what HELLO asks for.
type helloRequest struct {
	proto    int // 0: as it is
	user     []byte
	password []byte
	login    bool
	name     []byte
	named    bool
}

// hello is HELLO [protover [AUTH username password] [SETNAME clientname]].
func hello(c *Conn, x *command.Ctx) error {
	h, err := c.parseHello(x.Args)
	if h.login && (err == nil || err == resp.ErrWrongPass) {
		err = c.authenticate(h.user, h.password, x.Args[0])
	}
	if err != nil {
		return err
	}
	if h.named {
		c.setName(string(h.name))
	}
	if h.proto != 0 {
		if c.subs.total() > 0 {
			c.cork() // no message in the new form before this reply
		}
		c.setProto(h.proto)
	}
	c.describeServer(x.Out)
	return nil
}

// parseHello returns what HELLO asks for, and the error that it gets if it were
// run now. It changes nothing.
func (c *Conn) parseHello(args [][]byte) (h helloRequest, err error) {
	args = args[1:]
	if len(args) > 0 {
		n, err := parseInt(args[0])
		if err != nil {
			return h, resp.ErrProtoNotInt
		}
		if n < 2 || n > 3 {
			return h, resp.ErrNoProto
		}
		h.proto = int(n)
		args = args[1:]
	}
	for len(args) > 0 {
		switch {
		case equalFold(args[0], "auth") && len(args) > 2:
			h.login, h.user, h.password = true, args[1], args[2]
			args = args[3:]
		case equalFold(args[0], "setname") && len(args) > 1:
			if !validAttribute(args[1]) {
				return helloRequest{}, resp.ErrClientName
			}
			h.named, h.name = true, args[1]
			args = args[2:]
		default:
			return helloRequest{}, resp.Error("ERR Syntax error in HELLO option '" + cText(args[0]) + "'")
		}
	}
	switch {
	case h.login && !c.accepts(h.user, h.password):
		return h, resp.ErrWrongPass
	case !h.login && c.mustAuthenticate():
		return h, resp.ErrNoAuthHello
	}
	return h, nil
}

func (c *Conn) describeServer(w *resp.Writer) {
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(compatibleVersion)
	w.BulkString("proto")
	w.Int(int64(c.proto))
	w.BulkString("id")
	w.Uint(c.id)
	w.BulkString("mode")
	w.BulkString(c.srv.mode())
	w.BulkString("role")
	if c.srv.node.Follows() {
		w.BulkString("replica")
	} else {
		w.BulkString("master")
	}
	w.BulkString("modules")
	w.Array(0)
}

// validAttribute says whether b can stand in a line of CLIENT LIST.
func validAttribute(b []byte) bool {
	for _, ch := range b {
		if ch < '!' || ch > '~' {
			return false
		}
	}
	return true
}

// cText is b up to its first NUL: what Redis prints of an argument in an error.
func cText(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func parseInt32(b []byte) (int, bool) {
	n, err := parseInt(b)
	if err != nil || n != int64(int32(n)) {
		return 0, false
	}
	return int(n), true
}
