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
	// The length of the name rules out nearly every command at no cost.
	switch name := args[0]; {
	case len(name) == 4 && bytes.EqualFold(name, []byte("auth")):
		return redact(args, 1, len(args))
	case len(name) == 5 && bytes.EqualFold(name, []byte("hello")):
		for i := 2; i < len(args); i++ {
			if bytes.EqualFold(args[i], []byte("auth")) {
				return redact(args, i+1, 2)
			}
		}
	case len(name) == 6 && bytes.EqualFold(name, []byte("config")) && bytes.EqualFold(args[1], []byte("set")):
		return redactConfigSet(args)
	case len(name) == 7 && bytes.EqualFold(name, []byte("migrate")):
		for i := 6; i < len(args); i++ {
			if bytes.EqualFold(args[i], []byte("auth")) {
				return redact(args, i+1, 1)
			}
			if bytes.EqualFold(args[i], []byte("auth2")) {
				return redact(args, i+1, 2)
			}
		}
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

func redactConfigSet(args [][]byte) [][]byte {
	out := args
	for i := 2; i+1 < len(args); i += 2 {
		p := paramByName[strings.ToLower(string(args[i]))]
		if p == nil || p.flags&paramSensitive == 0 {
			continue
		}
		if &out[0] == &args[0] {
			out = append([][]byte(nil), args...)
		}
		out[i+1] = redactedArg
	}
	return out
}
