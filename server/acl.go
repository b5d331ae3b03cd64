package server

import (
	"slices"

	"dkv/resp"
	"dkv/server/acl"
	"dkv/server/command"
)

// denied returns why the connection's user may not run a command, "" when it may. A denial is
// noted in the log of them. u is not allowed everything.
func (c *Conn) denied(u *acl.User, spec *command.Spec, args [][]byte) resp.Error {
	why, arg := u.Check(spec, args)
	if why == acl.Allowed {
		return ""
	}
	c.ws.last = spec
	c.srv.users.note(c.info(c), why, c.aclContext(), u.Name(), deniedObject(why, spec, args[arg]))
	return resp.Error("NOPERM " + acl.Message(why, u, spec, args[arg], false))
}

// aclContext says where the connection's command is run, for the log of denials.
func (c *Conn) aclContext() string {
	if c.txn.open {
		return contextMulti
	}
	return contextTop
}

// deniedObject is what the log names: the command, or the argument that was denied.
func deniedObject(why acl.Reason, spec *command.Spec, arg []byte) string {
	if why == acl.DeniedCommand {
		return spec.Name
	}
	return string(arg)
}

// Why a queued command is not run by EXEC.
var execDenials = map[acl.Reason]string{
	acl.DeniedCommand: "no permission to execute the command or subcommand",
	acl.DeniedKey:     "no permission to touch the specified keys",
	acl.DeniedChannel: "no permission to access one of the channels used as arguments to the command",
}

// recheck looks again at the queued commands, whose user may have lost rights since. A
// command AUTH or HELLO among them changes the user for those behind it, scripts included.
func (c *Conn) recheck() {
	a := c.account.Load()
	var as *caller
	known := map[*acl.User]*caller{}
	for i := range c.txn.calls {
		k := &c.txn.calls[i]
		u := a.user.Load()
		k.as = as
		if why, arg := u.Check(k.spec, k.args); why != acl.Allowed {
			c.srv.users.note(c.info(c), why, contextMulti, u.Name(), deniedObject(why, k.spec, k.args[arg]))
			k.refused = resp.Error("NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. " +
				"This command is no longer allowed for the following reason: " + execDenials[why])
			if k.spec.Handler != nil {
				c.txn.onKeys--
			}
			continue
		}
		if next := c.foreseenUser(k); next != nil {
			a, u = next, next.user.Load()
			if as = known[u]; as == nil {
				as = &caller{c.srv, c, u}
				known[u] = as
			}
		}
	}
}

// changesUser reports whether a queued command may log in as another user.
func (c *Conn) changesUser() bool {
	return slices.ContainsFunc(c.txn.calls, func(k call) bool { return k.spec == specAuth || k.spec == specHello })
}

// foreseenUser returns the account that a queued command will log in as, nil: none.
func (c *Conn) foreseenUser(k *call) *account {
	switch {
	case k.spec == specAuth && len(k.args) == 3:
		return c.srv.users.login(k.args[1], k.args[2])
	case k.spec == specAuth && len(k.args) == 2 && !c.srv.users.def.user.Load().NoPass():
		return c.srv.users.login([]byte(acl.DefaultName), k.args[1])
	case k.spec == specHello:
		if h, err := c.parseHello(k.args); err == nil && h.login {
			return c.srv.users.login(h.user, h.password)
		}
	}
	return nil
}

var specAuth = command.Lookup([]byte("auth"))

// onKeys reports whether the call is one for the shard, and not refused.
func (k *call) onKeys() bool { return k.spec.Handler != nil && k.refused == "" }

// caller is a user as scripts and SORT see it. It implements command.Caller, also for users
// of other nodes, whose requests were forwarded.
type caller struct {
	srv  *Server
	conn *Conn // nil: of another node
	user *acl.User
}

// caller returns who the connection's commands are run for, nil when that is somebody who
// may do everything.
func (c *Conn) caller() *caller {
	u := c.account.Load().user.Load()
	if u.All() {
		return nil
	}
	if c.as == nil || c.as.user != u {
		c.as = &caller{c.srv, c, u}
	}
	return c.as
}

// of puts the caller into a command's context.
func (k *caller) of(x *command.Ctx) {
	if x.Caller = nil; k != nil {
		x.Caller = k
	}
}

// Deny implements command.Caller.
func (k *caller) Deny(spec *command.Spec, args [][]byte) string {
	why, arg := k.user.Check(spec, args)
	if why == acl.Allowed {
		return ""
	}
	client := "user=" + k.user.Name()
	if k.conn != nil {
		client = k.conn.info(nil)
	}
	k.srv.users.note(client, why, contextScript, k.user.Name(), deniedObject(why, spec, args[arg]))
	return "NOPERM ACL failure in script: " + acl.Message(why, k.user, spec, args[arg], false)
}

// Allows implements command.Caller.
func (k *caller) Allows(spec *command.Spec, args [][]byte) bool {
	why, _ := k.user.Check(spec, args)
	return why == acl.Allowed
}

// MayRead implements command.Caller.
func (k *caller) MayRead(spec *command.Spec, args [][]byte) bool { return k.user.MayRead(spec, args) }

// callerOf returns who a call is run for, nil when that is somebody who may do everything.
func (r *shardRequest) callerOf(k *call) *caller {
	switch {
	case k.as == nil:
		return r.caller
	case k.as.user.All():
		return nil
	}
	return k.as
}

// callers returns the callers that commands of a request look at. With several they are
// not the same for all of its calls.
func (r *shardRequest) callers() (list []*caller, several bool) {
	for i := r.from; i < len(r.calls); i++ {
		k := &r.calls[i]
		if !asksCaller(k.spec) {
			continue
		}
		several = several || k.as != nil
		if who := r.callerOf(k); who != nil && !slices.Contains(list, who) {
			list = append(list, who)
		}
	}
	return list, several
}

// asksCaller reports whether a command looks at who it is run for.
func asksCaller(spec *command.Spec) bool {
	return spec.Group == command.GroupScripting || spec == specSort
}

var specSort = command.Lookup([]byte("sort"))

// Bounds of the users of other nodes that are kept in the form in which they are used.
const (
	maxParsed      = 256
	maxParsedBytes = 16 << 10 // of name and rules of one
)

// foreign returns the caller of a forwarded request: the rules that it has on the node where
// it is connected hold, not what this node knows.
func (u *users) foreign(name, record []byte) (*caller, error) {
	key := string(name) + "\x00" + string(record)
	u.mu.RLock()
	user := u.mu.parsed[key]
	u.mu.RUnlock()
	if user == nil {
		var err error
		if user, err = acl.ParseRecord(string(name), record); err != nil {
			return nil, errForward
		}
		if len(key) > maxParsedBytes {
			return &caller{u.srv, nil, user}, nil
		}
		u.mu.Lock()
		if len(u.mu.parsed) >= maxParsed {
			clear(u.mu.parsed)
		}
		u.mu.parsed[key] = user
		u.mu.Unlock()
	}
	return &caller{u.srv, nil, user}, nil
}
