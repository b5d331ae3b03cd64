package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"dkv/tests/harness"
)

const (
	collectionKey = "large"
	// spaceLimit is how long the space of what was deleted is waited for, and
	// spaceShare how much of it has to have come back.
	spaceLimit  = 5 * time.Minute
	spaceShare  = 0.95
	spaceSample = 50 * time.Millisecond
)

// collection is a type whose large values are measured.
type collection struct {
	row string
	add string
	// element appends the arguments for element n.
	element func(args []string, n int) []string
	size    string
}

var collections = []collection{
	{"large-list", "RPUSH", func(args []string, n int) []string { return append(args, job(int64(n))) }, "LLEN"},
	{"large-set", "SADD", func(args []string, n int) []string { return append(args, job(int64(n))) }, "SCARD"},
	{"large-hash", "HSET", func(args []string, n int) []string { return append(args, job(int64(n)), strconv.Itoa(n)) }, "HLEN"},
	{"large-zset", "ZADD", func(args []string, n int) []string { return append(args, strconv.Itoa(n), job(int64(n))) }, "ZCARD"},
	{"large-stream", "XADD", func(args []string, n int) []string { return append(args, "*", "job", job(int64(n))) }, "XLEN"},
}

func collectionRows() []string {
	var names []string
	for _, t := range collections {
		names = append(names, t.row)
	}
	return names
}

// deletion is what happened to a large collection.
type deletion struct {
	collection collection
	elements   int
	filled     time.Duration
	del        time.Duration // of DEL
	meanwhile  time.Duration // the longest reply to another client until the space was back
	before     int64         // bytes of the data folder, log included, before it was filled
	full       int64
	after      int64
	back       time.Duration // until spaceShare of the space was back; 0: it never was
}

// measureCollections fills and deletes the collections that c names.
func measureCollections(c config) ([]deletion, error) {
	var out []deletion
	for _, t := range collections {
		if !c.has(t.row) {
			continue
		}
		d, err := measureCollection(c, t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.row, err)
		}
		fmt.Fprintf(c.progress, "%s: DEL took %v, %d to %d MB, back after %v\n", t.row, d.del, d.full/1e6, d.after/1e6, d.back)
		out = append(out, d)
	}
	return out, nil
}

func measureCollection(c config, t collection) (deletion, error) {
	server, err := startDkv(c, t.row, "-fsync", "everysec")
	if err != nil {
		return deletion{}, err
	}
	defer server.Kill()
	dkv := contender{name: "dkv", server: server}
	folder := filepath.Join(c.folder, t.row)
	d := deletion{collection: t, elements: c.elements}
	if d.before, err = folderBytes(folder); err != nil {
		return d, err
	}
	conn, err := dkv.server.Connect()
	if err != nil {
		return d, err
	}
	defer conn.Close()
	fmt.Fprintf(c.progress, "%s: filling\n", t.row)
	began := time.Now()
	if err := t.fill(conn, c.elements); err != nil {
		return d, err
	}
	d.filled = time.Since(began)
	if r, err := conn.Call(t.size, collectionKey); err != nil || !isInt(r, int64(c.elements)) {
		return d, fmt.Errorf("%s: %s, %v", t.size, r, err)
	}
	if err := settle([]contender{dkv}); err != nil {
		return d, err
	}
	if d.full, err = folderBytes(folder); err != nil {
		return d, err
	}
	return d, d.remove(conn, folder)
}

// fill adds n elements, in pipelines.
func (t collection) fill(conn *harness.Conn, n int) error {
	const elements, commands = 100, 50
	each := elements
	if t.add == "XADD" {
		each = 1
	}
	for next := 0; next < n; {
		sent := 0
		for ; sent < commands && next < n; sent++ {
			args := []string{t.add, collectionKey}
			for range min(each, n-next) {
				args = t.element(args, next)
				next++
			}
			conn.Queue(args...)
		}
		if err := conn.Flush(); err != nil {
			return err
		}
		for range sent {
			if r, err := conn.Read(); err != nil || r.IsError() {
				return fmt.Errorf("%s: %s, %v", t.add, r, err)
			}
		}
	}
	return nil
}

// remove deletes the collection and waits for its space.
func (d *deletion) remove(conn *harness.Conn, folder string) error {
	began := time.Now()
	if r, err := conn.Call("DEL", collectionKey); err != nil || !isInt(r, 1) {
		return fmt.Errorf("DEL: %s, %v", r, err)
	}
	d.del = time.Since(began)
	for {
		sent := time.Now()
		if r, err := conn.Call("SET", "other", "x"); err != nil || r.IsError() {
			return fmt.Errorf("SET: %s, %v", r, err)
		}
		d.meanwhile = max(d.meanwhile, time.Since(sent))
		var err error
		if d.after, err = folderBytes(folder); err != nil {
			return err
		}
		switch since := time.Since(began); {
		case float64(d.full-d.after) >= spaceShare*float64(d.full-d.before):
			d.back = since
			return nil
		case since > spaceLimit:
			return nil
		}
		time.Sleep(spaceSample) // the distance of the samples, not a guess
	}
}

// folderBytes is the size of all files in a folder.
func folderBytes(folder string) (int64, error) {
	total := int64(0)
	err := filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err == nil {
			total += info.Size()
		}
		return ignoreGone(err)
	})
	return total, err
}

// ignoreGone drops the error of a file that was removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// printCollections prints a line for each.
func printCollections(w io.Writer, all []deletion) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\nCollections of %d elements, filled, then deleted:\n\n", all[0].elements)
	fmt.Fprintln(w, "| type | filled, elements/s | on disk MB | DEL ms | longest SET meanwhile ms | MB afterwards | space back after |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|")
	for _, d := range all {
		back := fmt.Sprintf("not in %v", spaceLimit)
		if d.back > 0 {
			back = fmt.Sprintf("%.1f s", d.back.Seconds())
		}
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %.2f | %.2f | %.0f | %s |\n", d.collection.row, float64(d.elements)/d.filled.Seconds(),
			float64(d.full)/1e6, d.del.Seconds()*1e3, d.meanwhile.Seconds()*1e3, float64(d.after)/1e6, back)
	}
}
