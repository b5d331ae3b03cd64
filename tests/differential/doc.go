// Package differential sends the same commands to dkvsrv and to the installed
// redis-server and compares the replies byte for byte.
//
// The sources of commands:
//
//   - TestRandom makes sequences of every command that dkv has, with odd
//     arguments, wrong arities, mixed case, binary keys, numbers at the edges,
//     several databases, transactions and WATCH over two connections, in RESP2
//     and RESP3. At the end of a sequence the data of both are compared too.
//   - TestRandomServer does so with commands about the server, its clients, scripts and
//     messages, and with what COMMAND GETKEYS finds in others.
//   - TestRandomElsewhere does so on the other engines, and on each of three nodes.
//   - TestTranscripts plays the files in testdata: found bugs and edge cases.
//   - TestMalformed sends what is not RESP, or nearly.
//
// A sequence is made from a seed, which is printed. One that fails is played
// again with steps left out until nothing more can be left out, and what is
// left is printed as a transcript, ready to be put into testdata.
//
// What is allowed to differ is written down in two places, with its reason:
// compare_test.go has the commands whose replies cannot be equal (times, ids,
// orders that Redis leaves open) and how they are compared instead, known_test.go
// has the known differences between Redis 7.0, which Debian has, and 7.2, which
// dkv follows, and those that are dkv's own.
//
// Environment: DKV_DIFF_SEED (a sequence to play again), DKV_DIFF_SEQUENCES,
// DKV_DIFF_ELSEWHERE, DKV_DIFF_SERVER and DKV_DIFF_STEPS (for longer runs).
package differential
