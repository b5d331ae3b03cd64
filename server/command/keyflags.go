package command

// ActualFlags says what a command with these arguments does with a key whose position has
// these flags, where that depends on the arguments.
func (s *Spec) ActualFlags(args [][]byte, flags KeyFlags) KeyFlags {
	if flags&KeyVariableFlags == 0 {
		return flags
	}
	flags &^= KeyVariableFlags
	switch s.Name {
	case "set":
		return setFlags(args)
	case "bitfield":
		return bitfieldFlags(args)
	}
	return flags
}

// setFlags: with GET the old value is returned.
func setFlags(args [][]byte) KeyFlags {
	for i := 3; i < len(args); i++ {
		if isWord(args[i], "GET") {
			return KeyRW | KeyAccess | KeyUpdate
		}
	}
	return KeyOW | KeyUpdate
}

// bitfieldFlags: when it gets only, nothing is changed.
func bitfieldFlags(args [][]byte) KeyFlags {
	for i := 2; i < len(args); i++ {
		left := len(args) - i - 1
		switch {
		case isWord(args[i], "GET") && left >= 2:
			i += 2
		case isWord(args[i], "OVERFLOW") && left >= 1:
			i++
		default:
			return KeyRW | KeyAccess | KeyUpdate
		}
	}
	return KeyRO | KeyAccess
}
