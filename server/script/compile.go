package script

import (
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"dkv/resp"
)

// compile turns source text into code. The error's text is that of the interpreter,
// "name:line: what near 'token'".
func compile(source, name string) (proto *lua.FunctionProto, err error) {
	if len(source) > maxScriptBytes {
		return nil, fmt.Errorf("%s:1: a script of %d bytes is larger than the limit of %d", name, len(source), maxScriptBytes)
	}
	if strings.HasPrefix(source, "\x1b") {
		return nil, fmt.Errorf("%s: bad header in precompiled chunk", name)
	}
	defer func() {
		if p := recover(); p != nil { // the compiler's way to refuse what is too large for it
			proto, err = nil, fmt.Errorf("%s: %v", name, p)
		}
	}()
	chunk, err := parse.Parse(strings.NewReader(source), name)
	if err != nil {
		return nil, syntaxError(err, source, name)
	}
	if chunk, err = rewrite(chunk, name); err != nil {
		return nil, err
	}
	proto, err = lua.Compile(chunk, name)
	if err != nil {
		return nil, compileError(err, name)
	}
	proto.IsVarArg &^= lua.VarArgNeedsArg // or each call would make a table of its arguments
	return proto, nil
}

// syntaxError words the parser's error as Lua does.
func syntaxError(err error, source, name string) error {
	var e *parse.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s:1: %s", name, strings.TrimSpace(err.Error()))
	}
	line, token := e.Pos.Line, e.Token
	if line == parse.EOF {
		line = strings.Count(source, "\n") + 1
		token = "<eof>"
	}
	what := "unexpected symbol"
	if m := strings.TrimSpace(e.Message); m != "" && m != "syntax error" && m != "parse error" {
		what = m
	}
	switch what {
	case "unterminated string":
		what = "unfinished string"
	case "unterminated multiline string":
		what = "unfinished long string"
	}
	return fmt.Errorf("%s:%d: %s near '%s'", name, line, what, token)
}

func compileError(err error, name string) error {
	var e *lua.CompileError
	if errors.As(err, &e) {
		return fmt.Errorf("%s:%d: %s", name, e.Line, e.Message)
	}
	return fmt.Errorf("%s: %s", name, err.Error())
}

// flags are what a script says of itself in its first line.
type flags uint8

const (
	flagNoWrites flags = 1 << iota
	flagAllowOOM
	flagAllowStale
	flagNoCluster
	flagAllowCrossSlot
	flagUndeclared // a script without a first line of that kind
)

var flagNames = []string{"no-writes", "allow-oom", "allow-stale", "no-cluster", "allow-cross-slot-keys"}

func parseFlag(name string) (flags, bool) {
	for i, n := range flagNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// shebang takes "#!lua flags=a,b" off a script. Line numbers stay as they were. A
// script without one may do everything, as before there were flags.
func shebang(source string) (body string, f flags, err error) {
	if !strings.HasPrefix(source, "#!") {
		return source, flagUndeclared, nil
	}
	end := strings.IndexByte(source, '\n')
	if end < 0 {
		return "", 0, resp.Error("ERR Invalid script shebang")
	}
	parts, ok := words(source[:end])
	if !ok {
		return "", 0, resp.Error("ERR Invalid engine in script shebang")
	}
	if parts[0] != "#!lua" {
		return "", 0, resp.Error("ERR Unexpected engine in script shebang: " + parts[0])
	}
	for _, w := range parts[1:] {
		list, ok := strings.CutPrefix(w, "flags=")
		if !ok {
			return "", 0, resp.Error("ERR Unknown lua shebang option: " + w)
		}
		for _, name := range strings.Split(list, ",") {
			if name == "" {
				continue
			}
			bit, known := parseFlag(name)
			if !known {
				return "", 0, resp.Error("ERR Unexpected flag in script shebang: " + name)
			}
			f |= bit
		}
	}
	return source[end:], f, nil
}
