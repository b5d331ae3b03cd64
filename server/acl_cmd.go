package server

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"

	"dkv/resp"
	"dkv/server/acl"
	"dkv/server/command"
)

func init() {
	bind("acl|setuser", aclSetUser)
	bind("acl|deluser", aclDelUser)
	bind("acl|getuser", aclGetUser)
	bind("acl|list", func(c *Conn, x *command.Ctx) error { return aclList(c, x, (*acl.User).Line) })
	bind("acl|users", func(c *Conn, x *command.Ctx) error { return aclList(c, x, (*acl.User).Name) })
	bind("acl|whoami", aclWhoAmI)
	bind("acl|cat", aclCat)
	bind("acl|genpass", aclGenPass)
	bind("acl|dryrun", aclDryRun)
	bind("acl|help", help("ACL",
		"CAT [<category>]",
		"    List all commands that belong to <category>, or all command categories",
		"    when no category is specified.",
		"DELUSER <username> [<username> ...]",
		"    Delete a list of users.",
		"DRYRUN <username> <command> [<arg> ...]",
		"    Returns whether the user can execute the given command without executing the command.",
		"GETUSER <username>",
		"    Get the user's details.",
		"GENPASS [<bits>]",
		"    Generate a secure 256-bit user password. The optional `bits` argument can",
		"    be used to specify a different size.",
		"LIST",
		"    Show users details in config file format.",
		"LOAD",
		"    Reload users from the ACL file.",
		"LOG [<count> | RESET]",
		"    Show the ACL log entries.",
		"SAVE",
		"    Save the current config to the ACL file.",
		"SETUSER <username> <attribute> [<attribute> ...]",
		"    Create or modify a user with the specified attributes.",
		"USERS",
		"    List all the registered usernames.",
		"WHOAMI",
		"    Return the current connection username.",
	))
}

// aclSetUser is ACL SETUSER username [rule ...].
func aclSetUser(c *Conn, x *command.Ctx) error {
	name, u := string(x.Args[2]), &c.srv.users
	if !acl.ValidName(name) {
		return resp.Error("ERR Usernames can't contain spaces or null characters")
	}
	if !u.local {
		return c.changeUsers(x, u.withPassword(name, x.Args))
	}
	defer c.endChange(c.beginChange())
	u.change.Lock()
	defer u.change.Unlock()
	user := acl.NewUser(name, u.parser().AllChannels)
	if a := u.get(name); a != nil {
		user = a.user.Load()
	}
	user, err := u.parser().Set(user, texts(x.Args[3:]))
	if err != nil {
		return resp.Error("ERR " + err.Error())
	}
	u.putLocked(user)
	x.Out.OK()
	return nil
}

// withPassword returns the arguments of ACL SETUSER, and for the default user before its
// rules the password that requirepass has given it on this node, which no record has.
func (u *users) withPassword(name string, args [][]byte) [][]byte {
	if name != acl.DefaultName {
		return args
	}
	u.change.Lock()
	defer u.change.Unlock()
	if u.password == nil {
		return args
	}
	def := u.def.user.Load()
	own := [][]byte{[]byte("resetpass")}
	if def.NoPass() {
		own[0] = []byte("nopass")
	}
	for _, p := range def.Passwords() {
		own = append(own, []byte("#"+p))
	}
	return slices.Concat(args[:3:3], own, args[3:])
}

// beginChange says that this connection changes users, which may end it. endChange must follow.
func (c *Conn) beginChange() struct{} {
	c.changing.Store(true)
	return struct{}{}
}

func (c *Conn) endChange(struct{}) {
	c.changing.Store(false)
	if c.doomed.Swap(false) {
		c.closing = true
	}
}

// changeUsers has ACL SETUSER or ACL DELUSER done by the leader of shard 0, and returns when
// this node knows what came of it.
func (c *Conn) changeUsers(x *command.Ctx, args [][]byte) error {
	if c.srv.node.Follows() {
		return resp.ErrReadOnly
	}
	defer c.endChange(c.beginChange())
	c.leave()
	r := newRequest(0)
	r.srv, r.slots, r.out, r.maxReply = c.srv, c.ws.slots, &r.own, maxTaskReply
	r.calls = []call{{spec: x.Spec, args: args, proto: c.proto}}
	c.wrote |= 1
	if r.submit(); r.err != nil {
		return resp.Error(taskErrorText(r.err))
	}
	if r.calls[0].failed {
		return resp.Error(errorLine(r.reply(0)))
	}
	_ = c.srv.node.Barrier(c.srv.work, 0) // else this node learns of it by and by
	if err := c.srv.users.reload(); err != nil {
		c.srv.log.Error("cannot read users", "err", err)
	}
	x.Out.Raw(r.reply(0))
	return nil
}

// aclDelUser is ACL DELUSER username ...
func aclDelUser(c *Conn, x *command.Ctx) error {
	for _, arg := range x.Args[2:] {
		if string(arg) == acl.DefaultName {
			return resp.Error("ERR The 'default' user cannot be removed")
		}
	}
	u := &c.srv.users
	if !u.local {
		return c.changeUsers(x, x.Args)
	}
	defer c.endChange(c.beginChange())
	u.change.Lock()
	defer u.change.Unlock()
	n := int64(0)
	for _, arg := range x.Args[2:] {
		if u.removeLocked(string(arg)) {
			n++
		}
	}
	x.Out.Int(n)
	return nil
}

// aclGetUser is ACL GETUSER username.
func aclGetUser(c *Conn, x *command.Ctx) error {
	c.refreshUsers()
	a := c.srv.users.get(string(x.Args[2]))
	if a == nil {
		x.Out.Null()
		return nil
	}
	u, w := a.user.Load(), x.Out
	w.Map(6)
	w.BulkString("flags")
	flags := u.Flags()
	w.Set(len(flags))
	for _, f := range flags {
		w.BulkString(f)
	}
	w.BulkString("passwords")
	w.Array(len(u.Passwords()))
	for _, p := range u.Passwords() {
		w.BulkString(p)
	}
	rights := u.Describe()
	describeRights(w, rights[0])
	w.BulkString("selectors")
	w.Array(len(rights) - 1)
	for _, d := range rights[1:] {
		w.Map(3)
		describeRights(w, d)
	}
	return nil
}

func describeRights(w *resp.Writer, d acl.Description) {
	w.BulkString("commands")
	w.BulkString(d.Commands)
	w.BulkString("keys")
	w.BulkString(d.Keys)
	w.BulkString("channels")
	w.BulkString(d.Channels)
}

// aclList replies what f tells of each user, in the order of names.
func aclList(c *Conn, x *command.Ctx, f func(*acl.User) string) error {
	c.refreshUsers()
	list := c.srv.users.sorted()
	x.Out.Array(len(list))
	for _, u := range list {
		x.Out.BulkString(f(u))
	}
	return nil
}

func aclWhoAmI(c *Conn, x *command.Ctx) error {
	x.Out.BulkString(c.account.Load().name)
	return nil
}

// aclCat is ACL CAT [category].
func aclCat(_ *Conn, x *command.Ctx) error {
	switch {
	case len(x.Args) > 3:
		return resp.ErrSubcommandSyntax(x.Args[1], "acl")
	case len(x.Args) == 2:
		names := (^command.Categories(0)).Names()
		x.Out.Array(len(names))
		for _, n := range names {
			x.Out.BulkString(n)
		}
		return nil
	}
	category, ok := command.ParseCategory(lowerText(x.Args[2]))
	if !ok {
		text := cText(x.Args[2])
		return resp.Error("ERR Unknown category '" + text[:min(len(text), 128)] + "'")
	}
	var names []string
	for _, spec := range command.All() {
		if spec.Categories&category != 0 {
			names = append(names, spec.Name)
		}
	}
	x.Out.Array(len(names))
	for _, n := range names {
		x.Out.BulkString(n)
	}
	return nil
}

// lowerText is an argument up to its first NUL, in lower case.
func lowerText(arg []byte) string {
	b := []byte(cText(arg))
	for i, ch := range b {
		if ch >= 'A' && ch <= 'Z' {
			b[i] = ch + 'a' - 'A'
		}
	}
	return string(b)
}

// Bits of a password that ACL GENPASS makes up.
const (
	defaultPassBits = 256
	maxPassBits     = 4096
)

// aclGenPass is ACL GENPASS [bits].
func aclGenPass(_ *Conn, x *command.Ctx) error {
	bits := int64(defaultPassBits)
	switch {
	case len(x.Args) > 3:
		return resp.ErrSubcommandSyntax(x.Args[1], "acl")
	case len(x.Args) == 3:
		var err error
		if bits, err = parseInt(x.Args[2]); err != nil {
			return err
		}
	}
	if bits <= 0 || bits > maxPassBits {
		return resp.Error(fmt.Sprintf("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to %d", maxPassBits))
	}
	random := make([]byte, (bits+7)/8)
	rand.Read(random) // never fails
	x.Out.BulkString(hex.EncodeToString(random)[:(bits+3)/4])
	return nil
}

// aclDryRun is ACL DRYRUN username command [arg ...].
func aclDryRun(c *Conn, x *command.Ctx) error {
	c.refreshUsers()
	a := c.srv.users.get(string(x.Args[2]))
	if a == nil {
		return resp.Error("ERR User '" + cText(x.Args[2]) + "' not found")
	}
	args := x.Args[3:]
	spec := command.Lookup(args[0])
	if spec != nil && spec.Subcommands != nil && len(args) > 1 {
		spec = spec.Sub(args[1])
	}
	if spec == nil {
		return resp.Error("ERR Command '" + cText(args[0]) + "' not found")
	}
	if !spec.GoodArity(len(args)) {
		return resp.ErrWrongArity(spec.Name)
	}
	u := a.user.Load()
	if why, arg := u.Check(spec, args); why != acl.Allowed {
		x.Out.BulkString(acl.Message(why, u, spec, args[arg], true))
		return nil
	}
	x.Out.OK()
	return nil
}

// texts are arguments as strings.
func texts(args [][]byte) []string {
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = string(a)
	}
	return list
}
