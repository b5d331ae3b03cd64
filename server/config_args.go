package server

import (
	"errors"
	"fmt"
	"strings"
)

// LoadArgs reads a command line: the path of a config file, if the first
// argument is not a flag, then parameters as flags, which win over the file.
//
//	[path | -] [name value...] [-name value... | --name value... | -name=value | "--name value..."]...
//
// Every parameter is a flag. A yes/no parameter may stand without a value, and
// knows true and false as well. Words up to the next flag belong to the flag
// before them; a word that looks like a flag is given with =, or directly behind
// a flag that needs a value, as redis-server takes it. save alone is no saving. The
// warnings are those of Load.
func (c *Config) LoadArgs(args []string) (warnings []string, err error) {
	l := loader{c: c}
	if len(args) > 0 && (args[0] == "-" || !strings.HasPrefix(args[0], "-")) {
		if err := l.load(args[0]); err != nil {
			return nil, err
		}
		args = args[1:]
	}
	for first := true; len(args) > 0; first = false {
		flag := flagName(args[0])
		name, value, hasValue := strings.Cut(flag, "=")
		if p := findParam(args[0]); first && flag == "" && p != nil {
			name = args[0] // behind a file, as in it
		}
		if name == "" {
			return nil, fmt.Errorf("unexpected argument %q", args[0])
		}
		n := 1
		for !hasValue && n < len(args) && flagName(args[n]) == "" {
			n++
		}
		words := args[1:n]
		switch inOne, ok := splitWords(flag); {
		case hasValue && !strings.Contains(name, " "):
			words = []string{value}
		case ok && len(inOne) > 1 && n == 1: // the name and its value in one argument
			name, words = inOne[0], inOne[1:]
		case n == 1 && strings.EqualFold(name, "save"):
			words = []string{""}
		case n == 1 && len(args) > 1 && takesFlagAsValue(args[0]):
			n = 2
			words = args[1:2]
		}
		if err := l.flag(name, words); err != nil {
			return nil, err
		}
		args = args[n:]
	}
	return l.warnings(), nil
}

// takesFlagAsValue reports whether what follows a flag is its value, whatever it looks
// like: with two dashes, unless the flag may stand alone.
func takesFlagAsValue(arg string) bool {
	p := findParam(flagName(arg))
	return strings.HasPrefix(arg, "--") && p != nil && p.kind != kindBool && !p.multi()
}

// flagName returns what follows the dashes of a flag, "" when the argument is
// not a flag. A negative number is not one, nor is an address such as -::1.
func flagName(arg string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	if name == arg || name == "" {
		return ""
	}
	if b := name[0] | 0x20; b < 'a' || b > 'z' {
		return ""
	}
	return name
}

func (l *loader) flag(name string, words []string) error {
	name = strings.ToLower(name)
	p := findParam(name)
	if p == nil && refusedDirectives[name] == "" && name != "user" {
		if near := nearestParam(name); near != "" {
			return fmt.Errorf("unknown flag -%s (did you mean -%s?)", name, near)
		}
		return fmt.Errorf("unknown flag -%s", name)
	}
	switch {
	case p == nil:
	case p.kind == kindBool && len(words) == 0:
		words = []string{"yes"}
	case p.kind == kindBool && len(words) == 1:
		words = []string{flagBool(words[0])}
	case len(words) == 0:
		return fmt.Errorf("flag -%s needs a value", name)
	case !p.multi() && len(words) > 1 && p.flags&paramSensitive != 0:
		return fmt.Errorf("flag -%s: too many arguments", name)
	case !p.multi() && len(words) > 1:
		return fmt.Errorf("unexpected argument %q after flag -%s", words[1], name)
	}
	if err := l.directive(name, words); err != nil {
		reason := reasonOf(err)
		if strings.HasSuffix(reason, "is not supported yet") {
			return errors.New(reason)
		}
		if p != nil && p.flags&paramSensitive != 0 || name == "user" {
			return fmt.Errorf("flag -%s: %s", name, reason)
		}
		return fmt.Errorf("flag -%s %s: %s", name, strings.Join(words, " "), reason)
	}
	return nil
}

// flagBool maps the spellings of Go's flags to yes and no.
func flagBool(s string) string {
	switch strings.ToLower(s) {
	case "true", "t", "1":
		return "yes"
	case "false", "f", "0":
		return "no"
	}
	return s
}
