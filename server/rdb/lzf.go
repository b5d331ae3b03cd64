package rdb

// maxLZFRatio is more than what any LZF reference makes of its bytes: 264 of 3.
const maxLZFRatio = 88

// expandLZF appends to dst what LZF made b of, which has size bytes.
//
//	000lllll                 l+1 bytes follow as they are
//	lllooooo oooooooo        l+2 bytes from o+1 bytes before the end, l from 1 to 6
//	111ooooo llllllll oooooooo     the same for l+9 bytes
func expandLZF(dst, b []byte, size int) ([]byte, error) {
	bad := badFormat("a compressed string is broken")
	start := len(dst)
	for i := 0; i < len(b); {
		head := int(b[i])
		i++
		if head < 1<<5 {
			n := head + 1
			if n > len(b)-i || len(dst)-start+n > size {
				return dst, bad
			}
			dst = append(dst, b[i:i+n]...)
			i += n
			continue
		}
		n := head>>5 + 2
		if head>>5 == 7 {
			if i == len(b) {
				return dst, bad
			}
			n += int(b[i])
			i++
		}
		if i == len(b) {
			return dst, bad
		}
		from := len(dst) - (head&0x1f<<8 | int(b[i])) - 1
		i++
		if from < start || len(dst)-start+n > size {
			return dst, bad
		}
		for range n { // what is copied may be what was just written
			dst = append(dst, dst[from])
			from++
		}
	}
	if len(dst)-start != size {
		return dst, bad
	}
	return dst, nil
}
