package server

import (
	"strconv"
	"testing"
	"time"
)

// Fields go by themselves when their time comes, and the hash with the last one, on
// whatever node they were set.
func TestFieldsExpire(t *testing.T) {
	for _, s := range startCluster(t, 2, 4) {
		c := dial(t, s)
		const keys = 20
		for i := range keys {
			k := "h" + strconv.Itoa(i)
			c.roundTrip(request("HSETEX", k, "PX", "40", "FIELDS", "2", "a", "1", "b", "2"), ":1\r\n")
			if i%2 == 0 {
				c.roundTrip(request("HSET", k, "a", "3"), ":0\r\n")
			}
		}
		deadline := time.Now().Add(10 * time.Second)
		await := func(want string, command ...string) { // the reaper of each shard has come to it
			t.Helper()
			for c.do(command...) != want {
				if time.Now().After(deadline) {
					t.Fatalf("%q: %q", command, c.do(command...))
				}
				time.Sleep(time.Millisecond) // between two looks
			}
		}
		await(":"+strconv.Itoa(keys/2)+"\r\n", "DBSIZE")
		for i := range keys / 2 {
			await(":1\r\n", "HLEN", "h"+strconv.Itoa(2*i))
			c.roundTrip(request("HGETALL", "h"+strconv.Itoa(2*i)), "*2\r\n$1\r\na\r\n$1\r\n3\r\n")
		}
		c.do("FLUSHALL")
	}
}
