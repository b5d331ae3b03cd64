package script

import (
	"crypto/sha1"
	"errors"
	"sort"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

// Records of libraries: the source text of each, and a digest of all, which tells
// whether what an interpreter has loaded is what there is.
const (
	libraryRecords = "library:"
	digestRecord   = "libraries"
)

// A library is source text that registers functions.
type library struct {
	name      string
	code      string
	functions []registered
}

// registered is a function of a library.
type registered struct {
	name        string
	description string
	described   bool
	flags       flags
	callback    *lua.LFunction // in the state that has loaded it
}

// libraries are those that a state has loaded.
type libraries struct {
	digest    string
	byName    map[string]*library
	functions map[string]*registered
}

// Errors of FUNCTION.
const (
	errNoFunction      resp.Error = "ERR Function not found"
	errNoLibrary       resp.Error = "ERR Library not found"
	errWriteFlag       resp.Error = "ERR Can not execute a script with write flag using *_ro command."
	errNoMetadata      resp.Error = "ERR Missing library metadata"
	errBadMetadata     resp.Error = "ERR Invalid library metadata"
	errNoLibraryName   resp.Error = "ERR Library name was not given"
	errTwoNames        resp.Error = "ERR Invalid metadata value, name argument was given multiple times"
	errBadName         resp.Error = "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
	errNothingThere    resp.Error = "ERR No functions registered"
	errFunctionFlush   resp.Error = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option"
	errBadKeyNumber    resp.Error = "ERR Bad number of keys provided"
	errTooManyLibBytes resp.Error = "ERR The libraries exceed the limit of 16 MiB"
)

// maxLibraryBytes bounds the source text of all libraries together, which every
// interpreter has in memory.
const maxLibraryBytes = 16 << 20

// runFunctions is FCALL and FUNCTION.
func (e *Engine) runFunctions(c *command.Ctx) error {
	switch c.Spec.Name {
	case "fcall", "fcall_ro":
		return e.callFunction(c)
	case "function|load":
		return e.loadLibrary(c)
	case "function|delete":
		return e.deleteLibrary(c)
	case "function|flush":
		return e.flushLibraries(c)
	case "function|list":
		return e.listLibraries(c)
	case "function|stats":
		return e.functionStats(c)
	case "function|dump":
		return e.dumpLibraries(c)
	case "function|restore":
		return e.restoreLibraries(c)
	}
	return resp.ErrUnknownCommand(c.Args)
}

// callFunction is FCALL and FCALL_RO.
func (e *Engine) callFunction(c *command.Ctx) error {
	s, err := e.stateWith(c)
	if err != nil {
		return err
	}
	f := s.library.functions[string(c.Args[1])]
	if f == nil {
		e.giveBack(s)
		return errNoFunction
	}
	keys, err := numKeys(c.Args, errBadKeyNumber)
	switch {
	case err != nil:
	case c.Spec.Name == "fcall_ro" && f.flags&flagNoWrites == 0:
		err = errWriteFlag
	case f.flags&flagNoCluster != 0 && e.o.Slots().Shards() > 1:
		err = errNoCluster
	}
	if err != nil {
		e.giveBack(s)
		return err
	}
	r := e.beginWith(s, c, f.name, f.flags, true)
	defer e.end(r)
	return r.finish(s.invoke(f.callback, s.list(c.Args[3:3+keys]), s.list(c.Args[3+keys:])))
}

// stateWith returns an interpreter that has loaded the libraries of c's shard.
func (e *Engine) stateWith(c *command.Ctx) (*state, error) {
	digest, _, err := c.Tx.ScriptRecord(nil, digestRecord)
	if err != nil {
		return nil, err
	}
	if s := e.takeLoaded(string(digest)); s != nil {
		return s, nil
	}
	libs, err := readLibraries(c.Tx)
	if err != nil {
		return nil, err
	}
	s := newState(true)
	s.library.digest = string(digest)
	for _, l := range libs {
		loaded, err := e.register(s, l.code)
		if err != nil {
			return nil, err
		}
		s.library.add(loaded)
	}
	return s, nil
}

func (l *libraries) add(lib *library) {
	l.byName[lib.name] = lib
	for i := range lib.functions {
		l.functions[lib.functions[i].name] = &lib.functions[i]
	}
}

// takeLoaded returns an idle interpreter with these libraries; others, which are of
// another shard or out of date, make room for it in time.
func (e *Engine) takeLoaded(digest string) *state {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.mu.functions
	for i := len(list) - 1; i >= 0; i-- {
		if s := list[i]; s.library.digest == digest {
			e.mu.functions = append(list[:i], list[i+1:]...)
			return s
		}
	}
	return nil
}

// readLibraries returns the libraries of a shard, by name, without their functions.
func readLibraries(tx *keyspace.Tx) (libs []library, err error) {
	err = tx.ScriptRecords(libraryRecords, func(name string, code []byte) error {
		libs = append(libs, library{name: name[len(libraryRecords):], code: string(code)})
		return nil
	})
	return libs, err
}

// writeDigest notes which libraries there are now.
func writeDigest(tx *keyspace.Tx) error {
	libs, err := readLibraries(tx)
	if err != nil {
		return err
	}
	if len(libs) == 0 {
		tx.DeleteScriptRecord(digestRecord)
		return nil
	}
	h := sha1.New()
	total := 0
	for _, l := range libs {
		sum := sha1.Sum([]byte(l.code))
		h.Write(sum[:])
		total += len(l.code)
	}
	if total > maxLibraryBytes {
		return errTooManyLibBytes
	}
	tx.PutScriptRecord(digestRecord, h.Sum(nil))
	return nil
}

// metadata reads the first line of a library, "#!lua name=x".
func metadata(code string) (name, body string, err error) {
	if !strings.HasPrefix(code, "#!") {
		return "", "", errNoMetadata
	}
	end := strings.IndexByte(code, '\n')
	if end < 0 {
		return "", "", errBadMetadata
	}
	words := strings.Fields(code[2:end])
	if len(words) == 0 {
		return "", "", errBadMetadata
	}
	given := false
	for _, w := range words[1:] {
		value, ok := strings.CutPrefix(w, "name=")
		switch {
		case !ok:
			return "", "", resp.Error("ERR Invalid metadata value given: " + w)
		case given:
			return "", "", errTwoNames
		}
		name, given = value, true
	}
	switch {
	case !given:
		return "", "", errNoLibraryName
	case !validName(name):
		return "", "", errBadName
	case !strings.EqualFold(words[0], "lua"):
		return "", "", resp.Error("ERR Engine '" + words[0] + "' not found")
	}
	return name, code[end:], nil
}

func validName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !isAlpha(c) && !isDigit(c) && c != '_' {
			return false
		}
	}
	return name != ""
}

// loadLibrary is FUNCTION LOAD [REPLACE] code.
func (e *Engine) loadLibrary(c *command.Ctx) error {
	replace := false
	for _, arg := range c.Args[2 : len(c.Args)-1] {
		if !strings.EqualFold(string(arg), "replace") {
			return resp.Error("ERR Unknown option given: " + string(arg))
		}
		replace = true
	}
	name, err := e.install(c, string(c.Args[len(c.Args)-1]), replace)
	var there alreadyThere
	if errors.As(err, &there) {
		return resp.Error("ERR Library '" + string(there) + "' already exists")
	}
	if err != nil {
		return err
	}
	if err := writeDigest(c.Tx); err != nil {
		return err
	}
	c.Out.BulkString(name)
	return nil
}

// alreadyThere is the name of a library that is not to be replaced.
type alreadyThere string

// Error is not what is replied: FUNCTION LOAD and RESTORE word it each in its way.
func (a alreadyThere) Error() string { return "library " + string(a) + " already exists" }

// install checks a library against those that there are, and makes it a record. The
// digest is for the caller to write.
func (e *Engine) install(c *command.Ctx, code string, replace bool) (string, error) {
	name, _, err := metadata(code)
	if err != nil {
		return "", err
	}
	_, there, err := c.Tx.ScriptRecord(nil, libraryRecords+name)
	if err != nil {
		return "", err
	}
	if there && !replace {
		return "", alreadyThere(name)
	}
	s := newState(true)
	lib, err := e.register(s, code)
	if err != nil {
		return "", err
	}
	others, err := e.index(c)
	if err != nil {
		return "", err
	}
	for i := range lib.functions {
		f := &lib.functions[i]
		for _, o := range others {
			if o.name != name && o.has(f.name) {
				return "", resp.Error("ERR Function " + f.name + " already exists")
			}
		}
	}
	c.Tx.PutScriptRecord(libraryRecords+name, []byte(code))
	return name, nil
}

func (l *library) has(function string) bool {
	for i := range l.functions {
		if l.functions[i].name == function {
			return true
		}
	}
	return false
}

// index returns the libraries of c's shard with what they register, by name.
func (e *Engine) index(c *command.Ctx) ([]*library, error) {
	libs, err := readLibraries(c.Tx)
	if err != nil {
		return nil, err
	}
	s := newState(true)
	var out []*library
	for i := range libs {
		l, err := e.register(s, libs[i].code)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// deleteLibrary is FUNCTION DELETE.
func (e *Engine) deleteLibrary(c *command.Ctx) error {
	name := libraryRecords + string(c.Args[2])
	_, there, err := c.Tx.ScriptRecord(nil, name)
	if err != nil {
		return err
	}
	if !there {
		return errNoLibrary
	}
	c.Tx.DeleteScriptRecord(name)
	if err := writeDigest(c.Tx); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

// flushLibraries is FUNCTION FLUSH.
func (e *Engine) flushLibraries(c *command.Ctx) error {
	if len(c.Args) > 3 || len(c.Args) == 3 && !isFlushType(c.Args[2]) {
		return errFunctionFlush
	}
	if err := deleteRecords(c, libraryRecords); err != nil {
		return err
	}
	if err := writeDigest(c.Tx); err != nil {
		return err
	}
	c.Out.OK()
	return nil
}

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
