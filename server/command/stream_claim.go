package command

import (
	"math"

	"dkv/engine/keyspace"
	"dkv/resp"
)

const (
	errClaimIdle      resp.Error = "ERR Invalid min-idle-time argument for XCLAIM"
	errClaimIdleOpt   resp.Error = "ERR Invalid IDLE option argument for XCLAIM"
	errClaimTimeOpt   resp.Error = "ERR Invalid TIME option argument for XCLAIM"
	errClaimRetryOpt  resp.Error = "ERR Invalid RETRYCOUNT option argument for XCLAIM"
	errAutoclaimIdle  resp.Error = "ERR Invalid min-idle-time argument for XAUTOCLAIM"
	errAutoclaimCount resp.Error = "ERR COUNT must be > 0"
)

// findGroup looks up the stream and the group in the first two arguments; there must
// be both.
func (c *Ctx) findGroup() (*keyspace.Stream, *keyspace.Group, error) {
	s, err := c.findStream(c.Args[1])
	if err != nil {
		return nil, nil, err
	}
	g, err := s.Group(c.Args[2])
	if err == nil && g == nil {
		err = errNoKeyOrGroup(c.Args[1], c.Args[2])
	}
	return s, g, err
}

// claim is what XCLAIM and XAUTOCLAIM ask for.
type claim struct {
	s        *keyspace.Stream
	g        *keyspace.Group
	consumer *keyspace.Consumer
	minIdle  int64
	time     int64 // that entries count as delivered at
	retry    int64 // -1: count this delivery
	force    bool
	justID   bool

	items  *list
	fields [][]byte
}

// xclaim is XCLAIM key group consumer min-idle-time id [id ...] [options].
func xclaim(c *Ctx) error {
	s, g, err := c.findGroup()
	if err != nil {
		return err
	}
	x := claim{s: s, g: g, time: c.Tx.Now(), retry: -1}
	var ok bool
	if x.minIdle, ok = keyspace.ParseInt(c.Args[4]); !ok {
		return errClaimIdle
	}
	var ids []keyspace.StreamID
	at := 5
	for ; at < len(c.Args); at++ {
		id, err := c.strictID(at)
		if err != nil {
			break // an option
		}
		ids = append(ids, id)
	}
	lastID, err := c.claimOptions(&x, at)
	if err != nil {
		return err
	}
	if g.LastID.Less(lastID) {
		g.LastID = lastID
	}
	if x.consumer, err = c.consumer(c.Args[1], g, c.Args[3]); err != nil {
		return err
	}
	x.items = c.beginList()
	for _, id := range ids {
		p, err := g.Look(id)
		if err != nil {
			return err
		}
		if _, err := c.claim(&x, &p); err != nil {
			return err
		}
	}
	x.items.end(nil)
	return g.Save()
}

// claimOptions parses the options of XCLAIM from an argument on.
func (c *Ctx) claimOptions(x *claim, at int) (lastID keyspace.StreamID, err error) {
	now := c.Tx.Now()
	when := int64(-1)
	for ; at < len(c.Args); at++ {
		ok, more := true, len(c.Args)-1-at
		switch arg := c.Args[at]; {
		case isWord(arg, "FORCE"):
			x.force = true
		case isWord(arg, "JUSTID"):
			x.justID = true
		case isWord(arg, "IDLE") && more > 0:
			at++
			if when, ok = keyspace.ParseInt(c.Args[at]); !ok {
				return lastID, errClaimIdleOpt
			}
			when = now - when
		case isWord(arg, "TIME") && more > 0:
			at++
			if when, ok = keyspace.ParseInt(c.Args[at]); !ok {
				return lastID, errClaimTimeOpt
			}
		case isWord(arg, "RETRYCOUNT") && more > 0:
			at++
			if x.retry, ok = keyspace.ParseInt(c.Args[at]); !ok {
				return lastID, errClaimRetryOpt
			}
		case isWord(arg, "LASTID") && more > 0:
			at++
			if lastID, err = c.strictID(at); err != nil {
				return lastID, err
			}
		default:
			return lastID, resp.Error("ERR Unrecognized XCLAIM option '" + cString(arg) + "'")
		}
	}
	if when >= 0 && when <= now { // else the client's clock is ahead, or it was not given
		x.time = when
	}
	return lastID, nil
}

// claim gives an entry to the consumer, if it was idle for long enough, and replies
// it. One that is not in the stream any more is not pending any more either: gone.
func (c *Ctx) claim(x *claim, p *keyspace.Pending) (gone bool, err error) {
	var found bool
	if x.fields, found, err = x.s.Get(x.fields[:0], p.ID); err != nil {
		return false, err
	}
	if !found {
		gone = p.Exists()
		return gone, x.g.Release(p)
	}
	if !p.Exists() {
		if !x.force {
			return false, nil
		}
		p.Count = 1
	} else if x.minIdle > 0 && c.Tx.Now()-p.Time < x.minIdle {
		return false, nil
	}
	if x.items.n++; x.justID {
		c.bulkID(p.ID)
	} else {
		c.replyEntry(p.ID, x.fields)
	}
	p.Time = x.time
	switch {
	case x.retry >= 0:
		p.Count = x.retry
	case !x.justID:
		p.Count++
	}
	x.consumer.Active = c.Tx.Now()
	return false, x.g.Assign(p, x.consumer)
}

// claimAttempts is how many entries XAUTOCLAIM looks at for each that it may claim.
const claimAttempts = 10

// claimStretch is how many pending entries XAUTOCLAIM takes up at once.
const claimStretch = 128

// xautoclaim is XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID].
func xautoclaim(c *Ctx) error {
	x := claim{time: c.Tx.Now(), retry: -1}
	var ok bool
	if x.minIdle, ok = keyspace.ParseInt(c.Args[4]); !ok {
		return errAutoclaimIdle
	}
	from, err := c.intervalStart(5)
	if err != nil {
		return err
	}
	count := int64(100)
	for i := 6; i < len(c.Args); i++ {
		switch {
		case isWord(c.Args[i], "COUNT") && i+1 < len(c.Args):
			i++
			const most = math.MaxInt64 / 16
			if count, ok = keyspace.ParseInt(c.Args[i]); !ok || count < 1 || count > most {
				return errAutoclaimCount
			}
		case isWord(c.Args[i], "JUSTID"):
			x.justID = true
		default:
			return resp.ErrSyntax
		}
	}
	if x.s, x.g, err = c.findGroup(); err != nil {
		return err
	}
	if x.consumer, err = c.consumer(c.Args[1], x.g, c.Args[3]); err != nil {
		return err
	}
	x.items = c.beginList()
	next, gone, err := c.claimFrom(&x, from, count)
	if err != nil {
		return err
	}
	head := resp.Writer{Buf: make([]byte, 0, 64)}
	head.Array(3)
	head.Bulk(next.AppendText(nil))
	x.items.end(head.Buf)
	c.Out.Array(len(gone))
	for _, id := range gone {
		c.bulkID(id)
	}
	return x.g.Save()
}

// claimFrom claims pending entries from an id on: up to count of them, those that are
// gone included. next is where to go on, 0-0 at the end.
func (c *Ctx) claimFrom(x *claim, from keyspace.StreamID, count int64) (next keyspace.StreamID, gone []keyspace.StreamID, err error) {
	attempts := int64(math.MaxInt64)
	if count <= math.MaxInt64/claimAttempts {
		attempts = count * claimAttempts
	}
	stretch := make([]keyspace.Pending, 0, claimStretch)
	for {
		stretch = stretch[:0]
		err = x.g.EachPending(nil, from, keyspace.MaxStreamID, func(p keyspace.Pending) bool {
			stretch = append(stretch, p)
			return len(stretch) < claimStretch
		})
		if err != nil {
			return next, gone, err
		}
		for i := range stretch {
			p := &stretch[i]
			if count == 0 || attempts == 0 {
				return p.ID, gone, nil
			}
			attempts--
			before := x.items.n
			lost, err := c.claim(x, p)
			if err != nil {
				return next, gone, err
			}
			if lost {
				gone = append(gone, p.ID)
			}
			if lost || x.items.n > before {
				count--
			}
		}
		if len(stretch) < claimStretch {
			return keyspace.StreamID{}, gone, nil
		}
		more := false
		if from, more = stretch[len(stretch)-1].ID.Next(); !more {
			return keyspace.StreamID{}, gone, nil
		}
	}
}
