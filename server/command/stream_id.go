package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errStreamID      resp.Error = "ERR Invalid stream ID specified as stream command argument"
	errIntervalStart resp.Error = "ERR invalid start ID for the interval"
	errIntervalEnd   resp.Error = "ERR invalid end ID for the interval"
)

// maxStreamIDText is how long an argument may be to be looked at as an id.
const maxStreamIDText = 127

// idForm says which forms of an id a command takes besides ms and ms-seq.
type idForm uint8

const (
	idStrict idForm = iota // none
	idEnds                 // - and +, the least and the greatest id
	idOpen                 // ms-*, for which seqGiven is false
)

// parseStreamID parses an id; seq is the sequence of one that has none.
func parseStreamID(arg []byte, seq uint64, form idForm) (id keyspace.StreamID, seqGiven bool, err error) {
	if len(arg) > maxStreamIDText {
		return id, false, errStreamID
	}
	s := cString(arg)
	if form == idEnds && s == "-" {
		return id, true, nil
	}
	if form == idEnds && s == "+" {
		return keyspace.MaxStreamID, true, nil
	}
	ms, rest, dashed := s, "", false
	for i := range len(s) {
		if s[i] == '-' {
			ms, rest, dashed = s[:i], s[i+1:], true
			break
		}
	}
	ok, okSeq, open := false, true, false
	if id.MS, ok = parseUint64(ms); dashed {
		if open = form == idOpen && rest == "*"; !open {
			id.Seq, okSeq = parseUint64(rest)
		}
	} else {
		id.Seq = seq
	}
	if !ok || !okSeq {
		return keyspace.StreamID{}, false, errStreamID
	}
	return id, !open, nil
}

// parseUint64 parses a number as Redis does: as strtoull of C, which takes spaces
// before it and signs, except that what looks like a negative number is none.
func parseUint64(s string) (uint64, bool) {
	if n, ok := keyspace.ParseInt([]byte(s)); ok {
		return uint64(n), n >= 0
	}
	for s != "" && (s[0] == ' ' || s[0] >= '\t' && s[0] <= '\r') {
		s = s[1:]
	}
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	if s == "" {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	if negative {
		n = -n
	}
	return n, true
}

// strictID parses an argument that must be an id.
func (c *Ctx) strictID(i int) (keyspace.StreamID, error) {
	id, _, err := parseStreamID(c.Args[i], 0, idStrict)
	return id, err
}

// strictIDs parses the arguments from a position on.
func (c *Ctx) strictIDs(from int) (ids []keyspace.StreamID, err error) {
	ids = make([]keyspace.StreamID, len(c.Args)-from)
	for i := range ids {
		if ids[i], err = c.strictID(from + i); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// intervalStart parses the first id of a range: "(" before it leaves it out.
func (c *Ctx) intervalStart(i int) (keyspace.StreamID, error) {
	id, exclusive, err := parseInterval(c.Args[i], 0)
	if err == nil && exclusive {
		var ok bool
		if id, ok = id.Next(); !ok {
			err = errIntervalStart
		}
	}
	return id, err
}

// intervalEnd parses the last id of a range.
func (c *Ctx) intervalEnd(i int) (keyspace.StreamID, error) {
	id, exclusive, err := parseInterval(c.Args[i], math.MaxUint64)
	if err == nil && exclusive {
		var ok bool
		if id, ok = id.Prev(); !ok {
			err = errIntervalEnd
		}
	}
	return id, err
}

func parseInterval(arg []byte, seq uint64) (id keyspace.StreamID, exclusive bool, err error) {
	form := idEnds
	if exclusive = len(arg) > 1 && arg[0] == '('; exclusive {
		arg, form = arg[1:], idStrict
	}
	id, _, err = parseStreamID(arg, seq, form)
	return id, exclusive, err
}

// bulkID replies an id.
func (c *Ctx) bulkID(id keyspace.StreamID) {
	var buf [48]byte
	c.Out.Bulk(id.AppendText(buf[:0]))
}
