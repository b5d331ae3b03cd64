package server

import (
	"strconv"
	"strings"
	"testing"
)

// The digests are those that redis-server 7.0 gives for the same data.
func TestDebugDigestOfCollections(t *testing.T) {
	c := dial(t, startServer(t))
	c.do("HSET", "h", "f", "1", "g", "2")
	c.do("SADD", "s", "a", "b", "1")
	want := "*2\r\n+d9779aa9c616692decaba51e4c41766464124c52\r\n+e8f32bbb1ad9bf537c8867de4f19fec9e001296d\r\n"
	if got := c.do("DEBUG", "DIGEST-VALUE", "h", "s"); got != want {
		t.Errorf("values: %q", got)
	}
	if got := c.do("DEBUG", "OBJECT", "h"); !strings.Contains(got, " encoding:listpack ") {
		t.Errorf("object: %q", got)
	}
	if got := c.do("MEMORY", "USAGE", "h"); got == "$-1\r\n" || got == "$0\r\n" {
		t.Errorf("memory usage: %q", got)
	}
}

// The limits of compact encodings are parameters, which may change.
func TestEncodingLimits(t *testing.T) {
	c := dial(t, startServer(t, "set-max-intset-entries", "2", "hash-max-ziplist-entries", "2"))
	for _, tc := range []struct{ request, want string }{
		{"SADD s 1 2", ":2\r\n"},
		{"OBJECT ENCODING s", "$6\r\nintset\r\n"},
		{"SADD s 3", ":1\r\n"},
		{"OBJECT ENCODING s", "$9\r\nhashtable\r\n"},
		{"HSET h a 1 b 2", ":2\r\n"},
		{"OBJECT ENCODING h", "$8\r\nlistpack\r\n"},
		{"HSET h c 3", ":1\r\n"},
		{"OBJECT ENCODING h", "$9\r\nhashtable\r\n"},
		{"HDEL h c", ":1\r\n"},
		{"OBJECT ENCODING h", "$9\r\nhashtable\r\n"},
		{"CONFIG SET hash-max-listpack-value 3", "+OK\r\n"},
		{"HSET i a 123", ":1\r\n"},
		{"OBJECT ENCODING i", "$8\r\nlistpack\r\n"},
		{"HSET i a 1234", ":0\r\n"},
		{"OBJECT ENCODING i", "$9\r\nhashtable\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
}

// A collection that is larger than what is kept inline, through the server's paths.
func TestLargeCollections(t *testing.T) {
	c := dial(t, startServer(t))
	args := []string{"HSET", "h"}
	for i := range 1000 {
		args = append(args, strconv.Itoa(i), "v"+strconv.Itoa(i))
	}
	for _, tc := range []struct {
		request []string
		want    string
	}{
		{args, ":1000\r\n"},
		{[]string{"HGET", "h", "999"}, "$4\r\nv999\r\n"},
		{[]string{"HMGET", "h", "1", "x", "2"}, "*3\r\n$2\r\nv1\r\n$-1\r\n$2\r\nv2\r\n"},
		{[]string{"RENAME", "h", "other"}, "+OK\r\n"},
		{[]string{"HGET", "other", "7"}, "$2\r\nv7\r\n"},
		{[]string{"COPY", "other", "copy"}, ":1\r\n"},
		{[]string{"DEL", "other"}, ":1\r\n"},
		{[]string{"HLEN", "copy"}, ":1000\r\n"},
		{[]string{"MOVE", "copy", "1"}, ":1\r\n"},
		{[]string{"SELECT", "1"}, "+OK\r\n"},
		{[]string{"HGET", "copy", "500"}, "$4\r\nv500\r\n"},
		{[]string{"MULTI"}, "+OK\r\n"},
		{[]string{"HSET", "copy", "new", "1"}, "+QUEUED\r\n"},
		{[]string{"HLEN", "copy"}, "+QUEUED\r\n"},
		{[]string{"DEL", "copy"}, "+QUEUED\r\n"},
		{[]string{"HGETALL", "copy"}, "+QUEUED\r\n"},
		{[]string{"EXEC"}, "*4\r\n:1\r\n:1001\r\n:1\r\n*0\r\n"},
		{[]string{"DBSIZE"}, ":0\r\n"},
	} {
		if got := c.do(tc.request...); got != tc.want {
			t.Errorf("%.60q: %q", tc.request, got)
		}
	}
}
