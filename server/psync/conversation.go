package psync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/cluster/slot"
)

const (
	bufferBytes  = 64 << 10
	maxLineBytes = 4 << 10
	markBytes    = 40 // of the mark that ends a file of unknown length
	ackInterval  = time.Second
	maxRDBBytes  = 1 << 50
)

// conversation is one connection to the source.
type conversation struct {
	f  *Follower
	l  *replica.ForeignLink
	nc net.Conn
	r  *bufio.Reader

	locals  []replica.Local
	slots   slot.Map
	at      []shard.SourcePosition // the places that the shards have
	next    shard.SourcePosition   // everything before it is applied; the stream goes on from it
	writing sync.Mutex             // one writer at a time
	applied atomic.Int64           // the offset to acknowledge; -1: the data is still on its way
}

// send sends a command.
func (c *conversation) send(args ...string) error {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return c.write(b)
}

func (c *conversation) write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.l.Timeout())); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// line reads a line, passing over the empty ones by which a source says that it is
// there. The deadline is that of each byte.
func (c *conversation) line() (string, error) {
	for {
		if err := c.nc.SetReadDeadline(time.Now().Add(c.l.Timeout())); err != nil {
			return "", err
		}
		if b, err := c.r.Peek(1); err != nil {
			return "", err
		} else if b[0] == '\n' {
			if _, err := c.r.Discard(1); err != nil {
				return "", err
			}
			c.heard()
			continue
		}
		line, err := c.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLineBytes {
			return "", fmt.Errorf("%w: a line without an end", errProtocol)
		}
		if err != nil {
			return "", err
		}
		return strings.TrimRight(string(line), "\r\n"), nil
	}
}

func (c *conversation) heard() {
	c.l.Update(func(st *replica.LinkStatus) { st.Heard = c.l.Clock() })
}

// call sends a command and reads a line that is no error.
func (c *conversation) call(args ...string) (string, error) {
	if err := c.send(args...); err != nil {
		return "", err
	}
	line, err := c.line()
	if err != nil {
		return "", fmt.Errorf("%s: %w", args[0], err)
	}
	if strings.HasPrefix(line, "-") {
		return "", fmt.Errorf("%s: the source replies %s", args[0], line[1:])
	}
	if !strings.HasPrefix(line, "+") {
		return "", fmt.Errorf("%w: %s is answered with %.100q", errProtocol, args[0], line)
	}
	return line[1:], nil
}

// introduce says who this node is.
func (c *conversation) introduce() error {
	c.r = bufio.NewReaderSize(c.nc, bufferBytes)
	c.applied.Store(-1)
	if user, password := c.l.Auth(); password != "" {
		args := []string{"AUTH", password}
		if user != "" {
			args = []string{"AUTH", user, password}
		}
		if _, err := c.call(args...); err != nil {
			return err
		}
	}
	if _, err := c.call("PING"); err != nil {
		return err
	}
	words := [][]string{{"REPLCONF", "capa", "eof", "capa", "psync2"}}
	if host, port, err := net.SplitHostPort(c.l.LinkOptions.Addr()); err == nil {
		words = append(words, []string{"REPLCONF", "listening-port", port})
		if host != "" {
			words = append(words, []string{"REPLCONF", "ip-address", host})
		}
	}
	for _, args := range words {
		if _, err := c.call(args...); err != nil {
			return err
		}
	}
	return nil
}

// begin asks the source to go on, or for all of its data.
func (c *conversation) begin() (full bool, err error) {
	args := []string{"PSYNC", "?", "-1"}
	c.at = make([]shard.SourcePosition, len(c.locals))
	for i, l := range c.locals {
		c.at[i], _ = l.Source()
	}
	from, ok := resume(c.at)
	if c.f.anew.Swap(false) {
		ok = false
	}
	if ok {
		id, _ := ReplID(from.History)
		args = []string{"PSYNC", id, strconv.FormatUint(uint64(from.Index)+1, 10)}
	}
	reply, err := c.call(args...)
	if err != nil {
		return false, err
	}
	words := strings.Fields(reply)
	switch {
	case len(words) >= 1 && words[0] == "CONTINUE" && ok:
		c.next = from
		if len(words) > 1 {
			c.next.History = historyPrefix + words[1]
		}
		if c.next.History != from.History && !c.level() {
			// The source has said of the lowest place only that it is in its history.
			c.f.anew.Store(true)
			return false, errTorn
		}
		return false, checkReplID(c.next.History)
	case len(words) >= 3 && words[0] == "FULLRESYNC":
		offset, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil || offset < 0 {
			return false, fmt.Errorf("%w: %q", errProtocol, reply)
		}
		c.next = shard.SourcePosition{History: historyPrefix + words[1]}
		c.next.Index = raftlog.Index(offset)
		return true, checkReplID(c.next.History)
	}
	return false, fmt.Errorf("%w: PSYNC is answered with %.100q", errProtocol, reply)
}

func checkReplID(history string) error {
	if len(history) != len(historyPrefix)+replIDBytes {
		return fmt.Errorf("%w: replication id %.100q", errProtocol, history)
	}
	return nil
}

// run receives what the source sends until something fails.
func (c *conversation) run(ctx context.Context, full bool) (err error) {
	var others sync.WaitGroup
	defer others.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer c.nc.Close()
	defer cancel()
	others.Go(func() { c.acknowledge(ctx) })
	var file *rdbFile
	if full {
		if file, err = c.receive(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.remove()) }()
		// A source without a disk begins its stream when it hears of this replica; 0
		// does not claim that anything has been applied.
		c.applied.Store(0)
	} else {
		c.applied.Store(int64(c.next.Index))
	}
	if err := c.ack(); err != nil {
		return err
	}
	queue, remove, err := c.f.openFile(streamFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	s := newSpool(queue)
	var reading sync.WaitGroup
	reading.Go(func() { s.end(c.copyStream(s)) })
	defer reading.Wait()
	defer c.nc.Close()
	defer s.abandon()
	if full {
		err = c.load(ctx, file)
	} else {
		err = c.rename(ctx)
	}
	if err != nil {
		return err
	}
	c.l.Logger.Info("following a Redis server", "addr", c.l.Addr, "replid", c.next.History[len(historyPrefix):], "offset", c.next.Index)
	c.l.Update(func(st *replica.LinkStatus) {
		st.Up, st.Copying, st.Err, st.DownAt, st.At, st.Heard = true, false, "", time.Time{}, c.next.Index, c.l.Clock()
		st.Head = max(st.Head, st.At)
		if full {
			st.Full++
		} else {
			st.Partial++
		}
	})
	return c.stream(ctx, s)
}

// copyStream reads the connection into the spool until it ends.
func (c *conversation) copyStream(s *spool) error {
	head := c.next.Index
	buf := make([]byte, bufferBytes)
	for {
		if err := c.nc.SetReadDeadline(time.Now().Add(c.l.Timeout())); err != nil {
			return err
		}
		n, err := c.r.Read(buf)
		if n > 0 {
			head += raftlog.Index(n)
			c.l.Update(func(st *replica.LinkStatus) { st.Heard, st.Head = c.l.Clock(), head })
			if _, err := s.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return errors.New("the source has closed the connection")
		}
		if err != nil {
			return err
		}
	}
}

// acknowledge says each second that this replica is there, and how far.
func (c *conversation) acknowledge(ctx context.Context) {
	t := time.NewTicker(ackInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if c.ack() != nil {
			c.nc.Close() // the reader then fails
			return
		}
	}
}

func (c *conversation) ack() error {
	if at := c.applied.Load(); at >= 0 {
		return c.send("REPLCONF", "ACK", strconv.FormatInt(at, 10))
	}
	return c.write([]byte("\n"))
}

// receive receives an RDB file.
func (c *conversation) receive() (*rdbFile, error) {
	head, err := c.line()
	if err != nil {
		return nil, fmt.Errorf("receive the data: %w", err)
	}
	if strings.HasPrefix(head, "-") {
		return nil, fmt.Errorf("receive the data: the source replies %s", head[1:])
	}
	size, mark := int64(-1), []byte(nil)
	if text, ok := strings.CutPrefix(head, "$EOF:"); ok && len(text) == markBytes {
		mark = []byte(text)
	} else if text, ok := strings.CutPrefix(head, "$"); ok {
		if size, err = strconv.ParseInt(text, 10, 64); err != nil || size < 0 || size > maxRDBBytes {
			return nil, fmt.Errorf("%w: %.100q in place of the data's length", errProtocol, head)
		}
	} else {
		return nil, fmt.Errorf("%w: %.100q in place of the data", errProtocol, head)
	}
	c.l.Logger.Info("receiving the source's data", "addr", c.l.Addr, "bytes", size)
	c.l.Update(func(st *replica.LinkStatus) {
		st.Copying, st.CopiedBytes, st.AllBytes, st.Err = true, 0, uint64(max(size, 0)), ""
	})
	f, remove, err := c.f.openFile(dataFile)
	if err != nil {
		return nil, err
	}
	file := &rdbFile{f: f, remove: remove}
	if mark != nil {
		err = c.receiveToMark(file, mark)
	} else {
		err = c.receiveSize(file, size)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("receive the data: %w", err), remove())
	}
	return file, nil
}

// piece reads up to n bytes of the file.
func (c *conversation) piece(buf []byte) (int, error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(c.l.Timeout())); err != nil {
		return 0, err
	}
	n, err := c.r.Read(buf)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if n > 0 {
		c.l.Update(func(st *replica.LinkStatus) { st.Heard, st.CopiedBytes = c.l.Clock(), st.CopiedBytes+uint64(n) })
	}
	return n, err
}

func (c *conversation) receiveSize(file *rdbFile, size int64) error {
	buf := make([]byte, bufferBytes)
	for file.size < size {
		n, err := c.piece(buf[:min(int64(len(buf)), size-file.size)])
		if n > 0 {
			if _, err := file.f.Write(buf[:n]); err != nil {
				return err
			}
			file.size += int64(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// receiveToMark receives until the mark has come. Redis sends nothing behind it before
// it has heard of this replica again; others might.
func (c *conversation) receiveToMark(file *rdbFile, mark []byte) error {
	buf := make([]byte, bufferBytes)
	kept := 0 // bytes at the start of buf that may be the beginning of the mark
	for {
		n, err := c.piece(buf[kept:])
		have := buf[:kept+n]
		if at := bytes.Index(have, mark); at >= 0 {
			if rest := have[at+len(mark):]; len(rest) > 0 {
				c.r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(rest)), c.r), bufferBytes)
			}
			_, err := file.f.Write(have[:at])
			file.size += int64(at)
			return err
		}
		if err != nil {
			return err
		}
		kept = min(len(have), len(mark)-1)
		done := len(have) - kept
		if _, err := file.f.Write(have[:done]); err != nil {
			return err
		}
		file.size += int64(done)
		copy(buf, have[done:])
	}
}
