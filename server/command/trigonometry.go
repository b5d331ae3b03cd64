package command

import "math"

// Sine, cosine and arc sine, rounded correctly but for rarest cases, as glibc's nearly
// are. Package math's differ from glibc's in the last digit here and there, and so
// would distances that are stored as scores. These take ten times as long.

// pairFloat is the sum of two numbers, the second of which is what the first has no
// digits for: about 106 bits (Dekker, "A floating-point technique for extending the
// available precision").
type pairFloat struct{ high, low float64 }

func sumOf(a, b float64) pairFloat {
	s := a + b
	t := s - a
	return pairFloat{s, (a - (s - t)) + (b - t)}
}

func productOf(a, b float64) pairFloat {
	p := a * b
	return pairFloat{p, math.FMA(a, b, -p)}
}

func (a pairFloat) plus(b pairFloat) pairFloat {
	s := sumOf(a.high, b.high)
	return sumOf(s.high, s.low+(a.low+b.low))
}

func (a pairFloat) times(b pairFloat) pairFloat {
	p := productOf(a.high, b.high)
	return sumOf(p.high, p.low+(float64(a.high*b.low)+float64(a.low*b.high)))
}

func (a pairFloat) over(b float64) pairFloat {
	q := a.high / b
	return sumOf(q, (math.FMA(-q, b, a.high)+a.low)/b)
}

func (a pairFloat) negative() pairFloat { return pairFloat{-a.high, -a.low} }

var quarterTurn = pairFloat{math.Pi / 2, 6.123233995736766e-17}

// inverseFactorials are 1/n!, as far as the series below need them.
var inverseFactorials = func() (f [28]pairFloat) {
	f[0] = pairFloat{1, 0}
	for n := 1; n < len(f); n++ {
		f[n] = f[n-1].over(float64(n))
	}
	return f
}()

// series sums x^n/n! with alternating signs, for n = first, first+2 and so on, for an
// x of up to an eighth of a turn.
func series(x pairFloat, first int) pairFloat {
	square := x.times(x).negative()
	sum := inverseFactorials[len(inverseFactorials)-2+first]
	for n := len(inverseFactorials) - 4 + first; n >= first; n -= 2 {
		sum = sum.times(square).plus(inverseFactorials[n])
	}
	if first == 1 {
		sum = sum.times(x)
	}
	return sum
}

// sineOf returns the sine of x, plus so many quarter turns, for an x of some turns.
func sineOf(x float64, quarters int) pairFloat {
	n := math.Round(x / quarterTurn.high)
	rest := pairFloat{x, 0}.plus(productOf(-n, quarterTurn.high)).plus(pairFloat{float64(-n * quarterTurn.low), 0})
	switch (int(n) + quarters) & 3 {
	case 0:
		return series(rest, 1)
	case 1:
		return series(rest, 0)
	case 2:
		return series(rest, 1).negative()
	}
	return series(rest, 0).negative()
}

func exactSin(x float64) float64 {
	if x == 0 {
		return x
	}
	return sineOf(x, 0).high
}

func exactCos(x float64) float64 { return sineOf(x, 1).high }

// exactAsin improves an arc sine by a step of Newton's, for x from 0 to 1.
func exactAsin(x float64) float64 {
	y := math.Asin(x)
	slope := math.Cos(y)
	if x == 0 || slope < 1e-4 {
		return y
	}
	off := pairFloat{x, 0}.plus(sineOf(y, 0).negative())
	return y + (off.high+off.low)/slope
}
