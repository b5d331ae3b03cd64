// Package tidy holds no code, only tests that read the tree and enforce the
// rules of STYLE.md that a machine can check: which package may import which,
// a doc.go for every package, names, formatting, file lengths, no paths of one
// machine, Markdown links that lead somewhere, and a README whose commands exist.
//
// Every check lists all that it finds, so that one run shows all there is to do.
package tidy
