package command

import "math"

// Places are kept as the scores of a sorted set: 26 bits of latitude and 26 of
// longitude, interleaved, so that what is near in a cell of the grid is near in the
// order of scores. Formulas and constants are Redis's, in the order in which it
// calculates, because scores and digits of replies depend on it. The conversions to
// float64 keep a compiler from joining a product and a sum, which would round
// otherwise.

const (
	geoMaxSteps     = 26 // bits of each coordinate
	geoMaxLatitude  = 85.05112878
	geoMaxLongitude = 180
	earthRadius     = 6372797.560856 // m
	mercatorMax     = 20037726.37    // m
)

// geoRange are the bounds of a coordinate.
type geoRange struct{ min, max float64 }

var (
	geoLongitudes = geoRange{-geoMaxLongitude, geoMaxLongitude}
	geoLatitudes  = geoRange{-geoMaxLatitude, geoMaxLatitude}
)

// geoPlace is a place in degrees.
type geoPlace struct{ longitude, latitude float64 }

// geoCell is a cell of the grid: the place of its south-western corner, steps bits a
// coordinate. Without steps it is none.
type geoCell struct {
	bits  uint64
	steps int
}

// encodeGeo returns the cell that a place is in.
func encodeGeo(p geoPlace, longitudes, latitudes geoRange, steps int) geoCell {
	offset := func(x float64, r geoRange) uint64 {
		return uint64(uint32((x - r.min) / (r.max - r.min) * float64(uint64(1)<<steps)))
	}
	return geoCell{spreadBits(offset(p.latitude, latitudes)) | spreadBits(offset(p.longitude, longitudes))<<1, steps}
}

// spreadBits puts a zero between the bits of a 32-bit number.
func spreadBits(x uint64) uint64 {
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// packBits is the inverse: every other bit, from the lowest on.
func packBits(x uint64) uint64 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return (x | x>>16) & 0x00000000ffffffff
}

// area returns the bounds of a cell.
func (c geoCell) area() (longitude, latitude geoRange) {
	within := func(n uint64, r geoRange) geoRange {
		scale, cells := r.max-r.min, float64(uint64(1)<<c.steps)
		return geoRange{r.min + float64(float64(n)/cells*scale), r.min + float64(float64(uint32(n)+1)/cells*scale)}
	}
	return within(packBits(c.bits>>1), geoLongitudes), within(packBits(c.bits), geoLatitudes)
}

// scores returns the scores of the members in a cell: from min on, below max.
func (c geoCell) scores() (min, max float64) {
	shift := 2 * (geoMaxSteps - c.steps)
	return float64(c.bits << shift), float64((c.bits + 1) << shift)
}

// neighbour returns the cell that is so many cells to the east and to the north,
// around the earth.
func (c geoCell) neighbour(east, north int) geoCell {
	unused := 64 - 2*c.steps
	x := moveBits(c.bits>>1, east, unused)
	y := moveBits(c.bits, north, unused)
	return geoCell{x<<1 | y, c.steps}
}

// moveBits adds by, which is -1, 0 or 1, to the number in every other bit.
func moveBits(n uint64, by, unused int) uint64 {
	if by == 0 {
		return spreadBits(packBits(n)) // at the eastern end there is a bit more
	}
	return spreadBits(packBits(n)+uint64(by)) & (0x5555555555555555 >> unused)
}

// geoScore is the score of a place.
func geoScore(p geoPlace) uint64 {
	return encodeGeo(p, geoLongitudes, geoLatitudes, geoMaxSteps).bits
}

// placeOfScore returns the middle of the cell that a score stands for, whatever
// number it is.
func placeOfScore(score float64) geoPlace {
	longitude, latitude := geoCell{scoreBits(score), geoMaxSteps}.area()
	clamp := func(x, most float64) float64 { return math.Max(-most, math.Min(most, x)) }
	return geoPlace{clamp((longitude.min+longitude.max)/2, geoMaxLongitude), clamp((latitude.min+latitude.max)/2, geoMaxLatitude)}
}

// scoreBits converts as a 64-bit x86 does, scores that no place has too.
func scoreBits(score float64) uint64 {
	const high = 1 << 63
	switch {
	case score >= 2*high:
		return 0
	case score >= high:
		return uint64(score-high) | high
	case score < -high:
		return high
	}
	return uint64(int64(score))
}

const geoAlphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

// geoString returns the standard geohash of a place, whose latitudes go to the poles:
// ten characters, and a zero for the eleventh, for which there are no bits.
func geoString(p geoPlace) string {
	cell := encodeGeo(p, geoLongitudes, geoRange{-90, 90}, geoMaxSteps)
	text := [11]byte{10: geoAlphabet[0]}
	for i := range 10 {
		text[i] = geoAlphabet[cell.bits>>(2*geoMaxSteps-5*(i+1))&0x1f]
	}
	return string(text[:])
}

const degree = float64(math.Pi) / 180

func radians(degrees float64) float64 { return degrees * degree }
func degrees(radians float64) float64 { return radians / degree }

// distance is that of two places on a sphere, in m (the haversine formula).
func (p geoPlace) distance(q geoPlace) float64 {
	return p.haversine(q, exactSin, exactCos, exactAsin)
}

// nearly is distance with package math's functions, which are faster.
func (p geoPlace) nearly(q geoPlace) float64 {
	return p.haversine(q, math.Sin, math.Cos, math.Asin)
}

func (p geoPlace) haversine(q geoPlace, sin, cos, asin func(float64) float64) float64 {
	lon1, lon2 := radians(p.longitude), radians(q.longitude)
	v := sin((lon2 - lon1) / 2)
	if v == 0 {
		return latitudeDistance(p.latitude, q.latitude)
	}
	lat1, lat2 := radians(p.latitude), radians(q.latitude)
	u := sin((lat2 - lat1) / 2)
	a := float64(u*u) + float64(cos(lat1)*cos(lat2)*v*v)
	return 2 * earthRadius * asin(math.Sqrt(a))
}

// farther reports whether a distance is above limit. It takes the exact one only where
// that matters.
func (p geoPlace) farther(q geoPlace, limit float64) bool {
	const unsure = 1e-9 // of the distance, and a meter, for places at the ends of the earth
	about := p.nearly(q)
	if math.Abs(about-limit) > unsure*about+1 {
		return about > limit
	}
	return p.distance(q) > limit
}

func latitudeDistance(a, b float64) float64 {
	return earthRadius * math.Abs(radians(b)-radians(a))
}

// geoShape is an area that is searched: a circle or a box around a place. Lengths are
// in units of so many m.
type geoShape struct {
	center        geoPlace
	unit          float64
	box           bool
	radius        float64
	width, height float64
}

// has reports whether a place is in the area, and how far it is from the center.
func (s *geoShape) has(p geoPlace) (distance float64, ok bool) {
	if s.box {
		if latitudeDistance(p.latitude, s.center.latitude) > s.height*s.unit/2 {
			return 0, false
		}
		if p.farther(geoPlace{s.center.longitude, p.latitude}, s.width*s.unit/2) {
			return 0, false
		}
	} else if s.center.farther(p, s.radius*s.unit) {
		return 0, false
	}
	return s.center.distance(p), true
}

// bounds are those of the area in degrees.
func (s *geoShape) bounds() (longitude, latitude geoRange) {
	width, height := s.unit*s.radius, s.unit*s.radius
	if s.box {
		width, height = s.unit*(s.width/2), s.unit*(s.height/2)
	}
	center := s.center
	up := degrees(height / earthRadius)
	widest := center.latitude + up
	if center.latitude < 0 {
		widest = center.latitude - up
	}
	aside := degrees(width / earthRadius / math.Cos(radians(widest)))
	return geoRange{center.longitude - aside, center.longitude + aside}, geoRange{center.latitude - up, center.latitude + up}
}

// steps estimates how fine the grid may be for nine cells to cover the area.
func (s *geoShape) steps() int {
	reach := s.radius
	if s.box {
		reach = math.Sqrt(float64(s.width/2*(s.width/2)) + float64(s.height/2*(s.height/2)))
	}
	reach *= s.unit
	if reach == 0 {
		return geoMaxSteps
	}
	steps := 1
	for ; reach < mercatorMax; reach *= 2 {
		steps++
	}
	steps -= 2
	if north := math.Abs(s.center.latitude); north > 80 {
		steps -= 2 // cells are narrow near the poles
	} else if north > 66 {
		steps--
	}
	return max(1, min(steps, geoMaxSteps))
}

// geoAround are the neighbours of a cell in the order in which they are searched.
var geoAround = [...]struct{ east, north int }{
	{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1},
}

// cells returns those that cover the area, in the order in which Redis searches them.
func (s *geoShape) cells() []geoCell {
	longitude, latitude := s.bounds()
	steps := s.steps()
	cell := encodeGeo(s.center, geoLongitudes, geoLatitudes, steps)
	if steps > 1 {
		_, north := cell.neighbour(0, 1).area()
		_, south := cell.neighbour(0, -1).area()
		east, _ := cell.neighbour(1, 0).area()
		west, _ := cell.neighbour(-1, 0).area()
		if north.max < latitude.max || south.min > latitude.min || east.max < longitude.max || west.min > longitude.min {
			steps--
			cell = encodeGeo(s.center, geoLongitudes, geoLatitudes, steps)
		}
	}
	x, y := cell.area()
	var cells []geoCell
	for _, to := range geoAround {
		if steps >= 2 && (to.north < 0 && y.min < latitude.min || to.north > 0 && y.max > latitude.max ||
			to.east < 0 && x.min < longitude.min || to.east > 0 && x.max > longitude.max) {
			continue // the cell itself reaches beyond the area
		}
		next := cell.neighbour(to.east, to.north)
		// Around a small earth a neighbour can be the same as the one before.
		if n := len(cells); n > 1 && cells[n-1] == next {
			continue
		}
		cells = append(cells, next)
	}
	return cells
}
