package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// backupRounds is how often each step is killed.
const backupRounds = 6

// TestKillDuringBackup kills dkvsrv while it makes a backup, and while it restores
// one, on each engine: there is nothing afterwards, or all of it.
func TestKillDuringBackup(t *testing.T) {
	for _, engine := range harness.Engines {
		t.Run(engine, func(t *testing.T) {
			harness.NeedEngine(t, engine)
			rng := seedOf(t)
			dir := t.TempDir()
			s := harness.DkvIn(t, filepath.Join(dir, "data"), "-db-engine", engine, "-backup-dir", filepath.Join(dir, "backups"), "-fsync", "no")
			fillForBackup(t, s)
			took := timeBackup(t, s, "first")
			want := string(s.Dial(t).Do("DKV.CHECKSUM").Elems[0].Elems[5].Str)
			for i := range backupRounds {
				name := fmt.Sprint("b", i)
				c := s.Dial(t)
				if err := c.Send(string(harness.AppendCommand(nil, "DKV.BACKUP", name))); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Duration(rng.Int64N(int64(took) * 5 / 4))) // any moment of it
				s.Kill()
				checkBackup(t, filepath.Join(dir, "backups", name))
				s.MustStart(t)
			}
			timeBackup(t, s, "last") // removes what is left of the others
			names, err := os.ReadDir(filepath.Join(dir, "backups"))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range names {
				if strings.Contains(e.Name(), "partial") {
					t.Errorf("%s is left", e.Name())
				}
			}
			s.Kill()
			killRestores(t, rng, dir, engine, want)
		})
	}
}

// seedOf returns the test's random numbers.
func seedOf(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv("DKV_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("DKV_SEED: %v", err)
		}
		seed = v
	}
	t.Logf("seed %d (set DKV_SEED to repeat)", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// fillForBackup writes some tens of megabytes.
func fillForBackup(t *testing.T, s *harness.Server) {
	t.Helper()
	c := s.Dial(t)
	value := strings.Repeat("0123456789abcdef", 1<<10)
	for i := range 1500 {
		c.Queue("SET", fmt.Sprint("k", i), value+fmt.Sprint(i))
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 1500 {
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
	}
}

func timeBackup(t *testing.T, s *harness.Server, name string) time.Duration {
	t.Helper()
	began := time.Now()
	if r := s.Dial(t).Do("DKV.BACKUP", name); r.IsError() {
		t.Fatalf("DKV.BACKUP: %s", r)
	}
	return time.Since(began)
}

// checkBackup fails the test unless there is nothing, or a whole backup.
func checkBackup(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return
	}
	if out, err := exec.Command(harness.NeedDkv(t, "dkvctl"), "-verify", dir).CombinedOutput(); err != nil {
		t.Errorf("a backup that was killed: %v\n%s", err, out)
	}
}

// killRestores restores the first backup over and over, cut short at some moment, and
// in the end not.
func killRestores(t *testing.T, rng *rand.Rand, dir, engine, want string) {
	t.Helper()
	program := harness.NeedDkv(t, "dkvsrv")
	to := filepath.Join(dir, "restored")
	restore := func() *exec.Cmd {
		return exec.Command(program, "-restore", filepath.Join(dir, "backups", "first"), "-db-folder", to)
	}
	began := time.Now()
	if out, err := restore().CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	for range backupRounds {
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		cmd := restore()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rng.Int64N(int64(took) * 5 / 4)))
		_ = cmd.Process.Kill() // it may have ended
		ended := cmd.Wait() == nil
		if _, err := os.Stat(filepath.Join(to, "node.json")); err == nil && !ended {
			spec, err := harness.DkvSpec(to, "-db-engine", engine)
			if err != nil {
				t.Fatal(err)
			}
			s := harness.NewServer(spec)
			if err := s.Start(); err == nil {
				ended = true // all was done but the farewell
				s.Kill()
			} else if !strings.Contains(s.Logs(), "a backup was being restored into the folder, and not to the end") {
				t.Errorf("a restore that was killed: %v", err)
			}
		}
		if !ended {
			if out, err := restore().CombinedOutput(); err != nil {
				t.Fatalf("again: %v\n%s", err, out)
			}
		}
		s := harness.DkvIn(t, to, "-db-engine", engine)
		if got := string(s.Dial(t).Do("DKV.CHECKSUM").Elems[0].Elems[5].Str); got != want {
			t.Errorf("restored is %s, want %s", got, want)
		}
		s.Kill()
	}
}
