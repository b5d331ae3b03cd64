package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestEngineFlags starts on another engine, with a file of its options, and keeps
// to it.
func TestEngineFlags(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "engine.ini"), "[badger]\nvalue_threshold = 1kb\n")
	flags := []string{"-port", "0", "-db-engine", "badger", "-db-engine-ini", "engine.ini"}
	p := start(t, dir, flags...)
	p.do("SET hello world")
	if code := p.stop(syscall.SIGKILL); code == 0 {
		t.Error("killed, with status 0")
	}
	p = start(t, dir, flags...)
	if got := p.do("GET hello"); got[0] != "world" {
		t.Errorf("after a crash: %q", got)
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("status %d\n%s", code, p.all.String())
	}
	writeFile(t, filepath.Join(dir, "bad.ini"), "\n[badger]\nvalue_treshold = 1kb\n")
	for _, tc := range []struct{ flags, want string }{
		{"-port 0", "another engine: badger, asked for pebble"},
		{"-port 0 -db-engine badger -db-engine-ini bad.ini", "bad.ini: line 3: [badger] value_treshold: no such option"},
		{"-port 0 -db-engine badger -db-engine-ini none.ini", "none.ini: no such file"},
		{"-port 0 -diskless -db-engine rocksdb", "rocksdb"},
	} {
		code, out, stderr := runToEnd(t, dir, strings.Fields(tc.flags)...)
		if code != exitFailure || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: status %d, %s%s", tc.flags, code, out, stderr)
		}
	}
	p = start(t, t.TempDir(), "-port", "0", "-diskless", "-db-engine", "badger")
	if got := p.do("SET a b", "GET a"); got[1] != "b" {
		t.Errorf("diskless: %q", got)
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("status %d\n%s", code, p.all.String())
	}
	if !regexp.MustCompile(`engine=badger`).MatchString(p.all.String()) {
		t.Errorf("the log does not say which engine:\n%s", p.all.String())
	}
}
