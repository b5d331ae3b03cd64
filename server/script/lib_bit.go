package script

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// openBit is the library of bit operations on 32-bit integers, bitop.luajit.org.
func (s *state) openBit() {
	fold := func(op func(a, b uint32) uint32) func(frame) int {
		return func(f frame) int {
			n := f.bits(1)
			for i := 2; i <= f.GetTop(); i++ {
				n = op(n, f.bits(i))
			}
			return f.pushBits(n)
		}
	}
	shift := func(op func(a uint32, n int) uint32) func(frame) int {
		return func(f frame) int { return f.pushBits(op(f.bits(1), int(f.bits(2)&31))) }
	}
	s.open("bit", map[string]func(frame) int{
		"tobit":   func(f frame) int { return f.pushBits(f.bits(1)) },
		"bnot":    func(f frame) int { return f.pushBits(^f.bits(1)) },
		"bswap":   func(f frame) int { return f.pushBits(bits.ReverseBytes32(f.bits(1))) },
		"band":    fold(func(a, b uint32) uint32 { return a & b }),
		"bor":     fold(func(a, b uint32) uint32 { return a | b }),
		"bxor":    fold(func(a, b uint32) uint32 { return a ^ b }),
		"lshift":  shift(func(a uint32, n int) uint32 { return a << n }),
		"rshift":  shift(func(a uint32, n int) uint32 { return a >> n }),
		"arshift": shift(func(a uint32, n int) uint32 { return uint32(int32(a) >> n) }),
		"rol":     shift(bits.RotateLeft32),
		"ror":     shift(func(a uint32, n int) uint32 { return bits.RotateLeft32(a, -n) }),
		"tohex":   bitToHex,
	})
}

// bits is an argument, rounded, modulo 2^32. It is what the low bits of a double are when 2^52 +
// 2^51 is added, as the library does it: so too large numbers give what they give there.
func (f frame) bits(i int) uint32 {
	n := f.num(i)
	if n != n {
		return 0 // whatever the bits of this one are
	}
	return uint32(math.Float64bits(n + (1<<52 + 1<<51)))
}

func (f frame) pushBits(n uint32) int { return f.pushNum(float64(int32(n))) }

func bitToHex(f frame) int {
	n := f.bits(1)
	digits := 8
	if f.GetTop() >= 2 {
		digits = int(int32(f.bits(2)))
	}
	text := fmt.Sprintf("%08x", n)
	if digits < 0 {
		digits = -digits
		text = strings.ToUpper(text)
	}
	digits = min(max(digits, 0), 8)
	return f.push(text[8-digits:])
}
