package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/shard"
)

// conversation is one connection to the source.
type conversation struct {
	l       *Link
	nc      net.Conn
	r       *bufio.Reader
	out     []byte
	history string
	at      shard.SourcePosition // received and applied, what holds nothing included
	applied shard.SourcePosition // as the shard has it
}

// call sends a command and reads its status.
func (c *conversation) call(args ...string) (string, error) {
	if err := c.nc.SetDeadline(time.Now().Add(c.l.o.Timeout())); err != nil {
		return "", err
	}
	if _, err := c.nc.Write(appendCommand(nil, args...)); err != nil {
		return "", err
	}
	return readStatus(c.r)
}

// introduce says who this node is.
func (c *conversation) introduce() error {
	user, password := c.l.o.Auth()
	if password != "" {
		args := []string{"AUTH", password}
		if user != "" {
			args = []string{"AUTH", user, password}
		}
		if _, err := c.call(args...); err != nil {
			return fmt.Errorf("AUTH: %w", err)
		}
	}
	if _, err := c.call("PING"); err != nil {
		return fmt.Errorf("PING: %w", err)
	}
	host, port, err := net.SplitHostPort(c.l.o.Addr())
	if err == nil {
		words := [][]string{{"REPLCONF", "listening-port", port}}
		if host != "" {
			words = append(words, []string{"REPLCONF", "ip-address", host})
		}
		for _, args := range words {
			if _, err := c.call(args...); err != nil {
				return fmt.Errorf("REPLCONF: %w", err)
			}
		}
	}
	// A source passes over the words that it does not know.
	words := []string{"REPLCONF", "dkv-id", c.l.o.Replica, "dkv-messages", "1"}
	if own := c.l.o.History(); own != "" {
		words = append(words, "dkv-history", own)
	}
	if _, err := c.call(words...); err != nil {
		return fmt.Errorf("REPLCONF: %w", foreign(err))
	}
	return nil
}

// errCutOff says that a member of a cluster would have to be copied while others have
// not been asked.
var errCutOff = errors.New("its log does not reach back to this replica's place, another member's may")

// begin asks the source to serve this replica.
func (c *conversation) begin(addr string) error {
	l := c.l
	req := Request{Shards: l.o.Shards, Shard: l.o.Shard}
	req.From, _ = l.o.Local.Source()
	if l.copy.r != nil {
		req.CopyID, req.Place = l.copy.id, l.copy.r.Position()
	}
	status, err := c.call(append([]string{"DKV.SYNC"}, req.args()...)...)
	if err != nil {
		return fmt.Errorf("DKV.SYNC: %w", foreign(err))
	}
	f := strings.Fields(status)
	if len(f) < 3 || f[2] != strconv.Itoa(l.o.Shards) {
		return fmt.Errorf("%w: DKV.SYNC is answered with %q", errProtocol, status)
	}
	c.history = f[1]
	switch {
	case f[0] == "CONTINUE" && f[1] == req.From.History:
		l.dropCopy()
		l.cutOff = 0
		c.at, c.applied = req.From, req.From
		l.o.Logger.Info("following the source", "shard", l.o.Shard, "addr", addr, "index", c.at.Index)
		l.update(func(st *LinkStatus) {
			st.Up, st.Err, st.DownAt, st.At = true, "", time.Time{}, c.at.Index
			st.Partial++
		})
		return nil
	case f[0] == "COPY" && len(f) >= 7:
		if f[1] == req.From.History && l.copy.r == nil && l.cutOff < len(l.o.Addrs)-1 {
			l.cutOff++
			return errCutOff
		}
		return c.beginCopy(addr, f[3:])
	}
	return fmt.Errorf("%w: DKV.SYNC is answered with %q", errProtocol, status)
}

// beginCopy reads id, index, term and bytes of a copy, and goes on with it or
// begins it.
func (c *conversation) beginCopy(addr string, f []string) error {
	l := c.l
	var n [4]uint64
	for i, base := range []int{16, 10, 10, 10} {
		var err error
		if n[i], err = strconv.ParseUint(f[i], base, 64); err != nil {
			return fmt.Errorf("%w: a copy %q", errProtocol, f)
		}
	}
	at := shard.SourcePosition{History: c.history, Position: shard.Position{Index: raftlog.Index(n[1]), Term: raftlog.Term(n[2])}}
	if l.copy.r == nil || l.copy.id != f[0] || l.copy.at != at {
		l.dropCopy()
		r, err := l.o.Local.BeginCopy(n[0], at, n[3])
		if err != nil {
			return fmt.Errorf("begin a full copy: %w", err)
		}
		l.copy = copyState{id: f[0], at: at, r: r}
		l.update(func(st *LinkStatus) { st.CopiedBytes = 0; st.Full++ })
	}
	l.o.Logger.Info("copying the source in full", "shard", l.o.Shard, "addr", addr, "index", at.Index, "estimated_bytes", n[3],
		"resumed", l.copy.r.Position() != nil)
	l.update(func(st *LinkStatus) { st.Copying, st.AllBytes, st.Err = true, n[3], "" })
	return nil
}

// run applies what the source sends until something fails.
func (c *conversation) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	q := newQueue(queueBytes)
	var reading sync.WaitGroup
	reading.Go(func() { q.fill(c.read) })
	defer reading.Wait()
	defer c.nc.Close()
	defer q.close(context.Canceled)
	defer cancel()
	for {
		frames, err := q.take(applyBytes)
		if err != nil {
			return err
		}
		if err := c.takeFrames(ctx, frames); err != nil {
			return err
		}
		if err := c.ack(); err != nil {
			return err
		}
		// Not for so long that the source takes this replica for dead.
		if d := min(c.l.o.Interval(), c.l.o.Timeout()/2); d > 0 {
			t := time.NewTimer(d)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
				return ctx.Err()
			}
		}
	}
}

// read reads one frame.
func (c *conversation) read() (Frame, int, error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(c.l.o.Timeout())); err != nil {
		return Frame{}, 0, err
	}
	data, err := readFrame(c.r)
	if err != nil {
		return Frame{}, 0, err
	}
	f, err := ParseFrame(data)
	return f, len(data), err
}

// takeFrames applies frames, those of entries together.
func (c *conversation) takeFrames(ctx context.Context, frames []Frame) error {
	b := shard.SourceBatch{From: c.applied}
	var messages [][]byte
	for i := range frames {
		f := &frames[i]
		c.heard(f)
		switch f.Type {
		case FrameEntries:
			if c.at.History == "" || f.Prev != c.at.Index {
				return fmt.Errorf("%w: entries after %d do not follow %d", ErrFrame, f.Prev, c.at.Index)
			}
			b.Batches = append(b.Batches, f.Batches...)
			c.at.Position = f.At
			if marked := c.l.o.Marked; marked != nil && marked(f.At.Index) {
				if err := c.apply(ctx, &b); err != nil {
					return err
				}
				b = shard.SourceBatch{From: c.applied}
			}
		case FrameChunk:
			if err := c.takeChunk(ctx, f); err != nil {
				return err
			}
			b.From = c.applied
		case FrameMessages:
			messages = append(messages, f.Messages)
		case FramePath:
			c.l.update(func(st *LinkStatus) { st.Path = strings.Split(f.Path, ",") })
		case FrameHeartbeat:
		}
	}
	if err := c.apply(ctx, &b); err != nil {
		return err
	}
	// Who gets a message sees what was written before it was published.
	for _, m := range messages {
		c.l.o.Messages(m)
	}
	return nil
}

// apply applies what was collected, if that is anything.
func (c *conversation) apply(ctx context.Context, b *shard.SourceBatch) error {
	if len(b.Batches) == 0 {
		return nil
	}
	b.To = c.at
	if err := c.l.o.Local.Apply(ctx, b); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	c.applied = c.at
	return nil
}

func (c *conversation) heard(f *Frame) {
	c.l.update(func(st *LinkStatus) { st.Heard, st.Head = c.l.o.Clock(), f.Head })
}

// takeChunk takes a piece of the copy, and switches to it after the last one.
func (c *conversation) takeChunk(ctx context.Context, f *Frame) error {
	cp := &c.l.copy
	if cp.r == nil || f.At != cp.at.Position {
		return fmt.Errorf("%w: a chunk of a copy that is not under way", ErrFrame)
	}
	if err := cp.r.Chunk(f.Chunk, f.Place, f.Last); err != nil {
		if !errors.Is(err, raftsnap.ErrCorruptChunk) && !errors.Is(err, raftsnap.ErrOutOfOrder) {
			*cp = copyState{} // it has ended by itself
		}
		return err
	}
	c.l.update(func(st *LinkStatus) { st.CopiedBytes += uint64(len(f.Chunk)) })
	if !f.Last {
		return nil
	}
	if err := c.l.o.Local.EndCopy(ctx, cp.r); err != nil {
		c.l.dropCopy()
		return fmt.Errorf("switch to the copy: %w", err)
	}
	c.at, c.applied = cp.at, cp.at
	*cp = copyState{}
	c.l.cutOff = 0
	c.l.o.Logger.Info("copied the source in full", "shard", c.l.o.Shard, "index", c.at.Index)
	c.l.update(func(st *LinkStatus) {
		st.Copying, st.Up, st.DownAt, st.At = false, true, time.Time{}, c.at.Index
	})
	return nil
}

// ack tells the source how far this replica is.
func (c *conversation) ack() error {
	c.l.update(func(st *LinkStatus) { st.At = c.at.Index })
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.l.o.Timeout())); err != nil {
		return err
	}
	index := strconv.FormatUint(uint64(c.at.Index), 10)
	args := []string{"REPLCONF", "ACK", index}
	if c.l.o.Local.Durable() {
		args = append(args, "FACK", index)
	}
	c.out = appendCommand(c.out[:0], args...)
	_, err := c.nc.Write(c.out)
	return err
}
