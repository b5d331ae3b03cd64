// Package limits takes dkvsrv to its sizes: the largest value, many keys, many
// connections, deep pipelines, clients that do not read, keys that expire by
// the hundred thousand. What it asserts are promises of the documentation, with
// room for a machine that is busy.
package limits
