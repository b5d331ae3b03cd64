package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"dkv/server/rdb"
)

// exporter writes keys to an RDB file.
type exporter struct {
	c    *conn
	w    *rdb.Writer
	said progress
}

// exportFile writes the functions and all keys to a file, database by database. It is no snapshot: a key
// is written as it was when it was read. The file is there when all of it is.
func exportFile(c *conn, v *invocation, p *printer) int {
	err := writeWhole(v.operands[0], func(f io.Writer) error {
		e := &exporter{c: c, w: rdb.NewWriter(f), said: progress{p: p, did: "exported"}}
		e.w.Aux("redis-ver", "7.0.0")
		e.w.Aux("redis-bits", "64")
		e.w.Aux("ctime", strconv.FormatInt(time.Now().Unix(), 10))
		if v.db == 0 {
			if err := e.functions(); err != nil {
				return err
			}
		}
		dbs, err := databases(c)
		if err != nil {
			return err
		}
		for _, d := range dbs {
			if v.db == 0 || v.db == d.number {
				if err := e.database(d); err != nil {
					return err
				}
			}
		}
		e.said.end()
		return e.w.Close()
	})
	return p.outcome(err)
}

// maxFunctionBytes is how much of libraries of functions is written.
const maxFunctionBytes = 64 << 20

// functions writes the libraries of functions, of a server that knows them.
func (e *exporter) functions() error {
	r, err := e.c.do("FUNCTION", "DUMP")
	if err != nil {
		return err
	}
	if r.isError() {
		if strings.HasPrefix(string(r.str), "ERR unknown command") {
			return nil
		}
		return fmt.Errorf("functions: %w", serverError(r.str))
	}
	err = rdb.Functions(r.str, maxFunctionBytes, func(code []byte) error {
		e.w.Function(code)
		return nil
	})
	if err != nil {
		return fmt.Errorf("functions: %w", err)
	}
	return nil
}

// writeWhole has write make a file, which appears under its name when it is whole and
// on disk.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(dirOf(path), ".dkvctl-export-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func dirOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i+1]
	}
	return "."
}

// database is a line of INFO keyspace.
type database struct {
	number         int
	keys, expiring uint64
}

// databases are those that have keys.
func databases(c *conn) ([]database, error) {
	r, err := c.do("INFO", "keyspace")
	if err != nil {
		return nil, err
	}
	if r.isError() {
		return nil, serverError(r.str)
	}
	var list []database
	for line := range strings.Lines(string(r.str)) {
		var d database
		if n, _ := fmt.Sscanf(line, "db%d:keys=%d,expires=%d", &d.number, &d.keys, &d.expiring); n == 3 {
			list = append(list, d)
		}
	}
	return list, nil
}

func (e *exporter) database(d database) error {
	if err := e.c.must("SELECT", strconv.Itoa(d.number)); err != nil {
		return err
	}
	e.w.Select(d.number, d.keys, d.expiring)
	seen := newRecentKeys(iterSeenMax)
	for cursor := "0"; ; {
		r, err := e.c.do("SCAN", cursor, "COUNT", iterCount)
		if err != nil {
			return err
		}
		if r.isError() {
			return serverError(r.str)
		}
		if len(r.elems) != 2 || r.elems[1].kind != kindArray {
			return fmt.Errorf("%w: not a reply to SCAN", errProtocol)
		}
		keys := make([]string, 0, len(r.elems[1].elems))
		for _, k := range r.elems[1].elems {
			if seen.add(k.str) {
				keys = append(keys, string(k.str))
			}
		}
		for len(keys) > 0 {
			n := batchLen(keys)
			if err := e.keys(keys[:n]); err != nil {
				return err
			}
			keys = keys[n:]
		}
		if cursor = string(r.elems[0].str); cursor == "0" {
			return nil
		}
	}
}

// keys writes keys. Those that are gone by now are left out.
func (e *exporter) keys(keys []string) error {
	var out []byte
	for _, key := range keys {
		out = appendCommand(appendCommand(out, "PEXPIRETIME", key), "DUMP", key)
	}
	if err := e.c.flush(out); err != nil {
		return err
	}
	for _, key := range keys {
		expiry, err := e.c.receive()
		if err != nil {
			return err
		}
		value, err := e.c.receive()
		switch {
		case err != nil:
			return err
		case expiry.isError():
			return fmt.Errorf("key %.60q: %w", key, serverError(expiry.str))
		case value.isError():
			return fmt.Errorf("key %.60q: %w", key, serverError(value.str))
		case value.kind == kindNil:
			continue
		}
		t, body, err := rdb.PayloadValue(value.str)
		if err != nil {
			return fmt.Errorf("key %.60q: %w", key, err)
		}
		if err := e.w.Key([]byte(key), t, body, max(expiry.num, 0)); err != nil {
			return err
		}
		e.said.key(len(value.str))
	}
	return nil
}
