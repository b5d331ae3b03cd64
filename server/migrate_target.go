package server

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"dkv/resp"
	"dkv/server/command"
)

// migrationTarget is the server that keys are moved to.
type migrationTarget struct {
	command.Migration
	nc      net.Conn // nil: not connected
	r       *bufio.Reader
	ctx     context.Context // ends when nobody waits for the reply any more
	stop    func() bool     // of watching ctx
	refusal resp.Error      // the first error that the target has replied
}

const (
	// targetLine bounds a reply of the target: OK, a number or an error.
	targetLine = 4 << 10
	// targetPiece is how much is sent before the timeout begins anew.
	targetPiece = 64 << 10
)

// deliver sends keys, and returns those that the target has taken: fewer than all when it
// has refused some, which refusal says then, or when the talk has broken off. again: they
// were sent before, so what the target has of them is what it was sent.
func (t *migrationTarget) deliver(items []parcelItem, again bool) (accepted []parcelItem, err error) {
	if err := t.connect(); err != nil {
		return nil, err
	}
	if t.nc == nil {
		return nil, nil // it lets us do nothing
	}
	var out []byte
	for i := range items {
		if out = t.appendItem(out, &items[i], again); len(out) >= targetPiece {
			if err := t.send(out); err != nil {
				return nil, err
			}
			out = out[:0]
		}
	}
	if err := t.send(out); err != nil {
		return nil, err
	}
	for i := range items {
		taken, err := t.reply()
		if err != nil {
			return accepted, err
		}
		if taken {
			accepted = append(accepted, items[i])
		}
	}
	return accepted, nil
}

// appendItem appends the command that brings a key.
func (t *migrationTarget) appendItem(dst []byte, item *parcelItem, again bool) []byte {
	args := [][]byte{[]byte("RESTORE"), item.key, strconv.AppendInt(nil, item.ttl, 10), item.payload, []byte("REPLACE")}
	if !t.Replace && !again {
		args = args[:4]
	}
	return appendBulks(dst, args...)
}

// connect connects, logs in and selects the database, unless that was done. Without an
// error and a connection the target has refused one of these.
func (t *migrationTarget) connect() error {
	if t.nc != nil || t.refusal != "" {
		return nil
	}
	dialer := net.Dialer{Timeout: t.Timeout}
	nc, err := dialer.DialContext(t.ctx, "tcp", net.JoinHostPort(t.Host, t.Port))
	if err != nil {
		return connectFailure(err)
	}
	t.nc, t.r = nc, bufio.NewReaderSize(nc, targetLine)
	t.stop = context.AfterFunc(t.ctx, func() { nc.Close() })
	var greeting [][][]byte
	switch {
	case t.User != nil:
		greeting = append(greeting, [][]byte{[]byte("AUTH"), t.User, t.Password})
	case t.Password != nil:
		greeting = append(greeting, [][]byte{[]byte("AUTH"), t.Password})
	}
	if t.DB != 0 {
		greeting = append(greeting, [][]byte{[]byte("SELECT"), strconv.AppendInt(nil, t.DB, 10)})
	}
	for _, args := range greeting {
		if err := t.send(appendBulks(nil, args...)); err != nil {
			return err
		}
		taken, err := t.reply()
		if err != nil {
			return err
		}
		if !taken {
			t.close()
			return nil
		}
	}
	return nil
}

// connectFailure is what Redis says: it connects without waiting, so that a server which is
// not there shows when it writes.
func connectFailure(err error) error {
	var name *net.DNSError
	var network net.Error
	if errors.As(err, &name) || errors.As(err, &network) && network.Timeout() {
		return errMigrateConnect
	}
	return errMigrateWrite
}

// send writes requests, a piece after the other.
func (t *migrationTarget) send(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), targetPiece)
		err := t.nc.SetWriteDeadline(time.Now().Add(t.Timeout))
		if err == nil {
			_, err = t.nc.Write(b[:n])
		}
		if err != nil {
			return errMigrateWrite
		}
		b = b[n:]
	}
	return nil
}

// reply reads a reply; taken says that it is no error. Of errors the first is kept.
func (t *migrationTarget) reply() (taken bool, err error) {
	var line []byte
	err = t.nc.SetReadDeadline(time.Now().Add(t.Timeout))
	if err == nil {
		line, err = t.r.ReadSlice('\n')
	}
	if err != nil || len(line) < 3 {
		return false, errMigrateRead
	}
	switch text := line[1 : len(line)-2]; line[0] {
	case '+', ':':
		return true, nil
	case '-':
		if t.refusal == "" {
			t.refusal = "ERR Target instance replied with error: " + resp.Error(text)
		}
		return false, nil
	}
	return false, errMigrateRead // no server that we know
}

func (t *migrationTarget) close() {
	if t.nc == nil {
		return
	}
	t.stop()
	t.nc.Close()
	t.nc = nil
}

// appendBulks appends a command as an array of bulks.
func appendBulks(dst []byte, args ...[]byte) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(args)), 10)
	dst = append(dst, "\r\n"...)
	for _, a := range args {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(a)), 10)
		dst = append(dst, "\r\n"...)
		dst = append(dst, a...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}
