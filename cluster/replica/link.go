package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"
)

// Limits of a link.
const (
	dialTimeout = 5 * time.Second
	// The pause before a link tries again grows from the one to the other.
	firstPause = 50 * time.Millisecond
	lastPause  = 3 * time.Second
	// queueBytes is how much a link reads ahead of what it applies, but at least
	// one frame; applyBytes how much becomes one entry of the replica's log.
	queueBytes = 8 << 20
	applyBytes = 4 << 20
)

// Local is the replica's side of a link: one shard of this node.
type Local interface {
	// Source is shard.Shard's.
	Source() (shard.SourcePosition, bool)
	// Apply returns when the batches are applied. An error leaves the shard as it was,
	// or, when it is shard.ErrUncertain, where Source says.
	Apply(ctx context.Context, b *shard.SourceBatch) error
	// Evaluate returns when a task with a Step has been applied. Errors as of Apply.
	Evaluate(ctx context.Context, t *shard.Task) error
	// BeginCopy begins to receive a state; EndCopy switches to what was received.
	BeginCopy(id uint64, at shard.SourcePosition, estimatedBytes uint64) (*raftsnap.Receiver, error)
	EndCopy(ctx context.Context, r *raftsnap.Receiver) error
	// Durable says whether all that has been applied is on disk.
	Durable() bool
}

// LinkOptions configures a Link.
type LinkOptions struct {
	Shard  raftlog.ShardID
	Shards int
	Local  Local
	// For Foreign, which follows for all shards at once: All are the shards by number
	// (nil: Local is the only one), Read runs f over one state of one of them, and First
	// is the link of shard 0, which calls Foreign (nil: this is it).
	All   []Local
	Read  func(ctx context.Context, id raftlog.ShardID, f func(tx *keyspace.Tx) error) error
	First *Link
	// Addrs are the addresses of the source, host:port, which are tried in turn.
	Addrs []string
	// Replica names this node, Addr is where clients reach it ("" when not known).
	Replica string
	Addr    func() string
	// History returns this node's cluster id; nil: it is not told.
	History func() string
	// Auth returns the user ("" for the default one) and the password ("" for none).
	Auth func() (user, password string)
	// Timeout is how long the source may be silent.
	Timeout func() time.Duration
	// Interval is the least time between two batches; 0: as they come.
	Interval func() time.Duration
	// Messages is called with what was published at the source, see Source.Publish.
	// It must not block. nil: they are dropped.
	Messages func(messages []byte)
	// Marked says that a batch is to end at an index of the source's log, see
	// shard.Shard.Mark; nil: at none.
	Marked func(index raftlog.Index) bool
	// Dial connects; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Foreign follows a source that is no dkv; nil: that is an error.
	Foreign Foreign
	Clock   func() time.Time
	Logger  *slog.Logger
}

// Link follows one shard of a source.
type Link struct {
	o    LinkOptions
	copy copyState
	// cutOff is how many sources in a row had to refuse to go on. Belongs to Run.
	cutOff int
	mu     struct {
		sync.Mutex
		status LinkStatus
		// leading is closed when Foreign has returned; nil: it does not run.
		leading chan struct{}
		leads   chan struct{} // is closed when it begins
	}
}

// copyState is a copy that has begun and not ended. It outlives a connection.
type copyState struct {
	id string
	at shard.SourcePosition
	r  *raftsnap.Receiver
}

// LinkStatus is what a link knows of its source.
type LinkStatus struct {
	Addr string // that is connected, or is tried
	// Foreign: the source was no dkv when it was last heard of. What is said here of the
	// link of shard 0 is then about all shards.
	Foreign bool
	Up      bool // it is being followed; not while it is copied
	// Copying: a full copy is under way, of about so many bytes.
	Copying               bool
	CopiedBytes, AllBytes uint64
	// At is what is applied here, Head what the source had applied when it last
	// said so.
	At, Head raftlog.Index
	Heard    time.Time // when it last said something, zero: never
	DownAt   time.Time // since when it is down
	Err      string    // why
	// Path are the histories by which the source's data comes to it, its own first, as
	// it said last.
	Path    []string
	Partial uint64 // sessions
	Full    uint64
}

// NewLink returns a link; Run runs it.
func NewLink(o LinkOptions) *Link {
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
		}
	}
	if o.History == nil {
		o.History = func() string { return "" }
	}
	if o.Messages == nil {
		o.Messages = func([]byte) {}
	}
	l := &Link{o: o}
	l.mu.leads = make(chan struct{})
	l.mu.status.DownAt = o.Clock()
	return l
}

// Status returns what the link knows.
func (l *Link) Status() LinkStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.status
}

func (l *Link) update(f func(st *LinkStatus)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.mu.status)
}

// Run follows the source until ctx ends.
func (l *Link) Run(ctx context.Context) {
	defer l.dropCopy()
	pause, said := firstPause, ""
	for i := 0; ctx.Err() == nil; i++ {
		addr := l.o.Addrs[i%len(l.o.Addrs)]
		l.update(func(st *LinkStatus) { st.Addr = addr })
		began, err := l.follow(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		l.down(err)
		// One line a cause, however often it is tried.
		if text := addr + err.Error(); (text != said || began) && !errors.Is(err, errNotFirst) {
			l.o.Logger.Warn("not connected to the source", "shard", l.o.Shard, "addr", addr, "err", err)
			said = text
		}
		if began {
			pause = firstPause
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		if (i+1)%len(l.o.Addrs) == 0 {
			pause = min(2*pause, lastPause)
		}
	}
}

func (l *Link) down(err error) {
	l.update(func(st *LinkStatus) {
		if st.Up || st.Copying || st.DownAt.IsZero() {
			st.DownAt = l.o.Clock()
		}
		st.Up, st.Copying, st.Err = false, false, err.Error()
	})
}

// dropCopy removes what was received of a copy that is not going to be finished.
func (l *Link) dropCopy() {
	if l.copy.r != nil {
		if err := l.copy.r.Discard(); err != nil {
			l.o.Logger.Warn("cannot remove a half-received copy", "shard", l.o.Shard, "err", err)
		}
	}
	l.copy = copyState{}
}

// follow connects and follows until something fails. began says that the source
// has agreed to serve this replica.
func (l *Link) follow(ctx context.Context, addr string) (began bool, err error) {
	err = l.converse(ctx, addr, func(ctx context.Context, c *conversation) error {
		if err := c.begin(addr); err != nil {
			return err
		}
		began = true
		l.update(func(st *LinkStatus) { st.Foreign = false })
		return c.run(ctx)
	})
	if errors.Is(err, errForeign) && l.o.Foreign != nil {
		l.dropCopy()
		return l.followForeign(ctx, addr)
	}
	return began, err
}

// AskShards asks the sources, until one answers, how many shards there are. Status says
// meanwhile why none does.
func (l *Link) AskShards(ctx context.Context) (int, error) {
	said := make(map[string]string)
	for i := 0; ; i++ {
		addr := l.o.Addrs[i%len(l.o.Addrs)]
		l.update(func(st *LinkStatus) { st.Addr = addr })
		n, err := l.askShards(ctx, addr)
		if errors.Is(err, errForeign) && l.o.Foreign != nil {
			n, err = 1, nil
		}
		if err == nil || ctx.Err() != nil {
			return n, err
		}
		l.down(err)
		if said[addr] != err.Error() {
			l.o.Logger.Warn("cannot ask the source for its number of shards", "addr", addr, "err", err)
			said[addr] = err.Error()
		}
		t := time.NewTimer(lastPause / time.Duration(max(len(l.o.Addrs), 3)))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return 0, ctx.Err()
		}
	}
}

func (l *Link) askShards(ctx context.Context, addr string) (n int, err error) {
	err = l.converse(ctx, addr, func(_ context.Context, c *conversation) error {
		req := Request{}
		status, err := c.call(append([]string{"DKV.SYNC"}, req.args()...)...)
		if err != nil {
			return fmt.Errorf("DKV.SYNC: %w", foreign(err))
		}
		f := strings.Fields(status)
		if len(f) < 3 || f[0] != "SHARDS" {
			return fmt.Errorf("%w: DKV.SYNC is answered with %q", errProtocol, status)
		}
		if n, err = strconv.Atoi(f[2]); err != nil || n < 1 {
			return fmt.Errorf("%w: %q shards", errProtocol, f[2])
		}
		return nil
	})
	return n, err
}

// converse connects, introduces this node, and has f go on.
func (l *Link) converse(ctx context.Context, addr string, f func(context.Context, *conversation) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nc, err := l.o.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	c := &conversation{l: l, nc: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	if err := c.introduce(); err != nil {
		return err
	}
	return f(ctx, c)
}
