package script

import (
	"sort"
	"strings"
	"time"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// listLibraries is FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE].
func (e *Engine) listLibraries(c *command.Ctx) error {
	withCode, pattern, named := false, []byte(nil), false
	for i := 2; i < len(c.Args); i++ {
		switch {
		case !withCode && strings.EqualFold(string(c.Args[i]), "withcode"):
			withCode = true
		case !named && strings.EqualFold(string(c.Args[i]), "libraryname"):
			if i++; i >= len(c.Args) {
				return resp.Error("ERR library name argument was not given")
			}
			pattern, named = c.Args[i], true
		default:
			return resp.Error("ERR Unknown argument " + string(c.Args[i]))
		}
	}
	libs, err := e.index(c)
	if err != nil {
		return err
	}
	var shown []*library
	for _, l := range libs {
		if !named || keyspace.Match(pattern, []byte(l.name), true) {
			shown = append(shown, l)
		}
	}
	c.Out.Array(len(shown))
	for _, l := range shown {
		l.reply(c.Out, withCode)
	}
	return nil
}

func (l *library) reply(w *resp.Writer, withCode bool) {
	if withCode {
		w.Map(4)
	} else {
		w.Map(3)
	}
	w.BulkString("library_name")
	w.BulkString(l.name)
	w.BulkString("engine")
	w.BulkString("LUA")
	w.BulkString("functions")
	sort.Slice(l.functions, func(i, j int) bool { return l.functions[i].name < l.functions[j].name })
	w.Array(len(l.functions))
	for i := range l.functions {
		f := &l.functions[i]
		w.Map(3)
		w.BulkString("name")
		w.BulkString(f.name)
		w.BulkString("description")
		if f.described {
			w.BulkString(f.description)
		} else {
			w.Null()
		}
		w.BulkString("flags")
		f.flags.reply(w)
	}
	if withCode {
		w.BulkString("library_code")
		w.BulkString(l.code)
	}
}

func (f flags) reply(w *resp.Writer) {
	var names []string
	for i, name := range flagNames {
		if f>>i&1 != 0 {
			names = append(names, name)
		}
	}
	w.Set(len(names))
	for _, name := range names {
		w.Simple(name)
	}
}

// functionStats is FUNCTION STATS.
func (e *Engine) functionStats(c *command.Ctx) error {
	libs, err := e.index(c)
	if err != nil {
		return err
	}
	functions := 0
	for _, l := range libs {
		functions += len(l.functions)
	}
	c.Out.Map(2)
	c.Out.BulkString("running_script")
	e.replyRunning(c.Out)
	c.Out.BulkString("engines")
	c.Out.Map(1)
	c.Out.BulkString("LUA")
	c.Out.Map(2)
	c.Out.BulkString("libraries_count")
	c.Out.Int(int64(len(libs)))
	c.Out.BulkString("functions_count")
	c.Out.Int(int64(functions))
	return nil
}

// counted is what Count has found last.
type counted struct {
	digest string // of the libraries
	FunctionCount
}

// FunctionCount says how much there is of functions.
type FunctionCount struct {
	Libraries int
	Functions int
	Bytes     int // of source text
}

// Count counts the libraries of a shard and their functions. It looks into them when they
// have changed since it was asked last.
func (e *Engine) Count(tx *keyspace.Tx) (FunctionCount, error) {
	digest, found, err := tx.ScriptRecord(nil, digestRecord)
	if err != nil || !found {
		return FunctionCount{}, err
	}
	e.mu.Lock()
	last := e.mu.counted
	e.mu.Unlock()
	if last.digest == string(digest) {
		return last.FunctionCount, nil
	}
	libs, err := e.index(&command.Ctx{Tx: tx})
	if err != nil {
		return FunctionCount{}, err
	}
	last = counted{digest: string(digest)}
	for _, l := range libs {
		last.Libraries++
		last.Functions += len(l.functions)
		last.Bytes += len(l.code)
	}
	e.mu.Lock()
	e.mu.counted = last
	e.mu.Unlock()
	return last.FunctionCount, nil
}

// replyRunning replies what is being run: its name, the command and how long.
func (e *Engine) replyRunning(w *resp.Writer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for r := range e.mu.running {
		if !r.function {
			continue
		}
		w.Map(3)
		w.BulkString("name")
		w.BulkString(r.name)
		w.BulkString("command")
		w.Array(len(r.x.Args))
		for _, a := range r.x.Args {
			w.Bulk(a)
		}
		w.BulkString("duration_ms")
		w.Int(time.Since(r.began).Milliseconds())
		return
	}
	w.Null()
}
