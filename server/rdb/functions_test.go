package rdb

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// functions returns the texts in a payload.
func functions(b []byte, mostBytes int) (codes []string, err error) {
	err = Functions(b, mostBytes, func(code []byte) error {
		codes = append(codes, string(code))
		return nil
	})
	return codes, err
}

func TestFunctions(t *testing.T) {
	lib := "#!lua name=x\n" + strings.Repeat("a", 300)
	two := AppendFunction(AppendFunction(nil, []byte(lib)), []byte("12345"))
	// What redis-server makes of a text: 5 bytes as they are, and 9 that repeat the last.
	packed := "\xf5\xc3\x09\x0e\x04abcde\xe0\x00\x00"
	for _, c := range []struct {
		name, body string
		most       int
		want       []string
		err        error
	}{
		{"none", "", 100, nil, nil},
		{"two", string(two), 1 << 20, []string{lib, "12345"}, nil},
		{"compressed", packed, 14, []string{"abcdeeeeeeeeee"}, nil},
		{"compressed too much", packed, 13, nil, ErrFormat},
		{"a key", "\x00\x01k\x01v", 100, nil, ErrNoFunction},
		{"cut", string(two[:100]), 1 << 20, nil, ErrFormat},
		{"cut behind a code", "\xf5", 100, nil, ErrFormat},
		{"an encoding that does not exist", "\xf5\xc5", 100, nil, ErrFormat},
	} {
		got, err := functions(AppendFooter([]byte(c.body), 0), c.most)
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	whole := AppendFooter(two, 0)
	whole[3]++
	for _, b := range [][]byte{nil, []byte("short"), whole, []byte("\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00")} {
		if _, err := functions(b, 100); !errors.Is(err, ErrPayload) {
			t.Errorf("%q: %v", b, err)
		}
	}
	stop := errors.New("stop")
	if err := Functions(AppendFooter(AppendFunction(nil, []byte("x")), 0), 100, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func FuzzFunctions(f *testing.F) {
	f.Add(AppendFunction(AppendFunction(nil, []byte("abc")), []byte("17")))
	f.Add([]byte{codeFunction, 0xc3, 5, 9, 0, 'a', 0xe0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		codes, err := functions(AppendFooter(body, 0), 1000)
		again := []byte(nil)
		for _, c := range codes {
			again = AppendFunction(again, []byte(c))
		}
		back, errBack := functions(AppendFooter(again, 0), 1000)
		if errBack != nil || !slices.Equal(codes, back) {
			t.Errorf("%q became %q, %v (%v)", codes, back, errBack, err)
		}
	})
}
