package keyspace

// Match reports whether s matches a glob-style pattern as Redis understands it
// (KEYS, SCAN, CONFIG GET, PSUBSCRIBE): '*' any bytes, '?' one byte, '[a-z]' and
// '[^a-z]' one byte of a class, '\' takes the next byte literally. nocase ignores
// the case of ASCII letters. Nothing but the empty pattern matches an empty s, not
// even "*"; the callers that want it treat "*" apart, as Redis's do.
//
// When the part after a '*' does not match, only the last '*' is taken further:
// whatever an earlier one could still take, the last one can take too. So the cost
// is bounded by len(pattern)*len(s), where plain recursion is exponential.
func Match(pattern, s []byte, nocase bool) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, i := 0, 0
	star, from := -1, 0 // after the last '*', and the first byte that it does not take
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			for p < len(pattern) && pattern[p] == '*' {
				p++
			}
			if p == len(pattern) {
				return true
			}
			star, from = p, i
			continue
		}
		if p < len(pattern) {
			if n, ok := matchOne(pattern[p:], s[i], nocase); ok {
				p += n
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte against the element that the pattern begins with,
// which is not a '*', and returns the element's length.
func matchOne(pattern []byte, c byte, nocase bool) (n int, ok bool) {
	switch {
	case pattern[0] == '?':
		return 1, true
	case pattern[0] == '[':
		return matchClass(pattern, c, nocase)
	case pattern[0] == '\\' && len(pattern) >= 2:
		return 2, equalByte(pattern[1], c, nocase)
	}
	return 1, equalByte(pattern[0], c, nocase)
}

// matchClass matches one byte against a class. A class without its ']' reaches to
// the end of the pattern. Ranges compare signed bytes, as Redis does on the
// machines that it mostly runs on; a byte after '\' never ignores case.
func matchClass(pattern []byte, c byte, nocase bool) (n int, ok bool) {
	n = 1
	not := n < len(pattern) && pattern[n] == '^'
	if not {
		n++
	}
	for {
		rest := pattern[n:]
		switch {
		case len(rest) == 0:
			return n, ok != not
		case rest[0] == '\\' && len(rest) >= 2:
			ok = ok || rest[1] == c
			n += 2
		case rest[0] == ']':
			return n + 1, ok != not
		case len(rest) >= 3 && rest[1] == '-':
			ok = ok || inRange(rest[0], rest[2], c, nocase)
			n += 3
		default:
			ok = ok || equalByte(rest[0], c, nocase)
			n++
		}
	}
}

func inRange(start, end, c byte, nocase bool) bool {
	if int8(start) > int8(end) {
		start, end = end, start
	}
	if nocase {
		start, end, c = lower(start), lower(end), lower(c)
	}
	return int8(c) >= int8(start) && int8(c) <= int8(end)
}

func equalByte(a, b byte, nocase bool) bool {
	return a == b || nocase && lower(a) == lower(b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// literalPrefix returns the bytes that every match of a pattern begins with, and
// whether they are all there is: whether nothing but they match.
func literalPrefix(pattern []byte) (prefix []byte, whole bool) {
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*', '?', '[':
			return prefix, false
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
			prefix = append(prefix, pattern[i])
		default:
			prefix = append(prefix, c)
		}
	}
	return prefix, true
}

// tagOfPrefix reports whether all keys with a prefix have the same hash tag, so
// that they are in one slot.
func tagOfPrefix(prefix []byte) bool {
	return len(hashTag(prefix)) != len(prefix)
}
