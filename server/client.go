package server

import (
	"time"

	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("client|id", clientID)
	bind("client|getname", clientGetName)
	bind("client|setname", clientSetName)
	bind("client|setinfo", clientSetInfo)
	bind("client|reply", clientReply)
	bind("client|no-evict", clientNoEvict)
	bind("client|no-touch", clientNoTouch)
	bind("client|pause", clientPause)
	bind("client|unpause", clientUnpause)
	bind("client|help", help("CLIENT",
		"CACHING (YES|NO)", "    Track the keys of the next command, or do not (OPTIN, OPTOUT).",
		"GETNAME", "    The name of this connection.",
		"GETREDIR", "    Which connection is told of invalidations instead of this one.",
		"ID", "    The id of this connection.",
		"INFO", "    The line of CLIENT LIST about this connection.",
		"KILL <ip:port>", "    Close the connection from an address.",
		"KILL <option> <value> [<option> <value> ...]", "    Close the connections that all of these match:",
		"    * ADDR (<ip:port>|<unixsocket>:0), LADDR (<ip:port>|<unixsocket>:0)", "      Remote or local address.",
		"    * ID <id>, TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER <name>", "      Id, kind, user.",
		"    * SKIPME (YES|NO)", "      Leave this connection out (default: yes).",
		"LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> [<id> ...]]", "    A line about every connection.",
		"NO-EVICT (ON|OFF)", "    Accepted for compatibility: clients are not evicted.",
		"NO-TOUCH (ON|OFF)", "    Do not note this client's commands as accesses of keys.",
		"PAUSE <milliseconds> [WRITE|ALL]", "    Hold back the writes or all commands of clients.",
		"REPLY (ON|OFF|SKIP)", "    Send replies, no replies, or none to the next command.",
		"SETINFO (LIB-NAME|LIB-VER) <value>", "    Say which library this client uses.",
		"SETNAME <name>", "    Name this connection.",
		"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
		"    Tell this client when keys change that it has read.",
		"TRACKINGINFO", "    What TRACKING has set up on this connection.",
		"UNBLOCK <id> [TIMEOUT|ERROR]", "    End the wait of a client in a blocking command.",
		"UNPAUSE", "    End CLIENT PAUSE.",
	))
}

func clientID(c *Conn, x *command.Ctx) error {
	x.Out.Uint(c.id)
	return nil
}

func clientGetName(c *Conn, x *command.Ctx) error {
	if c.name == "" {
		x.Out.Null()
		return nil
	}
	x.Out.BulkString(c.name)
	return nil
}

func clientSetName(c *Conn, x *command.Ctx) error {
	if !validAttribute(x.Args[2]) {
		return resp.ErrClientName
	}
	c.setName(string(x.Args[2]))
	x.Out.OK()
	return nil
}

func clientSetInfo(c *Conn, x *command.Ctx) error {
	attr, value := x.Args[2], x.Args[3]
	c.shared.mu.Lock()
	defer c.shared.mu.Unlock()
	field := &c.shared.mu.libName
	switch {
	case equalFold(attr, "lib-name"):
	case equalFold(attr, "lib-ver"):
		field = &c.shared.mu.libVersion
	default:
		return resp.Error("ERR Unrecognized option '" + cText(attr) + "'")
	}
	if !validAttribute(value) {
		return resp.Error("ERR " + cText(attr) + " cannot contain spaces, newlines or special characters.")
	}
	*field = string(value)
	x.Out.OK()
	return nil
}

func clientReply(c *Conn, x *command.Ctx) error {
	switch mode := x.Args[2]; {
	case equalFold(mode, "on"):
		c.replyOff, c.skip = false, false
		x.Out.OK()
	case equalFold(mode, "off"):
		c.replyOff = true
		c.muteAt = len(x.Out.Buf)
	case equalFold(mode, "skip"):
		c.skipNext = !c.replyOff
	default:
		return resp.ErrSyntax
	}
	return nil
}

// onOff parses an argument that is ON or OFF.
func onOff(arg []byte) (on bool, err error) {
	switch {
	case equalFold(arg, "on"):
		return true, nil
	case equalFold(arg, "off"):
		return false, nil
	}
	return false, resp.ErrSyntax
}

// clientNoEvict spares a client from maxmemory-clients.
func clientNoEvict(c *Conn, x *command.Ctx) error {
	on, err := onOff(x.Args[2])
	if err != nil {
		return err
	}
	c.setFlag(flagNoEvict, on)
	x.Out.OK()
	return nil
}

func clientNoTouch(c *Conn, x *command.Ctx) error {
	on, err := onOff(x.Args[2])
	if err != nil {
		return err
	}
	c.noTouch = on
	c.setFlag(flagNoTouch, on)
	x.Out.OK()
	return nil
}

// maxPause keeps the sum of a time and a pause within an int64.
const maxPause = int64(1<<62) / int64(time.Millisecond)

func clientPause(c *Conn, x *command.Ctx) error {
	mode := pauseAll
	switch {
	case len(x.Args) > 4:
		return resp.ErrSubcommandSyntax(x.Args[1], "client")
	case len(x.Args) == 4 && equalFold(x.Args[3], "write"):
		mode = pauseWrites
	case len(x.Args) == 4 && !equalFold(x.Args[3], "all"):
		return resp.Error("ERR CLIENT PAUSE mode must be WRITE or ALL")
	}
	ms, err := parseInt(x.Args[2])
	switch {
	case err != nil:
		return resp.ErrTimeoutNotInt
	case ms < 0:
		return resp.ErrTimeoutNegative
	case ms > maxPause:
		return resp.ErrTimeoutOutOfRange
	}
	c.srv.pause.begin(mode, time.Duration(ms)*time.Millisecond)
	x.Out.OK()
	return nil
}

func clientUnpause(c *Conn, x *command.Ctx) error {
	c.srv.pause.end()
	x.Out.OK()
	return nil
}
