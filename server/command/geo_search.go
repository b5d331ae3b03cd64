package command

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errGeoMember  resp.Error = "ERR could not decode requested zset member"
	errGeoRadius  resp.Error = "ERR need numeric radius"
	errGeoWidth   resp.Error = "ERR need numeric width"
	errGeoHeight  resp.Error = "ERR need numeric height"
	errGeoBelow0  resp.Error = "ERR radius cannot be negative"
	errGeoBox     resp.Error = "ERR height or width cannot be negative"
	errGeoCount   resp.Error = "ERR COUNT must be > 0"
	errGeoAny     resp.Error = "ERR the ANY argument requires COUNT argument"
	errGeoFrom               = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %s"
	errGeoBy                 = "ERR exactly one of BYRADIUS and BYBOX can be specified for %s"
	errGeoOptions            = "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
)

// geoForm is how a command says what to search.
type geoForm struct {
	source int // the argument that is the key
	// options: the first argument of the options.
	options int
	// The center is given by the arguments behind the key, as coordinates or as a
	// member, or by options (search).
	coordinates, member, search bool
	// store: the options STORE and STOREDIST.
	store bool
}

// geoQuery is what a command asks for.
type geoQuery struct {
	shape    geoShape
	from, by bool // FROM... and BY... were given
	// fromPlace: it was FROMLONLAT.
	fromPlace bool

	withDistance, withHash, withPlace bool
	any                               bool
	order                             int // 1 up, -1 down
	count                             int64

	target        []byte // of STORE
	storeDistance bool
}

// geoPoint is a member that was found.
type geoPoint struct {
	member   []byte
	score    float64
	place    geoPlace
	distance float64 // in units of the query
}

func geosearch(c *Ctx) error {
	return c.geoSearch(geoForm{source: 1, options: 2, search: true})
}

func geosearchstore(c *Ctx) error {
	return c.geoSearch(geoForm{source: 2, options: 3, search: true})
}

func georadius(c *Ctx) error {
	return c.geoSearch(geoForm{source: 1, options: 6, coordinates: true, store: true})
}

func georadiusRO(c *Ctx) error {
	return c.geoSearch(geoForm{source: 1, options: 6, coordinates: true})
}

func georadiusbymember(c *Ctx) error {
	return c.geoSearch(geoForm{source: 1, options: 5, member: true, store: true})
}

func georadiusbymemberRO(c *Ctx) error {
	return c.geoSearch(geoForm{source: 1, options: 5, member: true})
}

func (c *Ctx) geoSearch(f geoForm) error {
	z, err := c.readCollection(c.Args[f.source], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	q, err := c.parseGeo(f, &z)
	if err != nil {
		return err
	}
	var points []geoPoint
	if z.Exists() {
		if points, err = q.find(&z); err != nil {
			return err
		}
	}
	if q.target != nil {
		return c.storePoints(&q, points)
	}
	c.Out.Array(len(points))
	for i := range points {
		c.replyPoint(&q, &points[i])
	}
	return nil
}

// parseGeo parses the arguments; what is wrong with a center shows only if there is
// a key.
func (c *Ctx) parseGeo(f geoForm, z *keyspace.Collection) (q geoQuery, err error) {
	switch {
	case f.coordinates:
		if q.shape.center, err = c.placeArg(2); err == nil {
			err = c.radiusArg(&q.shape, 4)
		}
	case f.member && z.Exists():
		if q.shape.center, err = memberPlace(z, c.Args[2]); err == nil {
			err = c.radiusArg(&q.shape, 3)
		}
	case f.source == 2:
		q.target = c.Args[1]
	}
	if err != nil {
		return q, err
	}
	for i := f.options; i < len(c.Args); {
		used, err := c.geoOption(&q, f, i)
		if err == nil && used == 0 && f.search {
			used, err = c.geoSearchOption(&q, z, i)
		}
		if err != nil {
			return q, err
		}
		if used == 0 {
			return q, resp.ErrSyntax
		}
		i += used
	}
	return q, q.check(c, f)
}

func (q *geoQuery) check(c *Ctx, f geoForm) error {
	if q.target != nil && (q.withDistance || q.withHash || q.withPlace) {
		name := "STORE option in GEORADIUS"
		if f.search {
			name = "GEOSEARCHSTORE"
		}
		return resp.Error(fmt.Sprintf(errGeoOptions, name))
	}
	switch {
	case f.search && !q.from:
		return resp.Error(fmt.Sprintf(errGeoFrom, cString(c.Args[0])))
	case f.search && !q.by:
		return resp.Error(fmt.Sprintf(errGeoBy, cString(c.Args[0])))
	case q.any && q.count == 0:
		return errGeoAny
	}
	if q.count != 0 && q.order == 0 && !q.any {
		q.order = 1 // the nearest
	}
	return nil
}

// geoOption parses the option in an argument, and returns how many arguments it has; 0:
// it is none.
func (c *Ctx) geoOption(q *geoQuery, f geoForm, i int) (used int, err error) {
	arg, left := c.Args[i], len(c.Args)-i-1
	switch {
	case isWord(arg, "WITHDIST"):
		q.withDistance = true
	case isWord(arg, "WITHHASH"):
		q.withHash = true
	case isWord(arg, "WITHCOORD"):
		q.withPlace = true
	case isWord(arg, "ANY"):
		q.any = true
	case isWord(arg, "ASC"):
		q.order = 1
	case isWord(arg, "DESC"):
		q.order = -1
	case isWord(arg, "COUNT") && left > 0:
		if q.count, err = c.integerArg(i + 1); err == nil && q.count <= 0 {
			err = errGeoCount
		}
		return 2, err
	case f.store && left > 0 && isWord(arg, "STORE"):
		q.target, q.storeDistance = c.Args[i+1], false
		return 2, nil
	case f.store && left > 0 && isWord(arg, "STOREDIST"):
		q.target, q.storeDistance = c.Args[i+1], true
		return 2, nil
	case f.source == 2 && isWord(arg, "STOREDIST"):
		q.storeDistance = true
	default:
		return 0, nil
	}
	return 1, nil
}

// geoSearchOption is geoOption for what is searched.
func (c *Ctx) geoSearchOption(q *geoQuery, z *keyspace.Collection, i int) (used int, err error) {
	arg, left := c.Args[i], len(c.Args)-i-1
	member := q.from && !q.fromPlace
	switch {
	case left >= 1 && !q.fromPlace && isWord(arg, "FROMMEMBER"):
		q.from = true
		if z.Exists() {
			q.shape.center, err = memberPlace(z, c.Args[i+1])
		}
		return 2, err
	case left >= 2 && !member && isWord(arg, "FROMLONLAT"):
		q.from, q.fromPlace = true, true
		q.shape.center, err = c.placeArg(i + 1)
		return 3, err
	case left >= 2 && !q.shape.box && isWord(arg, "BYRADIUS"):
		q.by = true
		return 3, c.radiusArg(&q.shape, i+1)
	case left >= 3 && (q.shape.box || !q.by) && isWord(arg, "BYBOX"):
		q.by = true
		return 4, c.boxArg(&q.shape, i+1)
	}
	return 0, nil
}

// memberPlace returns the place of a member.
func memberPlace(z *keyspace.Collection, member []byte) (geoPlace, error) {
	score, found, err := z.Score(member)
	if err == nil && !found {
		err = errGeoMember
	}
	return placeOfScore(score), typed(err)
}

// radiusArg parses a length and a unit.
func (c *Ctx) radiusArg(s *geoShape, i int) (err error) {
	var ok bool
	if s.radius, ok = parseDouble(c.Args[i]); !ok {
		return errGeoRadius
	}
	if s.radius < 0 {
		return errGeoBelow0
	}
	s.box = false
	s.unit, err = geoUnit(c.Args[i+1])
	return err
}

// boxArg parses two lengths and a unit.
func (c *Ctx) boxArg(s *geoShape, i int) (err error) {
	var ok bool
	if s.width, ok = parseDouble(c.Args[i]); !ok {
		return errGeoWidth
	}
	if s.height, ok = parseDouble(c.Args[i+1]); !ok {
		return errGeoHeight
	}
	if s.width < 0 || s.height < 0 {
		return errGeoBox
	}
	s.box = true
	s.unit, err = geoUnit(c.Args[i+2])
	return err
}

// find returns the members in the area, in the order and number that were asked for.
func (q *geoQuery) find(z *keyspace.Collection) (points []geoPoint, err error) {
	enough := func() bool { return q.any && int64(len(points)) >= q.count }
	for _, cell := range q.shape.cells() {
		if enough() {
			break
		}
		from, below := cell.scores()
		err := z.Scores(keyspace.BeforeScore(from), keyspace.BeforeScore(below), false, func(member []byte, score float64) bool {
			place := placeOfScore(score)
			if distance, ok := q.shape.has(place); ok {
				points = append(points, geoPoint{bytes.Clone(member), score, place, distance})
			}
			return !enough()
		})
		if err != nil {
			return nil, err
		}
	}
	if q.order != 0 {
		slices.SortStableFunc(points, func(a, b geoPoint) int { return q.order * cmp.Compare(a.distance, b.distance) })
	}
	if q.count != 0 && int64(len(points)) > q.count {
		points = points[:q.count]
	}
	for i := range points {
		points[i].distance /= q.shape.unit
	}
	return points, nil
}

func (c *Ctx) replyPoint(q *geoQuery, p *geoPoint) {
	parts := 1 + boolInt(q.withDistance) + boolInt(q.withHash) + boolInt(q.withPlace)
	if parts > 1 {
		c.Out.Array(int(parts))
	}
	c.Out.Bulk(p.member)
	if q.withDistance {
		c.replyDistance(p.distance)
	}
	if q.withHash {
		c.Out.Int(int64(p.score)) // at most 2^54 in a cell
	}
	if q.withPlace {
		c.replyPlace(p.place)
	}
}

// storePoints makes the target a sorted set of what was found.
func (c *Ctx) storePoints(q *geoQuery, points []geoPoint) error {
	members := make([]scoredMember, len(points))
	for i, p := range points {
		members[i] = scoredMember{p.member, p.score}
		if q.storeDistance {
			members[i].score = p.distance
		}
	}
	store := *c
	store.Args = [][]byte{c.Args[0], q.target}
	return store.storeScored(members, true)
}
