package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster"
	"dkv/engine/keyspace"
	"dkv/server/acl"
)

// users are who can log in on this node.
//
// Without a file of users and `user` lines they are records of shard 0: replicated, in
// backups, kept over restarts (docs/adr/0020-acl.md). Each node has them in memory and reads
// them again when a batch that has changed them is applied here, and once a second, for what
// comes without batches: a raft snapshot, a replica's copy. With such a file or such lines
// they are this node's own, as in Redis.
//
// Lock order: change, then mu. Neither is held while a command waits for a shard.
type users struct {
	srv   *Server
	local bool
	file  string   // path of the aclfile; "": none
	def   *account // of the default user, for good
	wake  chan struct{}
	log   aclLog

	change  sync.Mutex        // held by who changes users on this node; guards what follows
	version string            // of the records that were read
	records map[string]string // as they were read, by name
	loaded  bool
	// password: requirepass was set since the default user's record was; nil: it was not.
	password *string

	mu struct {
		sync.RWMutex
		byName map[string]*account
		parsed map[string]*acl.User // users that other nodes have sent with scripts
	}
}

// account is a user to the connections that have logged in as it: what it may do changes,
// the account stays the same until the user is deleted.
type account struct {
	name string
	user atomic.Pointer[acl.User]
	gone atomic.Bool
}

func newAccount(u *acl.User) *account {
	a := &account{name: u.Name()}
	a.user.Store(u)
	return a
}

// Names of the records of users.
const (
	userRecords = "user:"
	// usersVersion is another one after each change: 16 random bytes and, as 8 bytes big
	// endian, the bytes of all users.
	usersVersion = "version"
)

// refreshTimeout bounds how long a wrong password, or a question about users, waits to
// learn what other nodes have changed.
const refreshTimeout = time.Second

// init reads the users. Errors: those of a file of users or of `user` lines.
func (u *users) init(s *Server) error {
	u.srv, u.wake = s, make(chan struct{}, 1)
	u.records = make(map[string]string)
	u.mu.byName, u.mu.parsed = make(map[string]*account), make(map[string]*acl.User)
	u.log.config = s.config
	u.def = newAccount(acl.NewDefault())
	u.mu.byName[acl.DefaultName] = u.def
	if p := *s.config.RequirePass.Load(); p != "" {
		u.setPassword(p)
	}
	s.config.OnChange("requirepass", u.setPassword)
	if err := u.initLocal(); err != nil {
		return err
	}
	if !u.local {
		return u.reload()
	}
	return nil
}

// parser reads rules as this node is configured.
func (u *users) parser() *acl.Parser {
	return &acl.Parser{AllChannels: u.srv.config.String("acl-pubsub-default") == "allchannels", Words: splitWords}
}

// get returns the account of a name, nil when there is none.
func (u *users) get(name string) *account {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.mu.byName[name]
}

// list returns all accounts, in no order.
func (u *users) list() []*account {
	u.mu.RLock()
	defer u.mu.RUnlock()
	list := make([]*account, 0, len(u.mu.byName))
	for _, a := range u.mu.byName {
		list = append(list, a)
	}
	return list
}

// login returns the account that name and password are right for, nil when they are wrong.
func (u *users) login(name, password []byte) *account {
	u.mu.RLock()
	a := u.mu.byName[string(name)]
	u.mu.RUnlock()
	if a == nil || !a.user.Load().Accepts(password) {
		return nil
	}
	return a
}

// open reports whether clients need not log in.
func (u *users) open() bool {
	def := u.def.user.Load()
	return def.NoPass() && def.Enabled()
}

// setPassword takes a new value of requirepass.
func (u *users) setPassword(password string) {
	u.change.Lock()
	defer u.change.Unlock()
	u.password = &password
	u.def.user.Store(u.def.user.Load().WithPassword(password))
}

// noticed wakes run when a batch that was applied has changed users. It does not block.
func (u *users) noticed(notes []byte) {
	if u.local {
		return
	}
	changed := false
	_ = keyspace.EachNote(notes, func(e keyspace.Event) { changed = changed || e.Class == keyspace.ClassUsers })
	if changed {
		u.poll()
	}
}

// poll has run look whether users have changed.
func (u *users) poll() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// run keeps the users up to date until the server closes.
func (u *users) run() {
	for {
		select {
		case <-u.wake:
		case <-u.srv.done:
			return
		}
		if u.local {
			continue
		}
		if err := u.reload(); err != nil && u.srv.work.Err() == nil {
			u.srv.log.Error("cannot read users", "err", err)
		}
	}
}

// refresh reads users that were changed before it was called on any node, if that can be
// had soon. The connection may wait for it.
func (c *Conn) refreshUsers() {
	u := &c.srv.users
	if u.local || c.txn.running || c.srv.node.ReadsAtOnce(0) {
		return
	}
	c.leave()
	ctx, cancel := context.WithTimeout(c.srv.work, refreshTimeout)
	defer cancel()
	if c.srv.node.Barrier(ctx, 0) != nil {
		return // what is known here has to do
	}
	if err := u.reload(); err != nil {
		c.srv.log.Error("cannot read users", "err", err)
	}
}

// reload reads the records of users that this node has, if they have changed.
func (u *users) reload() (err error) {
	u.change.Lock()
	defer u.change.Unlock()
	if u.srv.node.Shard(0) == nil {
		return nil // it is not yet a member
	}
	var tx keyspace.Tx
	err = u.srv.node.Read(u.srv.work, 0, &tx, cluster.ReadOptions{Stale: true, Snapshot: true})
	defer func() { err = errors.Join(err, tx.Close()) }()
	if err != nil {
		return err
	}
	version, _, err := tx.UserRecord(nil, usersVersion)
	if err != nil || u.loaded && string(version) == u.version {
		return err
	}
	records := make(map[string]string)
	err = tx.UserRecords(userRecords, func(name string, value []byte) error {
		records[name[len(userRecords):]] = string(value)
		return nil
	})
	if err != nil {
		return err
	}
	u.takeLocked(records)
	u.version, u.records, u.loaded = string(version), records, true
	return nil
}

// takeLocked makes the users those of the records.
func (u *users) takeLocked(records map[string]string) {
	for name, value := range records {
		if old, there := u.records[name]; there && old == value {
			continue
		}
		user, err := acl.ParseRecord(name, []byte(value))
		if err != nil {
			u.srv.log.Error("a user cannot be read, and may do nothing", "user", name, "err", err)
			user = acl.NewUser(name, false)
		}
		if name == acl.DefaultName {
			user = u.defaultLocked(user)
		}
		u.putLocked(user)
	}
	for name := range u.records {
		if _, there := records[name]; !there && name != acl.DefaultName {
			u.removeLocked(name)
		}
	}
	if _, there := records[acl.DefaultName]; !there && u.records[acl.DefaultName] != "" {
		u.putLocked(u.defaultLocked(acl.NewDefault())) // other data, where nobody has changed it
	}
}

// defaultLocked is the default user of a record that was read. The password that the node
// was started with stays, one that was changed at run time gives way to what is newer.
func (u *users) defaultLocked(user *acl.User) *acl.User {
	if !u.loaded && u.password != nil {
		return user.WithPassword(*u.password)
	}
	u.password = nil
	return user
}

// putLocked makes or changes a user.
func (u *users) putLocked(user *acl.User) {
	a := u.get(user.Name())
	if a == nil {
		u.mu.Lock()
		u.mu.byName[user.Name()] = newAccount(user)
		u.mu.Unlock()
		return
	}
	a.user.Store(user)
	u.enforce(a, user)
}

// removeLocked deletes a user and ends its connections. It reports whether there was one.
func (u *users) removeLocked(name string) bool {
	u.mu.Lock()
	a := u.mu.byName[name]
	delete(u.mu.byName, name)
	u.mu.Unlock()
	if a == nil {
		return false
	}
	a.gone.Store(true) // before the clients are looked at: who logs in just now notices
	a.user.Store(acl.NewUser(name, false))
	u.dismiss(a)
	return true
}

// dismiss ends the connections of an account.
func (u *users) dismiss(a *account) {
	u.srv.clients.each(func(c *Conn) {
		if c.account.Load() == a {
			c.dismiss()
		}
	})
}

// dismiss ends a connection whose user is not what it was. That of who changes users ends
// after its reply.
func (c *Conn) dismiss() {
	if c.changing.Load() {
		c.doomed.Store(true)
		return
	}
	c.kill()
}

// enforce ends what a user was doing and may not do any more: waits in blocking commands,
// and connections with subscriptions.
func (u *users) enforce(a *account, user *acl.User) {
	if user.All() {
		return
	}
	u.srv.clients.each(func(c *Conn) {
		if c.account.Load() != a {
			return
		}
		if b := c.blocking.Load(); b != nil {
			b.recheck(user)
		}
	})
	if user.AllChannels() {
		return
	}
	for _, c := range u.srv.pubsub.unfit(a, user) {
		c.dismiss()
	}
}

// unfit returns the connections of an account that have a subscription which the user may
// not have.
func (p *pubsub) unfit(a *account, user *acl.User) []*Conn {
	if p.subs.Load() == 0 {
		return nil
	}
	found := make(map[*Conn]bool)
	var list []*Conn
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range subKinds {
		for name, t := range p.mu.topics[k] {
			if user.MaySubscribe([]byte(name), k == toPattern) {
				continue
			}
			for _, s := range t.list {
				if s.conn.account.Load() == a && !found[s.conn] {
					found[s.conn] = true
					list = append(list, s.conn)
				}
			}
		}
	}
	return list
}

// become makes the connection a user's.
func (c *Conn) become(a *account) {
	c.account.Store(a)
	c.authed = true
	c.reader.Limits.Unauthenticated = false // for the rest of this pipeline too
	c.shared.mu.Lock()
	c.shared.mu.user = a.name
	c.shared.mu.Unlock()
	if a.gone.Load() {
		c.dismiss()
	}
}
