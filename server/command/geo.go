package command

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// The commands on places, which are members of sorted sets. GEOSEARCH and its kin are
// in geo_search.go.

const errGeoUnit resp.Error = "ERR unsupported unit provided. please use M, KM, FT, MI"

// geoUnits are the lengths of units in m.
var geoUnits = []struct {
	name   string
	meters float64
}{{"M", 1}, {"KM", 1000}, {"FT", 0.3048}, {"MI", 1609.34}}

func geoUnit(arg []byte) (meters float64, err error) {
	for _, u := range geoUnits {
		if isWord(arg, u.name) {
			return u.meters, nil
		}
	}
	return 0, errGeoUnit
}

// placeArg parses a longitude and a latitude.
func (c *Ctx) placeArg(i int) (p geoPlace, err error) {
	var ok [2]bool
	p.longitude, ok[0] = parseDouble(c.Args[i])
	p.latitude, ok[1] = parseDouble(c.Args[i+1])
	if !ok[0] || !ok[1] {
		return p, resp.ErrNotFloat
	}
	if math.Abs(p.longitude) > geoMaxLongitude || math.Abs(p.latitude) > geoMaxLatitude {
		text := fmt.Sprintf("ERR invalid longitude,latitude pair %f,%f", p.longitude, p.latitude)
		return p, resp.Error(strings.ReplaceAll(strings.ReplaceAll(text, "+Inf", "inf"), "-Inf", "-inf"))
	}
	return p, nil
}

func geoadd(c *Ctx) error {
	first := 2
	for ; first < len(c.Args); first++ {
		if arg := c.Args[first]; !isWord(arg, "NX") && !isWord(arg, "XX") && !isWord(arg, "CH") {
			break
		}
	}
	// The rest is ZADD's, with scores in the place of coordinates.
	add := *c
	add.Args = append([][]byte{c.Args[0], c.Args[1]}, c.Args[2:first]...)
	if (len(c.Args)-first)%3 != 0 {
		return resp.ErrSyntax
	}
	for i := first; i < len(c.Args); i += 3 {
		p, err := c.placeArg(i)
		if err != nil {
			return err
		}
		add.Args = append(add.Args, strconv.AppendUint(nil, geoScore(p), 10), c.Args[i+2])
	}
	o, pairs, err := add.parseZadd()
	if err == errZaddXXNX {
		err = resp.ErrSyntax
	}
	if err != nil {
		return err
	}
	return add.addScores(o, pairs)
}

// places replies something for each member from the second argument on.
func (c *Ctx) replyPlaces(missing func(), reply func(p geoPlace)) error {
	z, err := c.readCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		score, found, err := z.Score(member)
		switch {
		case err != nil:
			return typed(err)
		case found:
			reply(placeOfScore(score))
		default:
			missing()
		}
	}
	return nil
}

func geohash(c *Ctx) error {
	return c.replyPlaces(c.Out.Null, func(p geoPlace) { c.Out.BulkString(geoString(p)) })
}

func geopos(c *Ctx) error {
	return c.replyPlaces(c.Out.NullArray, c.replyPlace)
}

func (c *Ctx) replyPlace(p geoPlace) {
	c.Out.Array(2)
	c.replyCoordinate(p.longitude)
	c.replyCoordinate(p.latitude)
}

// replyCoordinate replies up to seventeen digits behind the point.
func (c *Ctx) replyCoordinate(x float64) {
	text := strconv.AppendFloat(nil, x, 'f', 17, 64)
	text = bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte("."))
	if string(text) == "-0" {
		text = text[1:]
	}
	if c.Out.Proto >= 3 {
		c.Out.Raw(append(append([]byte{','}, text...), "\r\n"...))
		return
	}
	c.Out.Bulk(text)
}

// replyDistance replies a distance with four digits behind the point.
func (c *Ctx) replyDistance(d float64) {
	n := int64(math.RoundToEven(d * 10000))
	c.Out.BulkString(fmt.Sprintf("%d.%04d", n/10000, n%10000))
}

func geodist(c *Ctx) error {
	meters := 1.0
	switch len(c.Args) {
	case 4:
	case 5:
		var err error
		if meters, err = geoUnit(c.Args[4]); err != nil {
			return err
		}
	default:
		return resp.ErrSyntax
	}
	z, err := c.readCollection(c.Args[1], keyspace.TypeZSet)
	if err != nil {
		return err
	}
	var places [2]geoPlace
	for i := range places {
		score, found, err := z.Score(c.Args[2+i])
		if err != nil {
			return typed(err)
		}
		if !found {
			c.Out.Null()
			return nil
		}
		places[i] = placeOfScore(score)
	}
	c.replyDistance(places[0].distance(places[1]) / meters)
	return nil
}
