package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBackupAndRestore goes the way of a user: BGSAVE and DKV.BACKUP while serving,
// -restore into a new folder, and what goes wrong with it.
func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, "-port", "0", "-db-folder", "data", "-backup-dir", "backups")
	p.do("SET hello world", "SET short lived PX 1", "SET ttl kept EX 5000", "SADD s a b c")
	reply := p.do("DKV.BACKUP first")
	if len(reply) != 1 || strings.HasPrefix(reply[0], "-") {
		t.Fatalf("DKV.BACKUP: %q", reply)
	}
	if got := p.do("DKV.BACKUP first")[0]; got != "-ERR backup to "+filepath.Join(dir, "backups", "first")+" failed: the folder exists already; a backup is made in a new one" {
		t.Errorf("again: %q", got)
	}
	writeFile(t, filepath.Join(dir, "file"), "x")
	if got := p.do("DKV.BACKUP ../file/b")[0]; !strings.HasPrefix(got, "-ERR backup to ") {
		t.Errorf("below a file: %q", got)
	}
	p.do("SET later 1")
	if got := p.do("SAVE")[0]; got != "+OK" {
		t.Fatalf("SAVE: %q", got)
	}
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("status %d", code)
	}
	names, err := os.ReadDir(filepath.Join(dir, "backups"))
	if err != nil || len(names) != 2 || !strings.HasPrefix(names[0].Name(), "dkv-2") {
		t.Fatalf("the backups: %v, %v", names, err)
	}
	second := filepath.Join("backups", names[0].Name())

	for _, tc := range []struct{ flags, want string }{
		{"-db-folder data -restore backups/first", "the data folder has data in it already"},
		{"-db-folder new -restore backups", "this is no backup, or not a whole one"},
		{"-db-folder new -restore nothing", "this is no backup, or not a whole one"},
		{"-db-folder new -db-engine badger -restore backups/first", "the backup was made with another engine: pebble, asked for badger"},
	} {
		code, _, stderr := runToEnd(t, dir, strings.Fields(tc.flags)...)
		if code != exitFailure || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: status %d, %s", tc.flags, code, stderr)
		}
	}
	for _, r := range []struct{ from, to, later string }{{"backups/first", "one", "$-1"}, {second, "two", "1"}} {
		code, out, stderr := runToEnd(t, dir, "-restore", r.from, "-db-folder", r.to)
		if code != exitOK || !strings.Contains(out, "is restored from") {
			t.Fatalf("status %d, %s%s", code, out, stderr)
		}
		p := start(t, dir, "-port", "0", "-db-folder", r.to)
		got := p.do("GET hello", "GET later", "SCARD s", "EXISTS short", "TTL ttl")
		if got[0] != "world" || got[1] != r.later || got[2] != ":3" || got[3] != ":0" || got[4] < ":49" || len(got[4]) != 5 {
			t.Errorf("restored from %s: %q", r.from, got)
		}
		if code := p.stop(syscall.SIGTERM); code != exitOK {
			t.Errorf("status %d", code)
		}
	}
}

// TestRestoreUntil recovers what a FLUSHALL has taken.
func TestRestoreUntil(t *testing.T) {
	dir := t.TempDir()
	flags := []string{"-log-archive-dir", "archive", "-log-archive-interval", "10ms"}
	p := start(t, dir, append(flags, "-port", "0", "-db-folder", "data")...)
	p.do("SET a 1", "DKV.BACKUP b", "SET a 2", "SET b 2")
	at := time.Now().UnixMilli()
	time.Sleep(2 * time.Millisecond) // of the server's clock, which is what counts here
	p.do("FLUSHALL")
	if code := p.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("status %d", code)
	}
	for _, tc := range []struct{ until, want string }{
		{fmt.Sprint(at), "[2 2]"},
		{time.UnixMilli(at).UTC().Format(time.RFC3339Nano), "[2 2]"},
		{"latest", "[$-1 $-1]"},
	} {
		to := "restored-" + tc.until
		code, out, stderr := runToEnd(t, dir, append(flags, "-restore", "b", "-db-folder", to, "-restore-until", tc.until)...)
		if code != exitOK || !strings.Contains(out, "entries are from the archive") {
			t.Fatalf("until %s: status %d, %s%s", tc.until, code, out, stderr)
		}
		p := start(t, dir, "-port", "0", "-db-folder", to)
		if got := fmt.Sprint(p.do("GET a", "GET b")); got != tc.want {
			t.Errorf("until %s: %s, want %s", tc.until, got, tc.want)
		}
		p.stop(syscall.SIGTERM)
	}
	for _, tc := range []struct{ flags, want string }{
		{"-log-archive-dir archive -restore-until yesterday", `restore-until "yesterday": until when?`},
		{"-restore-until latest", "log-archive-dir names it"},
		{"-log-archive-dir nothing -restore-until latest", "there is no archive of the log that the backup belongs to"},
		{"-log-archive-dir archive -restore-until 2001-09-09T09:09:09Z", "the backup is later than what is to be restored"},
	} {
		code, _, stderr := runToEnd(t, dir, append(strings.Fields(tc.flags), "-restore", "b", "-db-folder", "none")...)
		if code != exitFailure || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: status %d, %s", tc.flags, code, stderr)
		}
	}
}
