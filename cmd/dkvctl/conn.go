package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	errConnect = errors.New("could not connect")
	// errLost is a connection that ended after a command was sent and before
	// its reply arrived.
	errLost = errors.New("connection lost before the reply: the command may or may not have been executed")
)

// serverError is an error reply, as the error of a Go call.
type serverError string

func (e serverError) Error() string { return string(e) }

// conn is one connection to a server. It is used by one goroutine; close may be
// called by another, to end a wait.
type conn struct {
	nc    net.Conn
	rr    *replyReader
	proto int           // what the server agreed to
	push  func(*reply)  // RESP3 messages that no command asked for; may be nil
	out   []byte        // the command being sent
	wait  time.Duration // limit for a reply; 0 is none, since commands may block
}

// dial connects to the first server of v.addrs that answers, which becomes
// v.addr; the one in use before is tried first. One that says that its cluster
// is down, or that it is of none any more, is only taken when no other answers.
// Errors wrap errConnect, or are a serverError.
func dial(v *invocation) (*conn, error) {
	var failed []error
	var down *conn
	downAddr := ""
	for _, addr := range v.tryOrder() {
		c, err := dialOne(v, addr)
		isDown := false
		if err == nil && len(v.addrs) > 1 {
			isDown, err = c.clusterDown(v.timeout)
		}
		switch {
		case err != nil && !errors.Is(err, errConnect):
			return nil, err // it answered: the others would say the same
		case err != nil:
			failed = append(failed, err)
		case isDown:
			if down != nil {
				c.close()
			} else {
				down, downAddr = c, addr
			}
		default:
			if down != nil {
				down.close()
			}
			v.addr = addr
			return c, nil
		}
	}
	if down != nil {
		v.addr = downAddr
		return down, nil
	}
	return nil, errors.Join(failed...)
}

// clusterDown says whether the server knows of a cluster that does not serve,
// which one that has no such command does not. The error wraps errConnect.
func (c *conn) clusterDown(timeout time.Duration) (bool, error) {
	c.wait = timeout
	defer func() { c.wait = 0 }()
	r, err := c.do("CLUSTER", "INFO")
	if err != nil {
		return false, fmt.Errorf("%w to %s: %w", errConnect, c.nc.RemoteAddr(), unwrapOp(err))
	}
	return strings.Contains(string(r.str), "cluster_state:fail"), nil
}

// tryOrder is v.addrs, from v.addr on and around.
func (v *invocation) tryOrder() []string {
	at := max(slices.Index(v.addrs, v.addr), 0)
	return slices.Concat(v.addrs[at:], v.addrs[:at])
}

// dialOne connects, authenticates, and selects the protocol and the database.
func dialOne(v *invocation, addr string) (*conn, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	ctx, cancel := context.WithTimeout(context.Background(), v.timeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, fmt.Errorf("%w to %s: %w", errConnect, addr, unwrapOp(err))
	}
	if v.tls.on && network == "tcp" {
		if nc, err = v.tls.client(ctx, nc, addr); err != nil {
			return nil, fmt.Errorf("%w to %s: %w", errConnect, addr, err)
		}
	}
	c := &conn{nc: nc, rr: newReplyReader(nc), proto: 2, wait: v.timeout}
	if err := c.handshake(v); err != nil {
		c.close()
		var se serverError
		if errors.As(err, &se) {
			return nil, err
		}
		return nil, fmt.Errorf("%w to %s: %w", errConnect, addr, unwrapOp(err))
	}
	c.wait = 0
	return c, nil
}

func (c *conn) handshake(v *invocation) error {
	auth := []string{"AUTH"}
	if v.user != "" {
		auth = append(auth, v.user)
	}
	auth = append(auth, v.pass)
	if v.protocol() == 3 {
		hello := []string{"HELLO", "3"}
		if v.pass != "" {
			user := v.user
			if user == "" {
				user = "default"
			}
			hello = append(hello, "AUTH", user, v.pass)
		}
		r, err := c.do(hello...)
		if err != nil {
			return err
		}
		// A server from before RESP3 does not know HELLO: go on with RESP2.
		switch known := !r.isError() || !strings.HasPrefix(string(r.str), "ERR unknown command"); {
		case known && r.isError():
			return serverError(r.str)
		case known:
			c.proto = 3
		}
	}
	if v.pass != "" && c.proto == 2 {
		if err := c.must(auth...); err != nil {
			return err
		}
	}
	if v.db != 0 {
		return c.must("SELECT", strconv.Itoa(v.db))
	}
	return nil
}

// must is do for a command whose error reply is a failure.
func (c *conn) must(words ...string) error {
	r, err := c.do(words...)
	if err == nil && r.isError() {
		return serverError(r.str)
	}
	return err
}

// do sends one command and returns its reply, which may be an error reply. Any
// error it returns wraps errLost, and the connection is closed.
func (c *conn) do(words ...string) (reply, error) {
	if err := c.send(words...); err != nil {
		return reply{}, err
	}
	return c.receive()
}

// send writes commands without waiting for replies.
func (c *conn) send(words ...string) error {
	c.out = appendCommand(c.out[:0], words...)
	return c.flush(c.out)
}

func (c *conn) flush(out []byte) error {
	if err := c.setDeadline(); err != nil {
		return c.lost(err)
	}
	if _, err := c.nc.Write(out); err != nil {
		return c.lost(err)
	}
	return nil
}

// receive returns the next reply to a command.
func (c *conn) receive() (reply, error) {
	for {
		r, err := c.rr.read()
		if err != nil {
			return reply{}, c.lost(err)
		}
		if r.kind != kindPush {
			return r, nil
		}
		if c.push != nil {
			c.push(&r)
		}
	}
}

func (c *conn) setDeadline() error {
	if c.wait == 0 {
		return c.nc.SetDeadline(time.Time{})
	}
	return c.nc.SetDeadline(time.Now().Add(c.wait))
}

func (c *conn) lost(err error) error {
	c.close()
	return fmt.Errorf("%w (%w)", errLost, unwrapOp(err))
}

// alive reports whether the server still holds the connection open, without
// sending anything: a command that is sent on a dead connection leaves open
// whether it was executed. It may wait for a millisecond.
func (c *conn) alive() bool {
	for {
		if c.nc.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
			return false
		}
		_, err := c.rr.br.Peek(1)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return c.nc.SetReadDeadline(time.Time{}) == nil
		case err != nil:
			return false
		}
		if c.nc.SetReadDeadline(time.Time{}) != nil {
			return false
		}
		r, err := c.rr.read()
		if err != nil || r.kind != kindPush {
			return false // a reply that nothing asked for: usually why we were closed
		}
		if c.push != nil {
			c.push(&r)
		}
	}
}

func (c *conn) close() { c.nc.Close() }

// appendCommand appends one request.
func appendCommand(dst []byte, words ...string) []byte {
	dst = append(strconv.AppendInt(append(dst, '*'), int64(len(words)), 10), "\r\n"...)
	for _, w := range words {
		dst = append(strconv.AppendInt(append(dst, '$'), int64(len(w)), 10), "\r\n"...)
		dst = append(append(dst, w...), "\r\n"...)
	}
	return dst
}

// unwrapOp drops what net adds around an error and the message has already.
func unwrapOp(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
