// Package examples follows examples of every command, family by family, and compares
// what is replied with what redis-cli would print. The examples are our own, written
// from the meaning of Redis's command pages; one a family in testdata:
//
//	# a comment; the data is deleted at a line that begins with ##
//	> SET k v
//	OK
//	> GET k
//	"v"
//	> TIME
//	~ 1\) "\d+"\n2\) "\d+"
//
// What follows a command is its reply; after ~ it is a regular expression for it, where
// the reply is not the same each time. "@7.2" before a command says that redis-server
// before that version does not have it; "@dkv" that dkv's reply is another, which
// docs/compatibility.md explains.
//
// Each file is followed on redis-server as well, so what it expects is true.
// `go test ./tests/examples -rewrite` writes what redis-server replies into the files.
package examples
