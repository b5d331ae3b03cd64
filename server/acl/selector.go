package acl

import (
	"slices"
	"strings"

	"dkv/server/command"
)

// apply changes rights by one rule.
func (s *selector) apply(rule string) error {
	switch lower(cText(rule)) {
	case "":
		return ErrSyntax
	case "allkeys", "~*":
		s.allKeys = true
		s.forgetKeys()
		return nil
	case "resetkeys":
		s.allKeys = false
		s.forgetKeys()
		return nil
	case "allchannels", "&*":
		s.allChannels = true
		s.forgetChannels()
		return nil
	case "resetchannels":
		s.allChannels = false
		s.forgetChannels()
		return nil
	case "allcommands", "+@all":
		s.setAll(true)
		return nil
	case "nocommands", "-@all":
		s.setAll(false)
		return nil
	}
	switch rule[0] {
	case '~', '%':
		return s.addKeys(rule)
	case '&':
		return s.addChannels(rule[1:])
	case '+', '-':
		name := cText(rule[1:])
		switch {
		case strings.HasPrefix(name, "@"):
			return s.changeCategory(name[1:], rule[0] == '+')
		case rule[0] == '+':
			return s.allow(name)
		}
		spec := lookup(name)
		if spec == nil {
			return ErrUnknownName
		}
		s.change(spec, false)
		s.note(spec.Name, false)
		return nil
	}
	return ErrSyntax
}

// setAll begins the rules about commands anew.
func (s *selector) setAll(all bool) {
	var bits uint64
	if all {
		bits = ^uint64(0)
	}
	for i := range s.allowed {
		s.allowed[i] = bits
	}
	for _, r := range s.rules {
		s.bytes -= len(r) + patternBytes
	}
	s.allCommands, s.future, s.rules, s.firstArgs = all, all, nil, nil
}

func (s *selector) forgetKeys() {
	for _, k := range s.keys {
		s.bytes -= len(k.pattern) + patternBytes
	}
	s.keys = nil
}

func (s *selector) forgetChannels() {
	for _, c := range s.channels {
		s.bytes -= len(c) + patternBytes
	}
	s.channels = nil
}

// patternBytes is about what a pattern or rule takes beside its text.
const patternBytes = 32

// addKeys is ~pattern, %R~pattern, %W~pattern and %RW~pattern.
func (s *selector) addKeys(rule string) error {
	if s.allKeys {
		return ErrAllKeys
	}
	k := keyPattern{readsAndWrites, rule[1:]}
	if rule[0] == '%' {
		k = keyPattern{}
		i := 1
		for ; i < len(rule) && rule[i] != '~'; i++ {
			switch c := rule[i] | 0x20; {
			case c == 'r' && k.access&reads == 0:
				k.access |= reads
			case c == 'w' && k.access&writes == 0:
				k.access |= writes
			default:
				return ErrSyntax
			}
		}
		k.pattern = rule[min(i+1, len(rule)):]
	}
	if k.access == 0 || hasBlank(k.pattern) {
		return ErrSyntax
	}
	for i := range s.keys {
		if s.keys[i].pattern == k.pattern {
			s.keys[i].access |= k.access
			return nil
		}
	}
	s.keys = append(s.keys, k)
	s.bytes += len(k.pattern) + patternBytes
	return nil
}

// addChannels is &pattern.
func (s *selector) addChannels(pattern string) error {
	switch {
	case s.allChannels:
		return ErrAllChannels
	case hasBlank(pattern):
		return ErrSyntax
	case !slices.Contains(s.channels, pattern):
		s.channels = append(s.channels, pattern)
		s.bytes += len(pattern) + patternBytes
	}
	return nil
}

// allow is +command, +container|subcommand and +command|firstargument.
func (s *selector) allow(name string) error {
	at := strings.LastIndexByte(name, '|')
	if at < 0 {
		spec := lookup(name)
		if spec == nil {
			return ErrUnknownName
		}
		s.change(spec, true)
		s.note(spec.Name, true)
		return nil
	}
	spec, first := lookup(name[:at]), name[at+1:]
	switch {
	case spec == nil:
		return ErrUnknownName
	case strings.Contains(spec.Name, "|"):
		return ErrFirstArg
	case first == "":
		return ErrSyntax
	case spec.Subcommands != nil:
		if spec = lookup(name); spec == nil {
			return ErrUnknownName
		}
		s.change(spec, true)
	default:
		s.addFirstArgs(spec.ID, first)
	}
	s.note(name, true)
	return nil
}

// changeCategory is +@category and -@category.
func (s *selector) changeCategory(name string, allow bool) error {
	category, ok := command.ParseCategory(lower(name))
	if !ok {
		return ErrUnknownName
	}
	for _, spec := range command.All() {
		if spec.Categories&category != 0 {
			s.change(spec, allow)
		}
	}
	s.note("@"+name, allow)
	return nil
}

// change allows or forbids a command with all its subcommands.
func (s *selector) change(spec *command.Spec, allow bool) {
	s.set(spec.ID, allow)
	delete(s.firstArgs, spec.ID)
	for _, sub := range spec.Subcommands {
		s.set(sub.ID, allow)
	}
}

func (s *selector) set(id int, allow bool) {
	if bit := uint64(1) << (id % 64); allow {
		s.allowed[id/64] |= bit
	} else {
		s.allowed[id/64] &^= bit
		s.allCommands = false
	}
}

func (s *selector) allows(id int) bool { return s.allowed[id/64]>>(id%64)&1 != 0 }

// note keeps a rule, which takes the place of earlier ones about the same.
func (s *selector) note(name string, allow bool) {
	name = lower(name)
	s.rules = slices.DeleteFunc(s.rules, func(r string) bool {
		gone := r[1:] == name || strings.HasPrefix(r[1:], name) && r[1+len(name)] == '|'
		if gone {
			s.bytes -= len(r) + patternBytes
		}
		return gone
	})
	sign := "-"
	if allow {
		sign = "+"
	}
	s.rules = append(s.rules, sign+name)
	s.bytes += len(name) + 1 + patternBytes
}
