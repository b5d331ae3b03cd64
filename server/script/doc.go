// Package script evaluates scripts and functions: Lua 5.1 with the libraries and the
// replies of Redis 7.2 (https://redis.io/docs/latest/develop/interact/programmability/).
//
// # Main types
//
//   - Engine is what the server has one of: command.Scripter for EVAL, SCRIPT, FCALL
//     and FUNCTION. It keeps compiled scripts (cache) and idle interpreters (state).
//   - run is one evaluation; meter counts what it does and stops it; matcher, encoder,
//     decoder, unpacker and layout are the libraries' (lib_*.go).
//
// # Use
//
//	e := script.New(script.Options{...})
//	ctx.Scripts = e
//	err := ctx.Spec.Handler(&ctx) // EVAL: on the goroutine of who calls it
//
// A script that may write runs on the shard's writer, in the Tx of its task, like any
// other command: its commands' effects are part of one log entry, and no node runs it
// a second time. One that says that it only reads runs where reads do.
//
// # Invariants
//
//   - Whatever a script is, it ends when it is killed, soon, and takes no more memory
//     than its limit, about: each instruction, each step of a library function and each
//     large piece of memory is counted by the meter.
//   - A script finds an interpreter as new: what lasts cannot be changed.
//   - SCRIPT LOAD and FUNCTION LOAD make records of every shard (keyspace.ScriptRecord).
//     Everything else that is kept here can be lost at any time.
package script
