package command

import "testing"

func TestStreams(t *testing.T) {
	c := newClient(t)
	c.expect(
		"xadd s NOMKSTREAM 1-1 f v", "nil", "exists s", "0", "xadd s 1-1 f v", "1-1", "xadd s 1-* f w g x", "1-2", "xadd s 1-2 f v",
		"-ERR The ID specified in XADD is equal or smaller than the target stream top item", "xlen s", "2", "xlen missing", "0",
		"xrange s - +", "[[1-1 [f v]] [1-2 [f w g x]]]", "xrevrange s + - COUNT 1", "[[1-2 [f w g x]]]", "xrange s (1-1 +", "[[1-2 [f w g x]]]",
		"xrange s - + COUNT 0", "nil", "xrange missing - + COUNT 0", "[]", "xread STREAMS s 1-1", "[[s [[1-2 [f w g x]]]]]", "xread STREAMS s $", "nil",
		"xread BLOCK 0 STREAMS s $", "nil", "type s", "+stream", "object encoding s", "stream", "xdel s 1-1 9-9", "1", "xlen s", "1",
		"xgroup CREATE s g 0", "+OK", "xgroup CREATE s g 0", "-BUSYGROUP Consumer Group name already exists",
		"xreadgroup GROUP g c STREAMS s >", "[[s [[1-2 [f w g x]]]]]", "xreadgroup GROUP g c STREAMS s >", "nil",
		"xpending s g", "[1 1-2 1-2 [[c 1]]]", "xpending s g - + 10", "[[1-2 c 0 1]]", "xack s g 1-2", "1", "xack s g 1-2", "0", "xpending s g", "[0 nil nil nil]",
		"xdel s 1-2", "1", "exists s", "1", "xlen s", "0", "xadd s * f v", "1700000000000-0", "xadd s * f v", "1700000000000-1", "xtrim s MAXLEN 1", "1",
		"set str v", "+OK", "xadd str * f v", "-WRONGTYPE Operation against a key holding the wrong kind of value",
		"xread STREAMS s str 0 0", "-WRONGTYPE Operation against a key holding the wrong kind of value", "get s", "-WRONGTYPE Operation against a key holding the wrong kind of value",
	)
}
