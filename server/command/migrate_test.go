package command

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseMigration(t *testing.T) {
	for _, tc := range []struct {
		args string
		want Migration // without its keys
		keys string
	}{
		{"h 1 k 0 5", Migration{Timeout: 5 * time.Millisecond}, "k"},
		{"h 1 k 3 0", Migration{DB: 3, Timeout: time.Second}, "k"},
		{"h 1 k 3 -1 copy REPLACE", Migration{DB: 3, Timeout: time.Second, Copy: true, Replace: true}, "k"},
		{"h 1 _ 0 5 AUTH KEYS KEYS a KEYS b", Migration{Timeout: 5 * time.Millisecond, Password: []byte("KEYS")}, "a KEYS b"},
		{"h 1 _ 0 5 AUTH2 KEYS COPY keys copy", Migration{Timeout: 5 * time.Millisecond, User: []byte("KEYS"), Password: []byte("COPY")}, "copy"},
		{"h 1 _ 0 9223372036854775807", Migration{Timeout: time.Duration(maxMigrateMillis) * time.Millisecond}, "_"},
	} {
		args := migrateWords("MIGRATE " + tc.args)
		m, err := ParseMigration(args)
		if err != nil {
			t.Errorf("%s: %v", tc.args, err)
			continue
		}
		keys := string(bytes.Join(m.Keys, []byte(" ")))
		if keys == "" {
			keys = "_"
		}
		if keys != tc.keys || m.Host != "h" || m.Port != "1" || m.DB != tc.want.DB || m.Timeout != tc.want.Timeout ||
			m.Copy != tc.want.Copy || m.Replace != tc.want.Replace || !bytes.Equal(m.User, tc.want.User) || !bytes.Equal(m.Password, tc.want.Password) {
			t.Errorf("%s: %+v, keys %q", tc.args, m, keys)
		}
	}
}

// migrateWords are arguments; _ is an empty one.
func migrateWords(line string) (args [][]byte) {
	for _, w := range strings.Fields(line) {
		if w == "_" {
			w = ""
		}
		args = append(args, []byte(w))
	}
	return args
}

// FuzzMigration: whatever the arguments are, the keys that a command is routed by are
// those that it moves.
func FuzzMigration(f *testing.F) {
	for _, line := range []string{"h 1 k 0 5", "h 1 _ 0 5 KEYS a b", "h 1 _ 0 5 AUTH KEYS KEYS a", "h 1 k 0 5 KEYS a", "h 1 _ 0 5 AUTH2 a", "h 1 _ 0 5 KEYS"} {
		f.Add(line)
	}
	spec := Lookup([]byte("migrate"))
	f.Fuzz(func(t *testing.T, line string) {
		args := migrateWords("MIGRATE " + line)
		if !spec.GoodArity(len(args)) {
			return
		}
		m, err := ParseMigration(args)
		positions, keysErr := spec.Keys(args)
		if err != nil || keysErr != nil {
			return
		}
		var routed [][]byte
		for _, i := range positions {
			routed = append(routed, args[i])
		}
		if !slices.EqualFunc(routed, m.Keys, bytes.Equal) {
			t.Errorf("%s: routed by %q, moves %q", line, routed, m.Keys)
		}
	})
}
