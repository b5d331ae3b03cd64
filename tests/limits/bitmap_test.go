package limits

import (
	"testing"
	"time"

	"dkv/tests/harness"
)

// A bitmap can have 2^32 bits, and not one more.
func TestLargestBitmap(t *testing.T) {
	harness.NeedLong(t)
	srv := harness.Dkv(t, "-fsync", "everysec")
	c := srv.Dial(t)
	c.SetDeadline(time.Now().Add(replyLimit))
	const tooFar = "-ERR bit offset is not an integer or out of range\r\n"
	c.Want(":0\r\n", "SETBIT", "big", "4294967295", "1")
	c.Want(":536870912\r\n", "STRLEN", "big")
	c.Want(tooFar, "SETBIT", "big", "4294967296", "1")
	c.Want(tooFar, "GETBIT", "big", "4294967296")
	c.Want(tooFar, "BITFIELD", "big", "GET", "u8", "#536870912")
	c.Want(":1\r\n", "BITCOUNT", "big")
	c.Want(":4294967295\r\n", "BITPOS", "big", "1")
	c.Want("*2\r\n:1\r\n:8\r\n", "BITFIELD", "big", "GET", "u8", "#536870911", "INCRBY", "u8", "#536870911", "7")
	c.Want(":536870912\r\n", "BITOP", "NOT", "big", "big")
	c.Want(":4294967292\r\n", "BITPOS", "big", "0", "1")

	c.Want(":1\r\n", "GETBIT", "big", "0")
	c.Want(":1\r\n", "DEL", "big")
}
