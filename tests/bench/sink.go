package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"dkv/tests/harness"
)

// sink is a replica that takes everything, acknowledges it and keeps nothing: what a
// source does for a replica on another machine, which takes nothing of this one. It
// goes on where it was when it is started again.
type sink struct {
	name    string
	conn    *harness.Conn // nil: it does not run
	done    chan error
	history string
	index   atomic.Uint64
	term    uint64
}

// Where things are in a frame, see cluster/replica/frame.go.
const (
	frameTypeAt      = 1
	frameFlagsAt     = 2
	frameIndexAt     = 24
	frameTermAt      = 32
	frameHeaderBytes = 48
	frameChunk       = 3
	frameLastChunk   = 1
)

// start begins to follow a source, and returns when the sink is there.
func (s *sink) start(source *harness.Server) error {
	conn, err := source.Connect()
	if err != nil {
		return err
	}
	if _, err := ask(conn, "REPLCONF", "dkv-id", s.name); err != nil {
		conn.Close()
		return err
	}
	if s.history == "" {
		s.history = "?"
	}
	status, err := ask(conn, "DKV.SYNC", "1", "1", "0", s.history, strconv.FormatUint(s.index.Load(), 10), strconv.FormatUint(s.term, 10))
	if f := strings.Fields(status); err == nil && len(f) < 2 {
		err = fmt.Errorf("DKV.SYNC is answered with %q", status)
	} else if err == nil {
		s.history = f[1]
	}
	if err != nil {
		conn.Close()
		return err
	}
	s.conn, s.done = conn, make(chan error, 1)
	go func() { s.done <- s.follow() }()
	target, err := infoNumber(source, "shard0_applied_index")
	if err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for float64(s.index.Load()) < target {
		select {
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("%s: %w", s.name, err)
		case <-tick.C:
		}
	}
	return nil
}

// follow reads frames until the connection ends.
func (s *sink) follow() error {
	r := s.conn.Reader()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$")))
		if err != nil || n < frameHeaderBytes {
			return fmt.Errorf("%.100q where a frame is expected", line)
		}
		head, err := r.Peek(frameHeaderBytes)
		if err != nil {
			return err
		}
		if head[frameTypeAt] != frameChunk || head[frameFlagsAt]&frameLastChunk != 0 {
			s.term = binary.LittleEndian.Uint64(head[frameTermAt:])
			s.index.Store(binary.LittleEndian.Uint64(head[frameIndexAt:]))
		}
		if _, err := r.Discard(n + len("\r\n")); err != nil {
			return err
		}
		index := strconv.FormatUint(s.index.Load(), 10)
		if _, err := io.WriteString(s.conn, string(harness.AppendCommand(nil, "REPLCONF", "ACK", index, "FACK", index))); err != nil {
			return err
		}
	}
}

// stop ends it. A sink that has failed before says why.
func (s *sink) stop() error {
	if s.conn == nil {
		return nil
	}
	var err error
	select {
	case err = <-s.done:
		err = fmt.Errorf("%s: %w", s.name, err)
	default:
		s.conn.Close()
		<-s.done
	}
	s.conn = nil
	return err
}
