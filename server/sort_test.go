package server

import (
	"testing"
)

// Where there are several shards, SORT and others name keys of one slot only, and
// their patterns too.
func TestSortAcrossShards(t *testing.T) {
	c := dial(t, startShards(t, 4))
	c.roundTrip(request("SADD", "{t}s", "2", "1"), ":2\r\n")
	c.roundTrip(request("MSET", "w{t}1", "9", "w{t}2", "8"), "+OK\r\n")
	c.roundTrip(request("SORT", "{t}s", "BY", "w{t}*"), "*2\r\n$1\r\n2\r\n$1\r\n1\r\n")
	c.roundTrip(request("SORT_RO", "{t}s", "BY", "w{t}*"), "*2\r\n$1\r\n2\r\n$1\r\n1\r\n")
	for _, name := range []string{"SORT", "SORT_RO"} {
		c.roundTrip(request(name, "{t}s", "BY", "w*"), "-ERR BY option of SORT denied in cluster mode.\r\n")
		c.roundTrip(request(name, "{t}s", "GET", "w*"), "-ERR GET option of SORT denied in cluster mode.\r\n")
	}
	for _, args := range [][]string{
		{"SORT", "a", "STORE", "b"}, {"GEORADIUS", "a", "0", "0", "1", "m", "STORE", "b"}, {"GEOSEARCHSTORE", "b", "a", "FROMLONLAT", "0", "0", "BYRADIUS", "1", "m"},
		{"BITOP", "AND", "b", "a"}, {"PFMERGE", "b", "a"}, {"PFCOUNT", "b", "a"},
	} {
		c.roundTrip(request(args...), crossSlot)
	}

	one := dial(t, startServer(t))
	one.roundTrip(request("SADD", "s", "2", "1"), ":2\r\n")
	one.roundTrip(request("MSET", "w1", "9", "w2", "8"), "+OK\r\n")
	one.roundTrip(request("SORT", "s", "BY", "w*", "GET", "#"), "*2\r\n$1\r\n2\r\n$1\r\n1\r\n")
	one.roundTrip(request("PFSELFTEST"), "+OK\r\n")
}
