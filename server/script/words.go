package script

// words splits the first line of a script or library at blanks, as Redis does: quotes
// hold blanks together, and a backslash in double quotes takes the next byte as it is.
// false: a quote is not closed, or something follows one directly.
func words(line string) (list []string, ok bool) {
	for i := 0; i < len(line); {
		if blank(line[i]) {
			i++
			continue
		}
		var w []byte
		for i < len(line) && !blank(line[i]) {
			q := line[i]
			if q != '"' && q != '\'' {
				w = append(w, q)
				i++
				continue
			}
			for i++; i < len(line) && line[i] != q; i++ {
				if line[i] == '\\' && i+1 < len(line) && (q == '"' || line[i+1] == q) {
					i++
				}
				w = append(w, line[i])
			}
			if i++; i > len(line) || i < len(line) && !blank(line[i]) {
				return nil, false
			}
		}
		list = append(list, string(w))
	}
	return list, true
}

func blank(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' || b == 0 }
