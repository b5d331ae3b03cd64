package command

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestGeo(t *testing.T) {
	c := newClient(t)
	c.expect(
		"geoadd s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", "2", "geodist s Palermo Catania", "166274.1516", "geodist s Palermo Catania km", "166.2742", "geodist s Palermo Catania MI", "103.3182",
		"geodist s Palermo Catania FT", "545518.8700", "geodist s Palermo none", "nil", "geodist none a b", "nil", "geodist s Palermo Catania yd", "-ERR unsupported unit provided. please use M, KM, FT, MI",
		"geodist s a b m m", "-ERR syntax error", "geodist s Palermo Palermo", "0.0000", "geohash s Palermo Catania none", "[sqc8b49rny0 sqdtr74hyu0 nil]", "geohash s", "[]", "geohash none a", "[nil]",
		"geopos s Palermo none Catania", "[[13.36138933897018433 38.11555639549629859] nil [15.08726745843887329 37.50266842333162032]]", "zscore s Palermo", "3479099956230698", "geopos none a", "[nil]",
		"geoadd s NX 0 0 Palermo 1 1 new", "1", "geoadd s XX CH 2 2 new 3 3 other", "1", "zcard s", "3", "zrem s new", "1", "geoadd s 181 0 x", "-ERR invalid longitude,latitude pair 181.000000,0.000000",
		"geoadd s 0 -86 x", "-ERR invalid longitude,latitude pair 0.000000,-86.000000", "geoadd s x 0 m", "-ERR value is not a valid float", "geoadd s NX XX 0 0 m", "-ERR syntax error", "geoadd s 0 0 m 1", "-ERR syntax error",
		"geoadd s CH NX CH", "-ERR syntax error", "geoadd s inf 0 m", "-ERR invalid longitude,latitude pair inf,0.000000",
		"georadius s 15 37 200 km", "[Palermo Catania]", "georadius s 15 37 200 km ASC", "[Catania Palermo]", "georadius s 15 37 200 km WITHDIST", "[[Palermo 190.4424] [Catania 56.4413]]",
		"georadius s 15 37 200 km WITHCOORD WITHHASH COUNT 1", "[[Catania 3479447370796909 [15.08726745843887329 37.50266842333162032]]]", "georadius s 15 37 200 km DESC COUNT 1", "[Palermo]", "georadius s 15 37 200 km COUNT 1 ANY", "[Palermo]",
		"georadius s 15 37 200 km ANY", "-ERR the ANY argument requires COUNT argument", "georadius s 15 37 200 km COUNT 0", "-ERR COUNT must be > 0", "georadius s 15 37 -1 km", "-ERR radius cannot be negative", "georadius s 15 37 x km", "-ERR need numeric radius",
		"georadius s 15 37 200 km STORE d", "2", "zrange d 0 -1 WITHSCORES", "[Palermo 3479099956230698 Catania 3479447370796909]", "georadius s 15 37 200 km STOREDIST d COUNT 1", "1", "zrange d 0 -1", "[Catania]",
		"georadius s 15 37 1 m STORE d", "0", "exists d", "0", "georadius s 15 37 200 km WITHDIST STORE d", "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
		"georadiusbymember s Palermo 200 km", "[Palermo Catania]", "georadiusbymember s none 200 km", "-ERR could not decode requested zset member", "georadiusbymember none none x y", "[]", "georadiusbymember none none x y STORE d", "0",
		"geosearch s FROMLONLAT 15 37 BYBOX 400 400 km ASC", "[Catania Palermo]", "geosearch s FROMMEMBER Palermo BYRADIUS 1 m", "[Palermo]", "geosearch s FROMMEMBER none BYRADIUS 1 m", "-ERR could not decode requested zset member",
		"geosearch s FROMLONLAT 15 37 BYBOX 400 -1 km", "-ERR height or width cannot be negative", "geosearch s FROMLONLAT 15 37 BYBOX x 1 km", "-ERR need numeric width", "geosearch s FROMLONLAT 15 37 BYBOX 1 x km", "-ERR need numeric height",
		"geosearch s BYRADIUS 1 m ASC WITHDIST COUNT 1", "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch", "geosearch s FROMMEMBER Palermo ASC WITHDIST COUNT 1", "-ERR exactly one of BYRADIUS and BYBOX can be specified for geosearch",
		"geosearch s FROMMEMBER Palermo FROMLONLAT 1 1 BYRADIUS 1 m", "-ERR syntax error", "geosearch s FROMMEMBER Palermo BYRADIUS 1 m BYBOX 1 1 m", "-ERR syntax error", "geosearch s FROMMEMBER Palermo BYRADIUS 1 m STORE d", "-ERR syntax error",
		"geosearchstore d s FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST", "2", "zrange d 0 -1", "[Catania Palermo]", "geosearchstore d s FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST", "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
		"geosearchstore d none FROMLONLAT 15 37 BYRADIUS 200 km", "0", "exists d", "0", "set str v", "+OK", "geosearch str FROMLONLAT 15 37 BYRADIUS 200 km", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"geoadd str 1 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "geopos str a", "-WRONGTYPE Operation against a key holding the wrong kind of value", "georadius s 15 37 200 km STORE str", "2", "type str", "+zset",
	)
	c.proto = 3
	c.expect("geopos s Palermo none", "[[,13.36138933897018433 ,38.11555639549629859] null]", "geodist s Palermo Catania", "166274.1516",
		"geosearch s FROMLONLAT 15 37 BYRADIUS 100 km WITHDIST WITHCOORD", "[[Catania 56.4413 [,15.08726745843887329 ,37.50266842333162032]]]")
}

// Scores that no place has mean some place, on every machine the same.
func TestPlacesOfScores(t *testing.T) {
	for _, score := range []float64{-1, 1e300, -1e300, math.Inf(1), math.Inf(-1), 1 << 54, 1 << 63, 1 << 62, 0.5, math.Copysign(0, -1)} {
		p := placeOfScore(score)
		if math.Abs(p.longitude) > geoMaxLongitude || math.Abs(p.latitude) > geoMaxLatitude || math.IsNaN(p.longitude) || math.IsNaN(p.latitude) {
			t.Errorf("score %v is %v", score, p)
		}
	}
	for _, n := range []uint64{0, 1, 1<<26 - 1, 1 << 26, 0xffffffff} {
		if got := packBits(spreadBits(n)); got != n {
			t.Errorf("%x became %x", n, got)
		}
	}
}

func (g generator) longitude() string {
	switch g.IntN(12) {
	case 0:
		return pick(g, "180", "-180", "181", "x", "inf", "0", "179.9999999", "-179.99999999", "1e1", "nan")
	case 1, 2, 3:
		return strconv.FormatFloat(13+g.Float64()*3, 'f', g.IntN(10), 64)
	}
	return strconv.FormatFloat(g.Float64()*360-180, 'f', g.IntN(12), 64)
}

func (g generator) latitude() string {
	switch g.IntN(12) {
	case 0:
		return pick(g, "85.05112878", "-85.05112878", "86", "x", "0", "85", "-85", "70", "-82")
	case 1, 2, 3:
		return strconv.FormatFloat(37+g.Float64()*3, 'f', g.IntN(10), 64)
	}
	return strconv.FormatFloat(g.Float64()*170-85, 'f', g.IntN(12), 64)
}

func (g generator) unit() string {
	if g.IntN(30) == 0 {
		return pick(g, "yd", "", "kmx")
	}
	return g.word("M", "KM", "KM", "FT", "MI", "m", "km")
}

// extent returns n lengths, and the unit behind them. Lengths that are not mistakes reach
// half around the earth: of circles beyond, Redis leaves members out at times, the one in
// the center too.
func (g generator) extent(n int) (args []string) {
	unit := g.unit()
	metres := map[string]float64{"KM": 1000, "km": 1000, "FT": 0.3048, "MI": 1609.34}[unit]
	if metres == 0 {
		metres = 1
	}
	for range n {
		if g.IntN(25) == 0 {
			args = append(args, pick(g, "-1", "x", "0", "nan", ""))
			continue
		}
		args = append(args, strconv.FormatFloat(math.Exp(g.Float64()*math.Log(2e7/metres)), 'f', g.IntN(4), 64))
	}
	return append(args, unit)
}

func (g generator) geoOptions(most int, store bool) []string {
	list := [][]string{{"ASC"}, {"DESC"}, {"ASC"}, {"WITHDIST"}, {"WITHCOORD"}, {"WITHHASH"}, {"COUNT", pick(g, "1", "2", "3", "10", "0", "-1", "x")}, {"COUNT", "1", "ANY"}, {"COUNT", "3", "ANY"}, {"nonsense"}, {"ANY"}}
	if store {
		list = append(list, []string{"STORE", g.key()}, []string{"STOREDIST", g.key()})
	}
	return g.options(most, list...)
}

func (g generator) geoCommand() []string {
	at := func() []string { return []string{g.longitude(), g.latitude()} }
	search := func(prefix ...string) []string {
		parts := [][]string{
			pick(g, append([]string{"FROMLONLAT"}, at()...), []string{"FROMMEMBER", g.field()}),
			pick(g, append([]string{"BYRADIUS"}, g.extent(1)...), append([]string{"BYBOX"}, g.extent(2)...)),
			g.geoOptions(2, false),
		}
		if g.IntN(12) == 0 {
			parts[g.IntN(2)] = parts[g.IntN(3)]
		}
		g.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for _, p := range parts {
			prefix = append(prefix, p...)
		}
		return prefix
	}
	switch g.IntN(14) {
	case 0, 1, 2, 3:
		args := append([]string{"geoadd", g.key()}, g.options(1, []string{"NX"}, []string{"XX"}, []string{"CH"})...)
		for range 1 + g.IntN(8) {
			args = append(append(args, at()...), g.field())
		}
		return args
	case 4:
		return append([]string{pick(g, "geopos", "geohash"), g.key()}, g.fields(3)...)
	case 5:
		args := []string{"geodist", g.key(), g.field(), g.field(), g.unit(), "x"}
		return args[:pick(g, 4, 4, 5, 5, 6)]
	case 6:
		return append(append(append([]string{"georadius", g.key()}, at()...), g.extent(1)...), g.geoOptions(2, true)...)
	case 7:
		return append(append(append([]string{"georadius_ro", g.key()}, at()...), g.extent(1)...), g.geoOptions(2, g.IntN(10) == 0)...)
	case 8:
		return append(append([]string{pick(g, "georadiusbymember", "georadiusbymember_ro"), g.key(), g.field()}, g.extent(1)...), g.geoOptions(2, true)...)
	case 9, 10:
		return search("geosearch", g.key())
	case 11:
		return append(search("geosearchstore", g.key(), g.key()), g.options(1, []string{"STOREDIST"})...)
	case 12:
		return []string{"zrange", g.key(), "0", "-1", "WITHSCORES"}
	}
	return g.common()
}

func TestGeoAgainstRedis(t *testing.T) {
	g := generator{seed(t)}
	compareWithRedis(t, 20_000, func() []string {
		if g.IntN(100) == 0 {
			return []string{"zadd", g.key(), g.value(), g.field()}
		}
		return g.geoCommand()
	})
}

// sameDistances compares scores as numbers: 7.0 writes them with seventeen digits. A
// distance can still differ in the last digit, very rarely.
func sameDistances(args []string, got, want string) bool {
	if !strings.EqualFold(args[len(args)-1], "WITHSCORES") {
		return false
	}
	a, b := strings.Split(got, "\r\n"), strings.Split(want, "\r\n")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, errX := strconv.ParseFloat(strings.TrimPrefix(a[i], ","), 64)
		y, errY := strconv.ParseFloat(strings.TrimPrefix(b[i], ","), 64)
		if a[i] != b[i] && !strings.HasPrefix(a[i], "$") && (errX != nil || errY != nil || math.Abs(x-y) > 1e-15*math.Abs(x)) {
			return false
		}
	}
	return true
}

func TestExactFunctions(t *testing.T) {
	// Digits from a calculation with fifty of them.
	for _, x := range []struct {
		f    func(float64) float64
		x, y float64
	}{
		{exactSin, 1, 0.8414709848078965}, {exactSin, math.Pi, 1.2246467991473532e-16}, {exactSin, -0.5, -0.479425538604203}, {exactSin, 1e-10, 1e-10}, {exactSin, 0, 0},
		{exactCos, 1, 0.5403023058681398}, {exactCos, math.Pi / 2, 6.123233995736766e-17}, {exactCos, 3, -0.9899924966004454}, {exactCos, 0, 1},
		{exactAsin, 1, math.Pi / 2}, {exactAsin, 0.5, 0.5235987755982989}, {exactAsin, 0, 0}, {exactAsin, 0.9999, 1.5566540733173846}, {exactAsin, 1e-8, 1e-8},
	} {
		if got := x.f(x.x); math.Abs(got-x.y) > 1e-16*math.Abs(x.y) {
			t.Errorf("of %v: %v, want %v", x.x, got, x.y)
		}
	}
	g := generator{seed(t)}
	for range 100_000 {
		x := g.Float64()*8 - 4
		if s := exactSin(x); math.Abs(s-math.Sin(x)) > 1e-15 || math.Abs(exactCos(x)-math.Cos(x)) > 1e-15 {
			t.Fatalf("of %v: %v, %v", x, s, exactCos(x))
		}
		if y := math.Abs(x) / 4; math.Abs(exactAsin(y)-math.Asin(y)) > 1e-13 {
			t.Fatalf("of %v: %v, want %v", y, exactAsin(y), math.Asin(y))
		}
	}
}
