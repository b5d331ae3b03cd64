package keyspace

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		nocase     bool
		want       bool
	}{
		{"*", "", false, false}, // as in Redis; KEYS and SCAN treat "*" apart
		{"", "", false, true}, {"", "a", false, false}, {"a", "", false, false},
		{"*", "abc", false, true}, {"**", "abc", false, true}, {"a*", "a", false, true}, {"a**", "a", false, true},
		{"a*c", "abc", false, true}, {"a*c", "ac", false, true}, {"a*c", "abcd", false, false},
		{"*a*b*c*", "xxaxxbxxcxx", false, true}, {"*a*b*c*", "xxaxxcxxbxx", false, false},
		{"?", "a", false, true}, {"?", "", false, false}, {"a?c", "abc", false, true}, {"??", "a", false, false},
		{"*?", "a", false, true}, {"*?a", "a", false, false},
		{"h[ae]llo", "hello", false, true}, {"h[ae]llo", "hillo", false, false},
		{"h[^e]llo", "hallo", false, true}, {"h[^e]llo", "hello", false, false},
		{"h[a-c]llo", "hbllo", false, true}, {"h[c-a]llo", "hbllo", false, true}, {"h[a-c]llo", "hdllo", false, false},
		{"[a-]", "-", false, false}, {"[a-]", "^", false, true}, {"[-a]", "-", false, true},
		{"[]a", "a", false, false}, {"[]", "x", false, false}, {"[", "[", false, false}, {"[^", "x", false, true},
		{"[a", "a", false, true}, {"[ab", "b", false, true}, {"[a-", "-", false, true}, {"[^a", "b", false, true},
		{`[\]]`, "]", false, true}, {`[a\]`, "]", false, true}, {`[\`, `\`, false, true},
		{`\*`, "*", false, true}, {`\*`, "a", false, false}, {`a\?b`, "a?b", false, true}, {`\`, `\`, false, true},
		{`a\`, `a\`, false, true}, {`\\`, `\`, false, true},
		{"HeLLo", "hEllO", true, true}, {"HeLLo", "hEllO", false, false}, {"[A-C]", "b", true, true},
		{"[ABC]", "b", true, true}, {"[ABC]", "b", false, false}, {`[\A]`, "a", true, false}, {`\A`, "a", true, true},
		{"[\x80-\xff]", "\x90", false, true}, {"[\x01-\xff]", "a", false, false}, // signed bytes
		{"foo:*:bar", "foo:1:2:bar", false, true},
	} {
		if got := Match([]byte(c.pattern), []byte(c.s), c.nocase); got != c.want {
			t.Errorf("Match(%q, %q, %v) = %v", c.pattern, c.s, c.nocase, got)
		}
	}
}

// matchPlainly is the definition: it tries every length for every '*'.
func matchPlainly(pattern, s []byte, nocase bool) bool {
	for len(pattern) > 0 && len(s) > 0 {
		if pattern[0] == '*' {
			for len(pattern) > 1 && pattern[1] == '*' {
				pattern = pattern[1:]
			}
			if len(pattern) == 1 {
				return true
			}
			for i := range s {
				if matchPlainly(pattern[1:], s[i:], nocase) {
					return true
				}
			}
			return false
		}
		n, ok := matchOne(pattern, s[0], nocase)
		if !ok {
			return false
		}
		pattern, s = pattern[n:], s[1:]
		if len(s) == 0 {
			for len(pattern) > 0 && pattern[0] == '*' {
				pattern = pattern[1:]
			}
		}
	}
	return len(pattern) == 0 && len(s) == 0
}

func TestMatchDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	text := func(alphabet string, most int) []byte {
		b := make([]byte, random.IntN(most))
		for i := range b {
			b[i] = alphabet[random.IntN(len(alphabet))]
		}
		return b
	}
	for range 200_000 {
		pattern, s, nocase := text(`ab*?[]^-\A`, 10), text("abA-]", 8), random.IntN(2) == 0
		if got, want := Match(pattern, s, nocase), matchPlainly(pattern, s, nocase); got != want {
			t.Fatalf("Match(%q, %q, %v) = %v", pattern, s, nocase, got)
		}
		if prefix, whole := literalPrefix(pattern); Match(pattern, s, false) &&
			(!strings.HasPrefix(string(s), string(prefix)) || whole && string(s) != string(prefix)) {
			t.Fatalf("%q matches %q in spite of its prefix %q (whole: %v)", pattern, s, prefix, whole)
		}
	}
}

func TestMatchAdversary(t *testing.T) {
	pattern := []byte(strings.Repeat("a*", 200) + "b")
	s := []byte(strings.Repeat("a", 20_000))
	start := time.Now()
	if Match(pattern, s, false) {
		t.Error("matched")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add([]byte("a*[b-d]?"), []byte("axxcx"))
	f.Fuzz(func(t *testing.T, pattern, s []byte) {
		if len(pattern) > 20 || len(s) > 20 {
			Match(pattern, s, true)
			return
		}
		if got, want := Match(pattern, s, false), matchPlainly(pattern, s, false); got != want {
			t.Fatalf("Match(%q, %q) = %v", pattern, s, got)
		}
	})
}

func TestLiteralPrefix(t *testing.T) {
	for _, c := range []struct {
		pattern, prefix string
		whole, tag      bool
	}{
		{"user:*", "user:", false, false}, {"*", "", false, false}, {"abc", "abc", true, false},
		{`a\*b*`, "a*b", false, false}, {`a\`, `a\`, true, false}, {"a?b", "a", false, false}, {"a[b]c", "a", false, false},
		{"{tag}:*", "{tag}:", false, true}, {"{ta*g}", "{ta", false, false}, {"{}{a}*", "{}{a}", false, false},
	} {
		prefix, whole := literalPrefix([]byte(c.pattern))
		if string(prefix) != c.prefix || whole != c.whole || tagOfPrefix(prefix) != c.tag {
			t.Errorf("%q: %q, %v, %v", c.pattern, prefix, whole, tagOfPrefix(prefix))
		}
	}
}
