// Package command is the table of all commands that dkv answers, and the handlers
// of those that act on keys.
//
// # Main types
//
//   - Spec is a row: everything that COMMAND, COMMAND DOCS, routing, permissions
//     and statistics need to know of a command. table_*.go hold the rows, one file
//     a group; a family's handlers stand in the file of its name (string.go ...).
//   - Ctx is one command being run: its arguments, the transaction it acts on, and
//     where its reply goes.
//
// # Use
//
//	spec := command.Lookup(args[0])
//	if sub := ...; spec.Subcommands != nil { spec = spec.Sub(args[1]) }
//	... // arity, permissions
//	c := command.Ctx{Args: args, DB: db, Tx: tx, Out: out, Spec: spec}
//	err := spec.Handler(&c)
//
// A handler with FlagWrite runs on the shard's writer, any other on the
// connection's own goroutine; over a snapshot when Spec.WantsSnapshot says so.
//
// # Invariants
//
//   - A handler parses, acts on the Tx, and replies; it has no engine, no goroutine
//     and no clock of its own.
//   - A handler that returns an error may have written and replied in part; whoever
//     called it takes both back. A resp.Error is the reply itself.
//   - Rows without a handler are about connections, the server or transactions, and
//     belong to package server.
package command
