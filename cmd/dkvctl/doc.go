// Command dkvctl is the command-line client of dkv, and of every server that
// speaks the Redis protocol.
//
//	dkvctl -set greeting hello           the older store's verbs: -set -get -mget
//	dkvctl -get greeting                 -del -iter -cas -addNode -removeNode -listNodes ...
//	dkvctl -iter "gree*"                 greeting => hello
//	dkvctl -a host:6379 INCR n           any other words are a command
//	dkvctl                               a prompt, with history and completion
//	dkvctl < commands.txt                one command a line
//
// docs/dkvctl.md is the reference: options, output formats, exit codes.
//
// How it is built: options.go turns the arguments into one invocation; main.go
// picks who serves it (verbs.go and iter.go, lines.go, prompt.go); all of them
// speak through a conn (conn.go), which reads replies (reply.go) that
// format_tty.go, format_raw.go or format_json.go print.
//
// The client speaks RESP itself because a client library hides what a
// command-line tool must show: the difference between a status and a string,
// the order of a map, errors inside of a transaction's replies. It also never
// sends a command twice, which the retries of a library would.
//
// Invariant: a command whose reply did not arrive is reported as such and not
// repeated, since it may have been executed.
package main
