package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"dkv/server/rdb"
)

const (
	// importBytes and importCommands bound what is sent before the replies are read.
	importBytes    = 64 << 10
	importCommands = 128
	// importPiece is about how much of a collection one command has.
	importPiece = 32 << 10
	// maxStreamBytes is the largest stream, or hash with fields that expire, that can be
	// imported: RESTORE takes it whole.
	maxStreamBytes = 256 << 20
)

// importer sends the functions and keys of an RDB file.
type importer struct {
	c     *conn
	out   []byte
	sent  []sent // commands without a reply yet
	db    int    // that is selected; -1: none
	piece []string
	size  int // of piece
	said  progress
}

// sent is a command that waits for its reply.
type sent struct{ name, key string }

// about says what a command is about.
func (s *sent) about() string {
	if s.name == "FUNCTION" {
		return "functions"
	}
	return fmt.Sprintf("key %.60q", s.key)
}

// importFile puts the functions and keys of an RDB file into the server, in place of
// those of the same names. The file is checked as a whole before anything is sent.
func importFile(c *conn, path string, p *printer) int {
	f, err := os.Open(path)
	if err != nil {
		return p.outcome(err)
	}
	defer f.Close() // it was only read
	if err := checkFile(f); err != nil {
		return p.outcome(fmt.Errorf("%s: %w; nothing was sent", path, err))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return p.outcome(err)
	}
	im := &importer{c: c, db: -1, said: progress{p: p, did: "imported"}}
	err = im.file(f)
	if err == nil {
		err = im.receive()
	}
	im.said.end()
	return p.outcome(err)
}

// checkFile reads a file to its end.
func checkFile(r io.Reader) error {
	f, err := rdb.NewFile(r)
	if err != nil {
		return err
	}
	for {
		rec, err := f.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch rec.Op {
		case rdb.OpKey:
			err := f.Value(func(*rdb.Element) error { return nil })
			if err != nil && !errors.Is(err, rdb.ErrEmpty) {
				return fmt.Errorf("key %.60q: %w", rec.Key, err)
			}
		}
	}
}

func (im *importer) file(r io.Reader) error {
	f, err := rdb.NewFile(r)
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	for {
		rec, err := f.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if rec.Op == rdb.OpFunction {
			if err := im.send("", "FUNCTION", "LOAD", "REPLACE", string(rec.Text)); err != nil {
				return err
			}
		}
		if rec.Op != rdb.OpKey {
			continue
		}
		if rec.ExpireAt != 0 && rec.ExpireAt <= now {
			err = f.Skip()
		} else {
			err = im.key(f, rec)
		}
		if err != nil && !errors.Is(err, rdb.ErrEmpty) {
			return err
		}
	}
}

// adders are the commands that add elements.
var adders = map[rdb.Kind]string{rdb.KindList: "RPUSH", rdb.KindSet: "SADD", rdb.KindZSet: "ZADD", rdb.KindHash: "HSET"}

// key sends a key.
func (im *importer) key(f *rdb.File, rec *rdb.Record) error {
	name, kind, expireAt := string(rec.Key), rec.Type.Kind(), rec.ExpireAt
	if rec.DB != im.db {
		im.db = rec.DB
		if err := im.send(name, "SELECT", strconv.Itoa(rec.DB)); err != nil {
			return err
		}
	}
	began := f.Offset()
	if kind == rdb.KindStream || rec.Type.Expires() {
		payload, err := f.Payload(maxStreamBytes)
		if err != nil {
			return fmt.Errorf("key %.60q: %w", name, err)
		}
		if err := im.send(name, "RESTORE", name, strconv.FormatInt(expireAt, 10), string(payload), "REPLACE", "ABSTTL"); err != nil {
			return err
		}
		im.said.key(len(payload))
		return nil
	}
	if kind != rdb.KindString {
		if err := im.send(name, "DEL", name); err != nil {
			return err
		}
	}
	im.piece, im.size = im.piece[:0], 0
	err := f.Value(func(el *rdb.Element) error {
		if kind == rdb.KindString {
			return im.send(name, "SET", name, string(el.Value))
		}
		return im.element(kind, name, el)
	})
	if err != nil {
		return err
	}
	if err := im.flushPiece(kind, name); err != nil {
		return err
	}
	im.said.key(int(f.Offset() - began))
	if expireAt != 0 {
		return im.send(name, "PEXPIREAT", name, strconv.FormatInt(expireAt, 10))
	}
	return nil
}

// element adds an element to the piece.
func (im *importer) element(kind rdb.Kind, name string, el *rdb.Element) error {
	switch value := string(el.Value); kind {
	case rdb.KindZSet:
		im.piece = append(im.piece, formatScore(el.Score), value)
	case rdb.KindHash:
		im.piece = append(im.piece, value, string(el.Second))
	default:
		im.piece = append(im.piece, value)
	}
	if im.size += el.Size(); im.size < importPiece {
		return nil
	}
	return im.flushPiece(kind, name)
}

func formatScore(f float64) string {
	if math.IsInf(f, 0) {
		return map[bool]string{true: "inf", false: "-inf"}[f > 0]
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func (im *importer) flushPiece(kind rdb.Kind, name string) error {
	if len(im.piece) == 0 {
		return nil
	}
	words := append([]string{adders[kind], name}, im.piece...)
	im.piece, im.size = im.piece[:0], 0
	return im.send(name, words...)
}

// send queues a command about a key, and sends what is queued when that is enough.
func (im *importer) send(key string, words ...string) error {
	im.out = appendCommand(im.out, words...)
	im.sent = append(im.sent, sent{words[0], key})
	if len(im.out) < importBytes && len(im.sent) < importCommands {
		return nil
	}
	return im.receive()
}

// receive sends what is queued and reads the replies.
func (im *importer) receive() error {
	if err := im.c.flush(im.out); err != nil {
		return err
	}
	im.out = im.out[:0]
	if cap(im.out) > 16*importBytes {
		im.out = nil
	}
	for _, s := range im.sent {
		r, err := im.c.receive()
		if err != nil {
			return err
		}
		if r.isError() {
			return fmt.Errorf("%s: %s: %w", s.about(), s.name, serverError(r.str))
		}
	}
	im.sent = im.sent[:0]
	return nil
}
