package script

import (
	"strings"

	"dkv/server/command"
)

// CommandFlags returns the flags of c, EVAL or its like, with what its script says of
// itself: one that does not say no-writes counts as a write that takes memory, and so on.
// One that says nothing, or is not known, leaves those of its row.
// Source: https://redis.io/docs/latest/develop/programmability/lua-api/#script_flags
func (e *Engine) CommandFlags(c *command.Ctx) command.Flags {
	f, known := e.declared(c)
	if !known || f&flagUndeclared != 0 {
		return c.Spec.Flags
	}
	flags := c.Spec.Flags &^ (command.FlagWrite | command.FlagDenyOOM | command.FlagStale)
	if f&flagNoWrites == 0 {
		flags |= command.FlagWrite
	}
	if f&(flagNoWrites|flagAllowOOM) == 0 {
		flags |= command.FlagDenyOOM
	}
	if f&flagAllowStale != 0 {
		flags |= command.FlagStale
	}
	return flags
}

// declared returns the flags of the script that c runs.
func (e *Engine) declared(c *command.Ctx) (f flags, known bool) {
	switch c.Spec.Name {
	case "eval", "eval_ro":
		if sc, err := e.compiled(c.Args[1], false); err == nil {
			return sc.flags, true
		}
	case "evalsha", "evalsha_ro":
		if sc, err := e.find(c); err == nil {
			return sc.flags, true
		}
	case "fcall", "fcall_ro":
		s, err := e.stateWith(c)
		if err != nil {
			return 0, false
		}
		defer e.giveBack(s)
		if fn := s.library.functions[strings.ToLower(string(c.Args[1]))]; fn != nil {
			return fn.flags, true
		}
	}
	return 0, false
}
