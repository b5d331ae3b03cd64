package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
)

// Errors of Follow. Their texts are replies.
var (
	// ErrFollowMember: members of a cluster get their data from each other.
	ErrFollowMember = errors.New("ERR REPLICAOF not allowed in cluster mode.")
	ErrFollowAddr   = errors.New("ERR Invalid master address")
	// ErrFollowAwaits: how many shards a new folder gets is asked of the source that the
	// node was started with.
	ErrFollowAwaits = errors.New("ERR This replica is new and has not reached its master yet: start it again with another -repl-master-addr, or without")
)

const (
	defaultFollowTimeout = 60 * time.Second
	sweepInterval        = time.Second
	maxSources           = 64 // addresses
)

// FollowOptions are those of a replica. The functions are asked each time; nil: the
// default.
type FollowOptions struct {
	// Addrs are the addresses of the source for clients, host:port: one, or those of
	// the members of a cluster, which are tried in turn. What Follow and Unfollow
	// decided since these same Addrs were given for the first time comes first.
	Addrs []string
	// Auth is what to authenticate with: the user, "" for the default one, and the
	// password, "" for none.
	Auth func() (user, password string)
	// Addr is this node's address for clients, for the source's INFO.
	Addr func() string
	// Timeout is how long the other side of a connection may be silent, as source
	// and as replica; default a minute.
	Timeout func() time.Duration
	// Interval is the least time between two batches that are applied; default 0:
	// as they come.
	Interval func() time.Duration
	// Dial connects to the source; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Foreign follows a source that is no dkv; nil: that is an error.
	Foreign replica.Foreign
}

func (o FollowOptions) withDefaults() FollowOptions {
	if o.Auth == nil {
		o.Auth = func() (string, string) { return "", "" }
	}
	if o.Addr == nil {
		o.Addr = func() string { return "" }
	}
	if o.Timeout == nil {
		o.Timeout = func() time.Duration { return defaultFollowTimeout }
	}
	if o.Interval == nil {
		o.Interval = func() time.Duration { return 0 }
	}
	return o
}

// sourceSetting is whom a node follows, in node.json.
type sourceSetting struct {
	Addrs []string `json:"addrs,omitempty"` // empty: nobody
	// Given are the addresses of Options when they were last looked at: as long as
	// they are the same, what was decided since holds.
	Given []string `json:"given,omitempty"`
}

func (id *identity) follows() bool { return id.Source != nil && len(id.Source.Addrs) > 0 }

// follower is a node's following of a source.
type follower struct {
	id string // names this run of the node to its source
	on atomic.Bool

	mu struct {
		sync.Mutex // held while whom to follow changes
		addrs      []string
		links      []*replica.Link
		asking     *replica.Link // asks for the number of shards, in a new folder, until links are there
		stop       context.CancelFunc
		running    *sync.WaitGroup
	}
}

// Following is whom a node follows and how far it is.
type Following struct {
	Addrs []string
	Links []replica.LinkStatus // one a shard, or one for all when the source is no dkv
}

// Up says whether all shards are being followed.
func (f *Following) Up() bool {
	for i := range f.Links {
		if !f.Links[i].Up {
			return false
		}
	}
	return len(f.Links) > 0
}

// Follows says whether this node is a replica.
func (n *Node) Follows() bool { return n.follower.on.Load() }

// newSource makes the node's side that serves replicas.
func (n *Node) newSource() *replica.Source {
	maxHeld := n.o.MaxLogBytes
	if maxHeld == 0 {
		maxHeld = defaultMaxLogBytes
	}
	return replica.NewSource(replica.SourceOptions{
		Shard:        n.Shard,
		Shards:       n.Shards,
		History:      func() string { return n.identity().ClusterID },
		Path:         n.sourcePath,
		LogBytes:     func() int64 { return n.log.Metrics().Bytes },
		MaxHeldBytes: maxHeld,
		DiskFull:     func() bool { return n.freeBytes() == 0 },
		Timeout:      n.o.Follow.Timeout,
		CollectTime:  n.o.collectTime,
		Clock:        n.o.Clock,
		Logger:       n.o.Logger,
	})
}

// sourcePath is this node's cluster id, then those that its data comes by.
func (n *Node) sourcePath() []string {
	path := []string{n.identity().ClusterID}
	if f, ok := n.Following(); ok && len(f.Links) > 0 {
		path = append(path, f.Links[0].Path...)
	}
	return path
}

// Source serves the replicas of this node.
func (n *Node) Source() *replica.Source { return n.source }

// sweepCopies lets go of copies that nobody comes back for, and of old log.
func (n *Node) sweepCopies(ctx context.Context) {
	for pause(ctx, sweepInterval) == nil {
		n.source.Sweep()
		if err := n.log.DropOld(); err != nil && ctx.Err() == nil {
			n.o.Logger.Error("cannot cut the log", "err", err)
		}
	}
	n.source.Close()
}

// goOnFollowing is called when the node is open: it follows whom the folder says, or
// the options if they have changed since.
func (n *Node) goOnFollowing() error {
	id, given := n.identity(), n.o.Follow.Addrs
	var before []string
	if id.Source != nil {
		before = id.Source.Given
	}
	switch {
	case len(given) > 0 && !slices.Equal(given, before):
		return n.follow(given, given)
	case id.follows():
		return n.follow(id.Source.Addrs, before)
	}
	return n.forgetSource()
}

// awaitSource has a new replica ask its source how many shards there are, make them,
// and follow it, in the background.
func (n *Node) awaitSource() {
	n.follower.on.Store(true)
	n.setDownReply("LOADING This replica has not reached its master yet")
	l := replica.NewLink(n.linkOptions(n.o.Follow.Addrs))
	n.follower.mu.Lock()
	n.follower.mu.asking = l
	n.follower.mu.Unlock()
	n.goes(func(ctx context.Context) {
		shards, err := l.AskShards(ctx)
		if err != nil {
			return // the node closes
		}
		id := *n.identity()
		id.State, id.Shards, id.NodeID = stateCreating, shards, 1
		if shards > MaxShards {
			err = fmt.Errorf("cluster: the source has %d shards, there can be 1 to %d: %w", shards, MaxShards, ErrShards)
		}
		if err == nil {
			id.ClusterID, err = randomID()
		}
		if err == nil {
			err = n.setIdentity(id)
		}
		if err == nil {
			err = n.openShards()
		}
		if err == nil {
			err = n.goOnFollowing()
		}
		if err != nil && ctx.Err() == nil {
			n.stop(err)
		}
	})
}

// linkOptions are those of all links.
func (n *Node) linkOptions(addrs []string) replica.LinkOptions {
	o := n.o.Follow
	return replica.LinkOptions{
		Addrs: addrs, Replica: n.follower.id, Addr: o.Addr, Auth: o.Auth, Timeout: o.Timeout, Interval: o.Interval,
		History:  func() string { return n.identity().ClusterID },
		Messages: n.takeMessages, Dial: o.Dial, Foreign: o.Foreign, Clock: n.o.Clock, Logger: n.o.Logger,
	}
}

// Follow makes this node a replica of the node at addrs, host:port: of one node, or of
// a cluster, whose members are tried in turn. It returns when that is written down;
// what clients write is refused from then on. Errors: ErrFollowMember, ErrFollowAddr,
// those of the disk.
func (n *Node) Follow(addrs []string) error {
	var given []string
	if s := n.identity().Source; s != nil {
		given = s.Given
	}
	return n.follow(addrs, given)
}

func (n *Node) follow(addrs, given []string) error {
	if n.transport != nil {
		return ErrFollowMember
	}
	if len(addrs) == 0 || len(addrs) > maxSources {
		return ErrFollowAddr
	}
	for _, a := range addrs {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return fmt.Errorf("%w %q", ErrFollowAddr, a)
		}
	}
	if n.identity().State == stateAwaiting {
		return ErrFollowAwaits
	}
	if _, err := n.serving(0); err != nil {
		return err
	}
	f := &n.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Equal(addrs, f.mu.addrs) {
		return nil
	}
	f.stopLocked()
	if err := n.setSource(addrs, given); err != nil {
		return err
	}
	f.on.Store(true)
	for i := range n.list() {
		n.list()[i].Follow(true)
	}
	n.startLinksLocked(addrs)
	return nil
}

// setSource writes down whom the node follows.
func (n *Node) setSource(addrs, given []string) error {
	id := *n.identity()
	if id.Source != nil && slices.Equal(id.Source.Addrs, addrs) && slices.Equal(id.Source.Given, given) {
		return nil
	}
	id.Source = &sourceSetting{Addrs: slices.Clone(addrs), Given: slices.Clone(given)}
	return n.setIdentity(id)
}

// Unfollow makes a replica a node of its own, which clients may write to: it keeps
// what it has. Nothing happens on a node that follows nobody. Errors: those of the
// disk, after which it follows as before or, when the process is started again,
// nobody.
func (n *Node) Unfollow() error {
	if n.identity().State == stateAwaiting {
		return ErrFollowAwaits
	}
	if _, err := n.serving(0); err != nil {
		return err
	}
	f := &n.follower
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.addrs == nil {
		return nil
	}
	addrs := f.mu.addrs
	f.stopLocked()
	err := n.setSource(nil, n.identity().Source.Given)
	if err == nil {
		err = n.forgetSource()
	}
	if err != nil {
		n.startLinksLocked(addrs)
		return err
	}
	for i := range n.list() {
		n.list()[i].Follow(false)
	}
	f.on.Store(false)
	n.o.Logger.Info("no replica any more: clients may write")
	return nil
}

// forgetSource removes the position in the source's log from all shards: what comes
// after it is not the source's any more.
func (n *Node) forgetSource() error {
	if n.transport != nil {
		return nil
	}
	if err := n.dropPartial(); err != nil {
		return err
	}
	for i := range n.list() {
		s := &n.list()[i]
		if _, ok := s.Source(); !ok {
			continue
		}
		t := shard.Task{Source: &shard.SourceBatch{Forget: true}}
		s.Submit(&t)
		if err := t.Wait(); err != nil {
			return fmt.Errorf("cluster: shard %d: forget the source: %w", s.id, err)
		}
	}
	return nil
}

// dropPartial empties all shards when one has only a part of what its source has. Each
// is then partial itself, so that a crash leaves the rest to be done.
func (n *Node) dropPartial() error {
	partial := false
	for i := range n.list() {
		at, ok := n.list()[i].Source()
		partial = partial || ok && at.Partial()
	}
	if !partial {
		return nil
	}
	n.o.Logger.Warn("the data was only loaded in part, and is deleted")
	for i := range n.list() {
		s := &n.list()[i]
		at, ok := s.Source()
		if !ok {
			continue // emptied, and forgotten before a crash
		}
		step := &shard.SourceStep{From: at, To: shard.PartialPosition()}
		t := shard.Task{Step: step, Eval: func(tx *keyspace.Tx) {
			if _, step.Err = tx.FlushAll(); step.Err == nil {
				step.Err = tx.DeleteScriptRecords("")
			}
		}}
		s.Submit(&t)
		if err := t.Wait(); err != nil {
			return fmt.Errorf("cluster: shard %d: delete what was loaded in part: %w", s.id, err)
		}
	}
	return nil
}

// startLinksLocked follows a source.
func (n *Node) startLinksLocked(addrs []string) {
	f := &n.follower
	list := n.list()
	ctx, cancel := context.WithCancel(n.ctx)
	f.mu.addrs, f.mu.stop, f.mu.running = slices.Clone(addrs), cancel, new(sync.WaitGroup)
	f.mu.links, f.mu.asking = make([]*replica.Link, len(list)), nil
	all := make([]replica.Local, len(list))
	for i := range list {
		all[i] = &localShard{n: n, s: &list[i]}
	}
	n.o.Logger.Info("following a source", "addrs", addrs)
	for i := range list {
		o := n.linkOptions(f.mu.addrs)
		o.Shard, o.Shards, o.Local = list[i].id, len(list), all[i]
		o.All, o.Read, o.First = all, n.readState, f.mu.links[0]
		o.Marked = func(at raftlog.Index) bool { return list[i].Mark(at-1, at) != 0 }
		l := replica.NewLink(o)
		f.mu.links[i] = l
		running := f.mu.running
		running.Add(1)
		started := n.goes(func(context.Context) {
			defer running.Done()
			l.Run(ctx)
		})
		if !started {
			running.Done()
		}
	}
}

// stopLocked ends the links and waits for them.
func (f *follower) stopLocked() {
	if f.mu.stop != nil {
		f.mu.stop()
		f.mu.running.Wait()
	}
	f.mu.addrs, f.mu.links, f.mu.stop, f.mu.running = nil, nil, nil, nil
}

// Following returns whom this node follows, false: nobody.
func (n *Node) Following() (Following, bool) {
	f := &n.follower
	f.mu.Lock()
	addrs, links, asking := f.mu.addrs, f.mu.links, f.mu.asking
	f.mu.Unlock()
	switch {
	case addrs == nil && asking == nil:
		return Following{}, false
	case addrs == nil:
		return Following{Addrs: n.o.Follow.Addrs, Links: []replica.LinkStatus{asking.Status()}}, true
	}
	out := Following{Addrs: addrs, Links: make([]replica.LinkStatus, len(links))}
	for i, l := range links {
		out.Links[i] = l.Status()
	}
	if out.Links[0].Foreign {
		out.Links = out.Links[:1]
	}
	return out, true
}
