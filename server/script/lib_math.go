package script

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

func (s *state) openMath() {
	list := map[string]func(frame) int{
		"fmod": mathMod, "mod": mathMod, "frexp": mathFrexp, "ldexp": mathLdexp, "max": mathMax, "min": mathMin,
		"modf": mathModf, "random": mathRandom, "randomseed": mathSeed,
		"atan2": func(f frame) int { return f.pushNum(math.Atan2(f.num(1), f.num(2))) },
		"pow":   func(f frame) int { return f.pushNum(math.Pow(f.num(1), f.num(2))) },
		"deg":   func(f frame) int { return f.pushNum(f.num(1) / (math.Pi / 180)) },
		"rad":   func(f frame) int { return f.pushNum(f.num(1) * (math.Pi / 180)) },
	}
	for name, g := range map[string]func(float64) float64{
		"abs": math.Abs, "acos": math.Acos, "asin": math.Asin, "atan": math.Atan, "ceil": math.Ceil, "cos": math.Cos,
		"cosh": math.Cosh, "exp": math.Exp, "floor": math.Floor, "log": math.Log, "log10": math.Log10, "sin": math.Sin,
		"sinh": math.Sinh, "sqrt": math.Sqrt, "tan": math.Tan, "tanh": math.Tanh,
	} {
		list[name] = func(f frame) int { return f.pushNum(g(f.num(1))) }
	}
	t := s.open("math", list)
	t.RawSetString("pi", lua.LNumber(math.Pi))
	t.RawSetString("huge", lua.LNumber(math.Inf(1)))
}

func mathMod(f frame) int { return f.pushNum(math.Mod(f.num(1), f.num(2))) }

func mathFrexp(f frame) int {
	m, e := math.Frexp(f.num(1))
	f.pushNum(m)
	f.pushNum(float64(e))
	return 2
}

func mathLdexp(f frame) int {
	e := min(max(f.integer(2), -1<<20), 1<<20)
	return f.pushNum(math.Ldexp(f.num(1), e))
}

func mathMax(f frame) int {
	most := f.num(1)
	for i := 2; i <= f.GetTop(); i++ {
		if n := f.num(i); n > most {
			most = n
		}
	}
	return f.pushNum(most)
}

func mathMin(f frame) int {
	least := f.num(1)
	for i := 2; i <= f.GetTop(); i++ {
		if n := f.num(i); n < least {
			least = n
		}
	}
	return f.pushNum(least)
}

func mathModf(f frame) int {
	n := f.num(1)
	whole := math.Trunc(n)
	part := n - whole
	if math.IsInf(n, 0) {
		part = 0
	}
	f.pushNum(whole)
	f.pushNum(part)
	return 2
}

// mathRandom is Redis's: a generator of its own, which gives the same everywhere after
// the same seed.
func mathRandom(f frame) int {
	r := f.s.random.float()
	switch f.GetTop() {
	case 0:
		return f.pushNum(r)
	case 1:
		most := f.integer(1)
		if most < 1 {
			f.bad(1, "interval is empty")
		}
		return f.pushNum(math.Floor(r*float64(most)) + 1)
	case 2:
		least, most := f.integer(1), f.integer(2)
		if least > most {
			f.bad(2, "interval is empty")
		}
		return f.pushNum(math.Floor(r*float64(most-least+1)) + float64(least))
	}
	f.fail("wrong number of arguments")
	return 0
}

func mathSeed(f frame) int {
	f.s.random.seed(int32(f.integer(1)))
	return 0
}
