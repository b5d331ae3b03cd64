package server

import (
	"bytes"
	"strings"
)

// redactedArg stands for a secret in SLOWLOG and MONITOR.
var redactedArg = []byte("(redacted)")

// redacted returns the arguments of a command with passwords hidden: args
// itself when there are none, otherwise a copy.
func redacted(args [][]byte) [][]byte {
	if len(args) < 2 {
		return args
	}
	// A command that is an argument of another one.
	from := 0
	switch name := args[0]; {
	case len(name) == 3 && bytes.EqualFold(name, []byte("acl")) && bytes.EqualFold(args[1], []byte("dryrun")):
		from = 3
	case len(name) == 7 && bytes.EqualFold(name, []byte("command")):
		from = 2 // GETKEYS, GETKEYSANDFLAGS
	}
	if from == 0 {
		return redactedCommand(args)
	}
	if len(args) < from+2 {
		return args
	}
	return append(append([][]byte(nil), args[:from]...), redactedCommand(args[from:])...)
}

// redactedCommand is redacted for a command by itself, of two arguments and more.
func redactedCommand(args [][]byte) [][]byte {
	// The length of the name rules out nearly every command at no cost.
	switch name := args[0]; {
	case len(name) == 4 && bytes.EqualFold(name, []byte("auth")):
		return redact(args, 1, len(args))
	case len(name) == 5 && bytes.EqualFold(name, []byte("hello")):
		return redactOptions(args, helloOptions)
	case len(name) == 6 && bytes.EqualFold(name, []byte("config")) && bytes.EqualFold(args[1], []byte("set")):
		return redactConfigSet(args)
	case len(name) == 7 && bytes.EqualFold(name, []byte("migrate")):
		return redactOptions(args, migrateOptions)
	case len(name) == 3 && bytes.EqualFold(name, []byte("acl")) && bytes.EqualFold(args[1], []byte("setuser")):
		return redact(args, 2, len(args))
	}
	return args
}

// redact hides up to n arguments from an index on.
func redact(args [][]byte, from, n int) [][]byte {
	out := append([][]byte(nil), args...)
	for i := from; i < len(out) && i < from+n; i++ {
		out[i] = redactedArg
	}
	return out
}

// redactOptions hides what stands behind AUTH and AUTH2 among the options of HELLO and MIGRATE,
// from an index on. Other options take arguments that may have such a name themselves.
func redactOptions(args [][]byte, from int) [][]byte {
	out := args
	for i := from; i < len(args); i++ {
		secrets := 0
		switch a := args[i]; {
		case bytes.EqualFold(a, []byte("setname")):
			i++
		case bytes.EqualFold(a, []byte("keys")):
			return out
		case bytes.EqualFold(a, []byte("auth2")), bytes.EqualFold(a, []byte("auth")) && from == helloOptions:
			secrets = 2
		case bytes.EqualFold(a, []byte("auth")):
			secrets = 1
		}
		if secrets > 0 {
			out = redact(out, i+1, secrets)
			i += secrets
		}
	}
	return out
}

// Where the options of HELLO and MIGRATE begin.
const (
	helloOptions   = 2
	migrateOptions = 6
)

// redactConfigSet hides values of sensitive parameters, and all that follows one where values
// and names do not pair: a password with a space in it, perhaps.
func redactConfigSet(args [][]byte) [][]byte {
	out := args
	for i := 2; i+1 < len(args); i += 2 {
		p := paramByName[strings.ToLower(string(args[i]))]
		if p == nil || p.flags&paramSensitive == 0 {
			continue
		}
		if len(args)%2 != 0 {
			return redact(args, i+1, len(args))
		}
		if &out[0] == &args[0] {
			out = append([][]byte(nil), args...)
		}
		out[i+1] = redactedArg
	}
	return out
}
