package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// TestDkvctlBackup: -backup on the server's machine, -verify without a server, and
// what INFO says of it.
func TestDkvctlBackup(t *testing.T) {
	harness.NeedItself(t)
	srv := harness.Dkv(t, "-backup-dir", t.TempDir())
	c := srv.Dial(t)
	c.OK("SET", "a", "1")
	ctl, dir := harness.NeedDkv(t, "dkvctl"), filepath.Join(t.TempDir(), "b")
	out, errs, code := run(t, "", ctl, "-a", srv.Addr(), "-backup", dir)
	if code != 0 || !strings.HasPrefix(out, "backup on the server's machine: "+dir+"\n") || !strings.Contains(out, "shard 0: entry ") || !strings.Contains(out, ", 1 keys\n") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	_, errs, code = run(t, "", ctl, "-a", srv.Addr(), "-backup", dir)
	if code != 1 || errs != "(error) ERR backup to "+dir+" failed: the folder exists already; a backup is made in a new one\n" {
		t.Errorf("again: exit code %d, %s", code, errs)
	}
	info := c.Info("persistence")
	for field, want := range map[string]string{
		"rdb_last_bgsave_status": "ok", "rdb_bgsave_in_progress": "0", "rdb_saves": "1", "rdb_current_bgsave_time_sec": "-1",
		"rdb_changes_since_last_save": "0",
	} {
		if info[field] != want {
			t.Errorf("%s is %q, want %q", field, info[field], want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := c.Do("DKV.BACKUP", filepath.Join(file, "b")); !r.IsError() {
		t.Errorf("below a file: %s", r)
	}
	if got := c.Info("persistence")["rdb_last_bgsave_status"]; got != "err" {
		t.Errorf("rdb_last_bgsave_status is %q after a failure", got)
	}
	c.OK("SAVE")
	if got := c.Info("persistence")["rdb_last_bgsave_status"]; got != "ok" {
		t.Errorf("rdb_last_bgsave_status is %q after a success", got)
	}

	out, errs, code = run(t, "", ctl, "-verify", dir)
	if code != 0 || !strings.HasPrefix(out, "OK: ") || !strings.Contains(out, "shard 0: slots 0-16383, entry ") {
		t.Fatalf("-verify: exit code %d\n%s%s", code, out, errs)
	}
	tables, err := filepath.Glob(filepath.Join(dir, "shards", "0", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("%v, %v", tables, err)
	}
	data, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	// It may be a link to the server's own file.
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tables[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, errs, code = run(t, "", ctl, "-verify", dir)
	if code != 1 || !strings.Contains(errs, filepath.Base(tables[0])+" has another checksum") {
		t.Errorf("-verify of a damaged one: exit code %d, %s", code, errs)
	}
	_, errs, code = run(t, "", ctl, "-verify", filepath.Dir(dir))
	if code != 1 || !strings.Contains(errs, "this is no backup, or not a whole one") {
		t.Errorf("-verify of none: exit code %d, %s", code, errs)
	}
}
