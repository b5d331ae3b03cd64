package command

import (
	"errors"
	"math"
	"math/big"
	"time"

	"dkv/engine/keyspace"
	"dkv/resp"
)

// ErrWait is what a handler returns that has done nothing and replied nothing, and is
// to be called again when one of the keys in Ctx.Wishes has changed.
var ErrWait = errors.New("command: wait for a key")

// Wish is a key that a command waits for.
type Wish struct {
	Key []byte
	// Type is what it must hold for another try to be worth it.
	Type keyspace.Type
	// Any has the command tried after every change of the key, also when it is gone.
	Any bool
}

// await has the command wait until one of the keys holds a t. Where nothing may wait
// (in a transaction) it calls null, which replies that there is nothing.
func (c *Ctx) await(keys [][]byte, t keyspace.Type, null func()) error {
	if !c.MayWait {
		null()
		return nil
	}
	c.Wishes = c.Wishes[:0]
	for _, key := range keys {
		c.Wishes = append(c.Wishes, Wish{Key: key, Type: t})
	}
	return ErrWait
}

const errTimeoutNotFloat resp.Error = "ERR timeout is not a float or out of range"

// parseTimeout parses a timeout in seconds, with a fraction, as the C library's long
// double is. It is rounded up to milliseconds. Zero is for ever.
func parseTimeout(arg []byte) (time.Duration, error) {
	d, ok := parseLongDouble(arg)
	if !ok {
		return 0, errTimeoutNotFloat
	}
	millis := new(big.Float).Mul(d.f, big.NewFloat(1000))
	n, accuracy := millis.Int64()
	switch {
	case millis.Cmp(new(big.Float).SetInt64(math.MaxInt64)) > 0:
		return 0, resp.ErrTimeoutOutOfRange
	case accuracy == big.Below: // cut off
		n++
	}
	if n < 0 {
		return 0, resp.ErrTimeoutNegative
	}
	return waitMillis(n)
}

// maxWait is the longest wait, in ms, that a time.Duration has room for; who asks for
// more does not come to know.
const maxWait = int64(math.MaxInt64 / time.Millisecond)

// aboutNow is a recent Unix time in ms: Redis wants the end of a wait to be one too.
const aboutNow = 1_700_000_000_000

func waitMillis(n int64) (time.Duration, error) {
	if n > math.MaxInt64-aboutNow {
		return 0, resp.ErrTimeoutOutOfRange
	}
	return time.Duration(min(n, maxWait)) * time.Millisecond, nil
}

// firstTimeout and lastTimeout are the Spec.Timeout of commands whose timeout is the
// first argument, and the last.
func firstTimeout(args [][]byte) (time.Duration, bool) { return timeoutAt(args, 1) }
func lastTimeout(args [][]byte) (time.Duration, bool)  { return timeoutAt(args, len(args)-1) }

func timeoutAt(args [][]byte, i int) (time.Duration, bool) {
	d, err := parseTimeout(args[i])
	return d, err == nil
}

func blpop(c *Ctx) error { return c.blockingPop(true) }
func brpop(c *Ctx) error { return c.blockingPop(false) }

func (c *Ctx) blockingPop(front bool) error {
	last := len(c.Args) - 1
	if _, err := parseTimeout(c.Args[last]); err != nil {
		return err
	}
	for _, key := range c.Args[1:last] {
		l, err := c.findList(key)
		if err != nil {
			return err
		}
		if l.Exists() {
			c.Out.Array(2)
			c.Out.Bulk(key)
			return c.replyOne(&l, front)
		}
	}
	return c.await(c.Args[1:last], keyspace.TypeList, c.Out.NullArray)
}

func brpoplpush(c *Ctx) error { return c.blockingMove(false, true) }

func blmove(c *Ctx) error {
	from, err := c.endArg(3)
	if err != nil {
		return err
	}
	to, err := c.endArg(4)
	if err != nil {
		return err
	}
	return c.blockingMove(from, to)
}

func (c *Ctx) blockingMove(from, to bool) error {
	if _, err := parseTimeout(c.Args[len(c.Args)-1]); err != nil {
		return err
	}
	if moved, err := c.tryMove(from, to); moved || err != nil {
		return err
	}
	return c.await(c.Args[1:2], keyspace.TypeList, c.Out.Null)
}

func blmpop(c *Ctx) error {
	return c.blockingMany("LEFT", "RIGHT", keyspace.TypeList, c.popLists)
}

func bzmpop(c *Ctx) error {
	return c.blockingMany("MIN", "MAX", keyspace.TypeZSet, c.popSets)
}

func (c *Ctx) blockingMany(first, second string, t keyspace.Type, pop func(p *manyPop) (bool, error)) error {
	p, err := c.parseManyPop(2, first, second)
	if err != nil {
		return err
	}
	if _, err := parseTimeout(c.Args[1]); err != nil {
		return err
	}
	if popped, err := pop(&p); popped || err != nil {
		return err
	}
	return c.await(p.keys, t, c.Out.NullArray)
}

func bzpopmin(c *Ctx) error { return c.blockingPopScore(false) }
func bzpopmax(c *Ctx) error { return c.blockingPopScore(true) }

func (c *Ctx) blockingPopScore(highest bool) error {
	last := len(c.Args) - 1
	if _, err := parseTimeout(c.Args[last]); err != nil {
		return err
	}
	for _, key := range c.Args[1:last] {
		z, err := c.findCollection(key, keyspace.TypeZSet)
		if err != nil {
			return err
		}
		if !z.Exists() {
			continue
		}
		c.Out.Array(3)
		c.Out.Bulk(key)
		return c.takeScores(&z, highest, 1, false)
	}
	return c.await(c.Args[1:last], keyspace.TypeZSet, c.Out.NullArray)
}
