package server

import (
	"bytes"
	"errors"
	"strings"

	"dkv/engine/keyspace"
	"dkv/resp"
	"dkv/server/command"
)

func init() {
	bind("command", commandAll)
	bind("command|count", commandCount)
	bind("command|info", commandInfo)
	bind("command|docs", commandDocs)
	bind("command|list", commandList)
	bind("command|getkeys", commandGetKeys)
	bind("command|getkeysandflags", commandGetKeysAndFlags)
	bind("command|help", help("COMMAND",
		"(no subcommand)",
		"    Return details about all Redis commands.",
		"COUNT",
		"    Return the total number of commands in this Redis server.",
		"LIST",
		"    Return a list of all commands in this Redis server.",
		"INFO [<command-name> ...]",
		"    Return details about multiple Redis commands.",
		"    If no command names are given, documentation details for all",
		"    commands are returned.",
		"DOCS [<command-name> ...]",
		"    Return documentation details about multiple Redis commands.",
		"    If no command names are given, documentation details for all",
		"    commands are returned.",
		"GETKEYS <full-command>",
		"    Return the keys from a full Redis command.",
		"GETKEYSANDFLAGS <full-command>",
		"    Return the keys and the access flags from a full Redis command."))
}

// topLevel are the commands that are not subcommands.
func topLevel() []*command.Spec {
	var specs []*command.Spec
	for _, s := range command.All() {
		if !strings.Contains(s.Name, "|") {
			specs = append(specs, s)
		}
	}
	return specs
}

// lookupFull finds a command by its full name, "get" or "config|get"; nil when
// there is none.
func lookupFull(name []byte) *command.Spec {
	container, sub, isSub := bytes.Cut(name, []byte("|"))
	spec := command.Lookup(container)
	if spec != nil && isSub {
		spec = spec.Sub(sub)
	}
	return spec
}

func commandAll(_ *Conn, x *command.Ctx) error {
	specs := topLevel()
	x.Out.Array(len(specs))
	for _, s := range specs {
		writeSpec(x.Out, s)
	}
	return nil
}

func commandCount(_ *Conn, x *command.Ctx) error {
	x.Out.Int(int64(len(topLevel())))
	return nil
}

func commandInfo(c *Conn, x *command.Ctx) error {
	if len(x.Args) == 2 {
		return commandAll(c, x)
	}
	x.Out.Array(len(x.Args) - 2)
	for _, name := range x.Args[2:] {
		if s := lookupFull(name); s != nil {
			writeSpec(x.Out, s)
		} else {
			x.Out.Null()
		}
	}
	return nil
}

// writeSpec replies a row as COMMAND and COMMAND INFO do.
func writeSpec(w *resp.Writer, s *command.Spec) {
	w.Array(10)
	w.BulkString(s.Name)
	w.Int(int64(s.Arity))
	writeNames(w, "", s.Flags.Names())
	w.Int(int64(s.FirstKey))
	w.Int(int64(s.LastKey))
	w.Int(int64(s.KeyStep))
	writeNames(w, "@", s.Categories.Names())
	w.Set(len(s.Tips))
	for _, tip := range s.Tips {
		w.BulkString(tip)
	}
	w.Set(len(s.KeySpecs))
	for i := range s.KeySpecs {
		writeKeySpec(w, &s.KeySpecs[i])
	}
	if len(s.Subcommands) == 0 {
		w.Set(0)
		return
	}
	w.Array(len(s.Subcommands))
	for _, sub := range s.Subcommands {
		writeSpec(w, sub)
	}
}

// writeNames replies a set of simple strings.
func writeNames(w *resp.Writer, prefix string, names []string) {
	w.Set(len(names))
	for _, n := range names {
		w.Simple(prefix + n)
	}
}

func writeKeySpec(w *resp.Writer, k *command.KeySpec) {
	pairs := 3
	if k.Notes != "" {
		pairs++
	}
	w.Map(pairs)
	if k.Notes != "" {
		w.BulkString("notes")
		w.BulkString(k.Notes)
	}
	w.BulkString("flags")
	writeNames(w, "", k.Flags.Names())

	w.BulkString("begin_search")
	switch {
	case k.Unknown:
		writeFinder(w, "unknown")
	case k.Keyword != "":
		writeFinder(w, "keyword", "keyword", k.Keyword, "startfrom", k.Index)
	default:
		writeFinder(w, "index", "index", k.Index)
	}
	w.BulkString("find_keys")
	switch {
	case k.Unknown:
		writeFinder(w, "unknown")
	case k.Counted:
		writeFinder(w, "keynum", "keynumidx", k.CountAt, "firstkey", k.FirstKey, "keystep", k.Step)
	default:
		writeFinder(w, "range", "lastkey", k.LastKey, "keystep", k.Step, "limit", k.Limit)
	}
}

// writeFinder replies one half of a key specification; params are pairs of a
// name and an int or a string.
func writeFinder(w *resp.Writer, kind string, params ...any) {
	w.Map(2)
	w.BulkString("type")
	w.BulkString(kind)
	w.BulkString("spec")
	w.Map(len(params) / 2)
	for i, p := range params {
		switch p := p.(type) {
		case int:
			w.Int(int64(p))
		case string:
			if i%2 == 1 {
				p = strings.ToUpper(p)
			}
			w.BulkString(p)
		}
	}
}

// commandList is COMMAND LIST [FILTERBY MODULE name | ACLCAT category |
// PATTERN glob].
func commandList(_ *Conn, x *command.Ctx) error {
	keep := func(*command.Spec) bool { return true }
	if len(x.Args) > 2 {
		if len(x.Args) != 5 || !equalFold(x.Args[2], "filterby") {
			return resp.ErrSyntax
		}
		value := x.Args[4]
		switch {
		case equalFold(x.Args[3], "module"):
			keep = func(*command.Spec) bool { return false }
		case equalFold(x.Args[3], "aclcat"):
			category, ok := command.ParseCategory(lower(value))
			keep = func(s *command.Spec) bool { return ok && s.Categories&category != 0 }
		case equalFold(x.Args[3], "pattern"):
			keep = func(s *command.Spec) bool { return keyspace.Match(value, []byte(s.Name), true) }
		default:
			return resp.ErrSyntax
		}
	}
	var names []string
	for _, s := range command.All() {
		if keep(s) {
			names = append(names, s.Name)
		}
	}
	x.Out.Array(len(names))
	for _, n := range names {
		x.Out.BulkString(n)
	}
	return nil
}

const errInvalidCommand resp.Error = "ERR Invalid command specified"

// keysOf finds the keys of the command that follows COMMAND GETKEYS. Where there may be
// none, arguments that make no sense have none.
func keysOf(args [][]byte) (*command.Spec, []command.KeyPosition, error) {
	spec := command.Lookup(args[0])
	if spec != nil && len(spec.Subcommands) > 0 && len(args) > 1 {
		spec = spec.Sub(args[1])
	}
	if spec == nil {
		return nil, nil, errInvalidCommand
	}
	keys, err := spec.KeyPositions(args)
	if errors.Is(err, command.ErrBadKeyArguments) && spec.Flags&command.FlagNoMandatoryKeys != 0 {
		return spec, nil, nil
	}
	return spec, keys, err
}

func commandGetKeys(_ *Conn, x *command.Ctx) error {
	args := x.Args[2:]
	_, keys, err := keysOf(args)
	if err != nil {
		return err
	}
	x.Out.Array(len(keys))
	for _, k := range keys {
		x.Out.Bulk(args[k.Arg])
	}
	return nil
}

func commandGetKeysAndFlags(_ *Conn, x *command.Ctx) error {
	args := x.Args[2:]
	spec, keys, err := keysOf(args)
	if err != nil {
		return err
	}
	x.Out.Array(len(keys))
	for _, k := range keys {
		x.Out.Array(2)
		x.Out.Bulk(args[k.Arg])
		writeNames(x.Out, "", spec.ActualFlags(args, k.Flags).Names())
	}
	return nil
}
