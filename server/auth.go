package server

import (
	"dkv/resp"
	"dkv/server/acl"
	"dkv/server/command"
)

func init() { bind("auth", auth) }

// auth is AUTH [username] password.
func auth(c *Conn, x *command.Ctx) error {
	switch len(x.Args) {
	case 2:
		if c.srv.users.def.user.Load().NoPass() {
			return resp.ErrNoPasswordSet
		}
		if err := c.authenticate([]byte(acl.DefaultName), x.Args[1], x.Args[0]); err != nil {
			return err
		}
	case 3:
		if err := c.authenticate(x.Args[1], x.Args[2], x.Args[0]); err != nil {
			return err
		}
	default:
		return resp.ErrSyntax
	}
	x.Out.OK()
	return nil
}

// authenticate lets the client in when user and password are right. name is that of the
// command, for the log of denials.
func (c *Conn) authenticate(user, password, name []byte) error {
	a := c.srv.users.login(user, password)
	if a == nil {
		c.refreshUsers() // another node may just have changed them
		a = c.srv.users.login(user, password)
	}
	if a == nil {
		context := contextTop
		if c.txn.running {
			context = contextMulti
		}
		c.srv.users.note(c.info(c), acl.DeniedAuth, context, string(user), string(name))
		return resp.ErrWrongPass
	}
	c.become(a)
	return nil
}

// accepts says whether user and password are right.
func (c *Conn) accepts(user, password []byte) bool {
	return c.srv.users.login(user, password) != nil
}

// attackLogInterval keeps an attacker from filling the log.
const attackLogInterval = 60e9 // nanoseconds

// isAttack recognizes the first words of an HTTP request: a browser that was
// made to talk to this port. Its headers would be taken for commands.
func isAttack(name []byte) bool {
	return equalFold(name, "post") || equalFold(name, "host:")
}

// securityWarning ends the connection without a reply.
func (c *Conn) securityWarning() {
	now, last := nanotime(), c.srv.attackAt.Load()
	if (last == 0 || now-last > attackLogInterval) && c.srv.attackAt.CompareAndSwap(last, now) {
		c.srv.log.Warn("Possible SECURITY ATTACK detected: somebody sends POST or Host: commands, which is likely "+
			"cross protocol scripting. The connection is aborted.", "addr", c.addr)
	}
	c.kill()
}
