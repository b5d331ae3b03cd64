package server

import "testing"

// While writes are paused, what changes no data goes on: scripts that say so, and the cache
// of scripts.
func TestPauseOfWrites(t *testing.T) {
	s := startServer(t)
	admin := dial(t, s)
	admin.want("$3\r\nlib\r\n", "FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('put', function() return 5 end)\n"+
		"redis.register_function{function_name='look', callback=function() return 6 end, flags={'no-writes'}}")
	admin.roundTrip(request("CLIENT", "PAUSE", "100000", "WRITE"), "+OK\r\n")
	c := dial(t, s)
	for _, tt := range []struct {
		want  string
		words []string
	}{
		{"$-1\r\n", []string{"GET", "k"}},
		{":0\r\n", []string{"PFCOUNT", "k"}},
		{"$40\r\n7f923f79fe76194c868d7e1d0820de36700eb649\r\n", []string{"SCRIPT", "LOAD", "return 2"}},
		{":3\r\n", []string{"EVAL", "#!lua flags=no-writes\nreturn 3", "0"}},
		{":4\r\n", []string{"EVAL_RO", "return 4", "0"}},
		{":6\r\n", []string{"FCALL", "look", "0"}},
		{"+OK\r\n", []string{"SCRIPT", "FLUSH"}},
		{"+OK\r\n", []string{"MULTI"}},
		{"+QUEUED\r\n", []string{"EVAL", "#!lua flags=no-writes\nreturn 7", "0"}},
		{"+QUEUED\r\n", []string{"FCALL", "look", "0"}},
		{"*2\r\n:7\r\n:6\r\n", []string{"EXEC"}},
	} {
		c.want(tt.want, tt.words...)
	}
	var waiting []*client
	replies := []string{"+OK\r\n", ":1\r\n", ":0\r\n", ":5\r\n", ":5\r\n"}
	for i, words := range [][]string{{"SET", "x", "v"}, {"EVAL", "return 1", "0"}, {"PUBLISH", "c", "m"}, {"FCALL", "put", "0"}, {"FCALL", "put", "1", "k"}} {
		w := dial(t, s)
		w.send(request(words...))
		eventually(t, words[0]+" waits", func() bool { return s.admin.blocked.Load() == int64(i+1) })
		waiting = append(waiting, w)
	}
	admin.roundTrip(request("CLIENT", "UNPAUSE"), "+OK\r\n")
	for i, w := range waiting {
		w.expect(replies[i])
	}
}
