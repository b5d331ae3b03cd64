package server

import (
	"crypto/sha256"
	"crypto/subtle"

	"dkv/resp"
	"dkv/server/command"
)

func init() { bind("auth", auth) }

// auth is AUTH [username] password.
func auth(c *Conn, x *command.Ctx) error {
	switch len(x.Args) {
	case 2:
		if *c.srv.config.RequirePass.Load() == "" {
			return resp.ErrNoPasswordSet
		}
		if err := c.authenticate([]byte(defaultUser), x.Args[1]); err != nil {
			return err
		}
	case 3:
		if err := c.authenticate(x.Args[1], x.Args[2]); err != nil {
			return err
		}
	default:
		return resp.ErrSyntax
	}
	x.Out.OK()
	return nil
}

// authenticate lets the client in when user and password are right. Without a
// configured password any one is.
func (c *Conn) authenticate(user, password []byte) error {
	if !c.accepts(user, password) {
		c.srv.stats.AuthFailures.Add(1)
		return resp.ErrWrongPass
	}
	c.authed = true
	c.user = defaultUser
	c.reader.Limits.Unauthenticated = false // for the rest of this pipeline too
	return nil
}

// accepts says whether user and password are right.
func (c *Conn) accepts(user, password []byte) bool {
	want := *c.srv.config.RequirePass.Load()
	return string(user) == defaultUser && (want == "" || samePassword(password, want))
}

// samePassword takes the same time whatever the passwords are.
func samePassword(got []byte, want string) bool {
	a, b := sha256.Sum256(got), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
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
