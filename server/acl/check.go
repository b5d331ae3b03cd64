package acl

import (
	"dkv/engine/keyspace"
	"dkv/server/command"
)

// Reason says why something is denied. A greater one is told rather than a smaller one.
type Reason uint8

const (
	Allowed Reason = iota
	DeniedCommand
	DeniedKey
	DeniedAuth // a wrong password; not one of Check's
	DeniedChannel
)

// String is the word of ACL LOG.
func (r Reason) String() string {
	return [...]string{"unknown", "command", "key", "auth", "channel"}[r]
}

// fewKeys is how many keys a command may have for Check to allocate nothing.
const fewKeys = 16

// Check says whether the user may run a command, whose row spec is and which has the right
// number of arguments; if not, arg is the argument that is at fault, 0 for the command itself.
func (u *User) Check(spec *command.Spec, args [][]byte) (why Reason, arg int) {
	if u.all {
		return Allowed, 0
	}
	return u.check(spec, args)
}

func (u *User) check(spec *command.Spec, args [][]byte) (why Reason, arg int) {
	var buf [fewKeys]command.KeyPosition
	var keys []command.KeyPosition
	known := false
	why = DeniedCommand
	for _, s := range u.selectors {
		if !s.allKeys && !known {
			keys, known = keysOf(buf[:0], spec, args), true
		}
		switch denied, at := s.check(spec, args, keys); {
		case denied == Allowed:
			return Allowed, 0
		case denied > why || denied == why && at > arg:
			why, arg = denied, at
		}
	}
	return why, arg
}

// keysOf finds the keys of a command. One whose keys cannot be found has none: it is the
// command itself that will fail.
func keysOf(buf []command.KeyPosition, spec *command.Spec, args [][]byte) []command.KeyPosition {
	keys, err := spec.AppendKeyPositions(buf, args)
	if err != nil {
		return nil
	}
	for i := range keys {
		keys[i].Flags = spec.ActualFlags(args, keys[i].Flags)
	}
	return keys
}

func (s *selector) check(spec *command.Spec, args [][]byte, keys []command.KeyPosition) (why Reason, arg int) {
	if !s.allCommands && spec.Flags&command.FlagNoAuth == 0 && !s.allows(spec.ID) && !s.allowsFirst(spec, args) {
		return DeniedCommand, 0
	}
	if !s.allKeys {
		for _, k := range keys {
			if !s.allowsKey(args[k.Arg], k.Flags) {
				return DeniedKey, k.Arg
			}
		}
	}
	if s.allChannels {
		return Allowed, 0
	}
	first, last, pattern := channelsOf(spec, args)
	for i := first; i < last; i++ {
		if !s.allowsChannel(args[i], pattern) {
			return DeniedChannel, i
		}
	}
	return Allowed, 0
}

func (s *selector) allowsFirst(spec *command.Spec, args [][]byte) bool {
	list := s.firstArgs[spec.ID]
	if len(list) == 0 || len(args) < 2 {
		return false
	}
	arg := lower(cText(string(args[1])))
	for _, first := range list {
		if arg == first {
			return true
		}
	}
	return false
}

func (s *selector) allowsKey(key []byte, flags command.KeyFlags) bool {
	var need access
	if flags&command.KeyAccess != 0 {
		need |= reads
	}
	if flags&(command.KeyInsert|command.KeyDelete|command.KeyUpdate) != 0 {
		need |= writes
	}
	for i := range s.keys {
		if k := &s.keys[i]; k.access&need == need && match(k.pattern, key) {
			return true
		}
	}
	return false
}

// allowsChannel: a pattern, of PSUBSCRIBE, must be allowed literally.
func (s *selector) allowsChannel(channel []byte, pattern bool) bool {
	for _, c := range s.channels {
		if pattern && c == string(channel) || !pattern && match(c, channel) {
			return true
		}
	}
	return false
}

func match(pattern string, s []byte) bool { return keyspace.Match([]byte(pattern), s, false) }

// channelSpec says which arguments of a command are channels that rules are about.
type channelSpec struct {
	many, pattern bool
}

var channelSpecs = map[string]channelSpec{
	"subscribe":  {many: true},
	"ssubscribe": {many: true},
	"psubscribe": {many: true, pattern: true},
	"publish":    {},
	"spublish":   {},
}

func channelsOf(spec *command.Spec, args [][]byte) (first, last int, pattern bool) {
	if spec.Group != command.GroupPubSub {
		return 0, 0, false
	}
	c, ok := channelSpecs[spec.Name]
	switch {
	case !ok:
		return 0, 0, false
	case c.many:
		return 1, len(args), c.pattern
	}
	return 1, min(2, len(args)), false
}

// MayRead reports whether the user may run a command, and read every key there is besides.
func (u *User) MayRead(spec *command.Spec, args [][]byte) bool {
	if u.all {
		return true
	}
	var buf [fewKeys]command.KeyPosition
	keys := keysOf(buf[:0], spec, args)
	for _, s := range u.selectors {
		if why, _ := s.check(spec, args, keys); why == Allowed && s.readsAll() {
			return true
		}
	}
	return false
}

func (s *selector) readsAll() bool {
	if s.allKeys {
		return true
	}
	for _, k := range s.keys {
		if k.access&reads != 0 && k.pattern == "*" {
			return true
		}
	}
	return false
}

// AllChannels reports whether some selector allows all channels.
func (u *User) AllChannels() bool {
	for _, s := range u.selectors {
		if s.allChannels {
			return true
		}
	}
	return false
}

// MaySubscribe reports whether the user may have a subscription to a channel, or to a
// pattern of channels.
func (u *User) MaySubscribe(name []byte, pattern bool) bool {
	for _, s := range u.selectors {
		if s.allChannels || s.allowsChannel(name, pattern) {
			return true
		}
	}
	return false
}

// Message is what a client is told of a denial, without the code NOPERM. value is the
// argument that Check has named; verbose tells which it is.
func Message(why Reason, u *User, spec *command.Spec, value []byte, verbose bool) string {
	switch {
	case why == DeniedCommand:
		return "User " + u.name + " has no permissions to run the '" + spec.Name + "' command"
	case verbose && why == DeniedKey:
		return "User " + u.name + " has no permissions to access the '" + string(value) + "' key"
	case verbose:
		return "User " + u.name + " has no permissions to access the '" + string(value) + "' channel"
	case why == DeniedKey:
		return "No permissions to access a key"
	}
	return "No permissions to access a channel"
}
