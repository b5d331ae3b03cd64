// Package history records what clients asked of a server and were told, and
// decides whether a store that does one thing at a time could have answered so
// (linearizability), with porcupine.
//
//	book := history.NewBook(history.Limits{})
//	g := book.Pick(rng)
//	call := book.Now()
//	... send, receive ...
//	g.Add(client, in, history.Output{N: 5}, call, book.Now())
//	for _, v := range history.Check(book.Groups(), limit) { ... }
//
// Keys come in pairs, a Group: the two keys have one hash tag, so that
// transactions over both are possible, and no operation touches two groups, so
// that each is checked by itself. A group is used for a while and then left
// alone: what a check costs grows faster than the length of a history, and
// much faster than its number of unknown outcomes.
//
// Outcomes:
//   - A reply is held against the model: Output is what a correct store in that
//     state would have said.
//   - An error other than UNCERTAIN means that nothing happened. Such an
//     operation is not recorded; if it did happen after all, a value appears
//     that nobody wrote (values are unique), or a count is off.
//   - No reply, or UNCERTAIN: it may have happened at any time since, or never.
//     Recorded as never returning, which allows both.
package history
