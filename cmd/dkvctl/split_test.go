package main

import (
	"errors"
	"slices"
	"testing"
)

func TestSplitLine(t *testing.T) {
	tests := []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"  \t ", nil},
		{"get k", []string{"get", "k"}},
		{`set k ""`, []string{"set", "k", ""}},
		{`set k "a b"`, []string{"set", "k", "a b"}},
		{`"\x00\xFf\n\r\t\a\b\\\"\q"`, []string{"\x00\xff\n\r\t\a\b\\\"q"}},
		{`"\xzz"`, []string{"xzz"}},
		{`'a\'b\n'`, []string{`a'b\n`}},
		{`a"b"`, []string{"ab"}},
		{`a\b`, []string{`a\b`}},
	}
	for _, tt := range tests {
		got, err := splitLine(tt.in)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{`"`, `'a`, `"a"b`, `"a\"`, `'a'b`} {
		if got, err := splitLine(in); !errors.Is(err, errQuotes) {
			t.Errorf("%s: got %q, %v", in, got, err)
		}
	}
}

// What is printed quoted can be typed.
func FuzzSplitLine(f *testing.F) {
	f.Add("a\x00\"'\\\n")
	f.Fuzz(func(t *testing.T, s string) {
		splitLine(s)
		words, err := splitLine(string(appendQuoted(nil, []byte(s))) + " x")
		if err != nil || !slices.Equal(words, []string{s, "x"}) {
			t.Errorf("%q: got %q, %v", s, words, err)
		}
	})
}
