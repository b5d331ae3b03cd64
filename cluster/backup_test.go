package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dkv/cluster/backup"
	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/enginetest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestEngineBackup makes a backup on each engine while a client writes, and restores
// it: a state of the time that it took, which goes on under another id.
func TestEngineBackup(t *testing.T) {
	for _, name := range builtEngines() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Dir: filepath.Join(dir, "data"), Engine: name, MemtableBytes: 1 << 20, HotCacheBytes: 1 << 20}
			n := openNode(t, o)
			for i := 1; i <= 200; i++ {
				if err := chainStep(n, i); err != nil {
					t.Fatal(err)
				}
			}
			var acked atomic.Int64
			var stop atomic.Bool
			var writing sync.WaitGroup
			acked.Store(200)
			writing.Go(func() {
				for i := 201; !stop.Load(); i++ {
					if err := chainStep(n, i); err != nil {
						t.Error(err)
						return
					}
					acked.Store(int64(i))
				}
			})
			to := filepath.Join(dir, "backups", "first")
			before := acked.Load()
			m, err := n.Backup(t.Context(), to)
			stop.Store(true)
			writing.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if acked.Load() <= before {
				t.Error("nothing was written meanwhile")
			}
			if m.Engine != name || len(m.Shards) != 1 || m.Shards[0].Time == 0 || m.Shards[0].Keys != chainKeys+1 {
				t.Fatalf("%+v", m)
			}
			if _, err := backup.Verify(t.Context(), vfs.Default, to); err != nil {
				t.Fatal(err)
			}
			if _, err := n.Backup(t.Context(), to); !errors.Is(err, backup.ErrExists) {
				t.Errorf("a second backup of that name: %v", err)
			}
			if names, err := os.ReadDir(filepath.Dir(to)); err != nil || len(names) != 1 {
				t.Errorf("beside the backup: %v, %v", names, err)
			}
			o.Dir = filepath.Join(dir, "restored")
			report, err := Restore(t.Context(), o, RestoreOptions{Backup: to})
			if err != nil {
				t.Fatal(err)
			}
			if report.NewClusterID == m.ClusterID || report.Shards[0].Index != raftlog.Index(m.Shards[0].Index) {
				t.Errorf("%+v", report)
			}
			if _, err := Restore(t.Context(), o, RestoreOptions{Backup: to}); !errors.Is(err, ErrNotEmpty) {
				t.Errorf("a second restore: %v", err)
			}
			restored := openNode(t, o)
			last := checkChain(t, restored)
			if int64(last) < before || int64(last) > acked.Load() {
				t.Errorf("step %d is restored; %d were acknowledged before, %d in the end", last, before, acked.Load())
			}
			if id := restored.ClusterInfo().ClusterID; id != report.NewClusterID {
				t.Errorf("the restored node is of %s, the report says %s", id, report.NewClusterID)
			}
			if err := chainStep(restored, last+1); err != nil {
				t.Fatal(err)
			}
			if _, err := backup.Verify(t.Context(), vfs.Default, to); err != nil {
				t.Errorf("after the restored node has run: %v", err)
			}
			if err := chainStep(n, int(acked.Load())+1); err != nil {
				t.Errorf("the node that was backed up: %v", err)
			}
		})
	}
}

// TestClusterFromOneBackup restores a cluster from the backup of a follower: the node
// that it is restored to is a cluster of one, and grows.
func TestClusterFromOneBackup(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 2 })
	for k := range 40 {
		list[k%3].mustPutIn(raftlog.ShardID(k%2), fmt.Sprint("k", k), "v")
	}
	from := c.follower(list...)
	from.mustGet("k38", "v")
	m, err := from.Backup(t.Context(), "backups/b")
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Shards) != 2 || m.Shards[0].Keys != 20 || m.Shards[1].FirstSlot != 8192 || m.Shards[1].LastSlot != 16383 {
		t.Fatalf("%+v", m)
	}
	for _, n := range list {
		n.stopNode(false)
	}
	o := c.options(8, func(o *Options) { o.FS = from.fs; o.Dir = "restored" })
	if _, err := Restore(t.Context(), o, RestoreOptions{Backup: "backups/b"}); err != nil {
		t.Fatal(err)
	}
	first := c.start(8, func(o *Options) { o.FS = from.fs; o.Dir = "restored" })
	c.waitServing(first)
	if info := first.ClusterInfo(); info.Members != 1 || info.Shards != 2 || info.ClusterID == m.ClusterID {
		t.Fatalf("%+v", info)
	}
	first.mustGet("k6", "v")
	c.start(9, joining)
	first.mustAdd(9)
	c.nodes[testAddr(9)].mustGet("k38", "v")
	// One of the old cluster is none of the new one.
	old := c.start(1, nil)
	wantError(t, "add one of the old", first.AddNode(t.Context(), old.addr, false), "another cluster")
}

// TestBackupCrashAnywhere loses what was not synced before each change of the disk
// that a backup makes: afterwards there is none, or a whole one.
func TestBackupCrashAnywhere(t *testing.T) {
	rng := seedOf(t)
	mem := enginetest.NewCrashFS()
	c := &crasher{mem: mem, rng: rand.New(rand.NewPCG(rng.Uint64(), 3)), every: 1 << 30}
	fs := errorfs.Wrap(mem, c)
	n, err := openCrashNode(fs, raftlog.FsyncAlways, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const steps = 300
	for i := 1; i <= steps; i++ {
		if err := chainStep(n, i); err != nil {
			t.Fatal(err)
		}
	}
	c.setEvery(1)
	if _, err := n.Backup(t.Context(), "backups/b"); err != nil {
		t.Fatal(err)
	}
	c.setEvery(1 << 30)
	points := append(c.take(), crashPoint{fs: mem.Crash(vfs.CrashCloneCfg{}), op: "nothing"})
	whole := 0
	for i, p := range points {
		_, err := backup.Verify(t.Context(), p.fs, "backups/b")
		switch {
		case err == nil:
			whole++
			checkRestored(t, p.fs, p.op, steps)
		case errors.Is(err, backup.ErrNoBackup):
			if i == len(points)-1 {
				t.Fatal("the backup did not survive a crash after it was made")
			}
			if _, err := p.fs.Stat("backups/b"); err == nil {
				t.Errorf("crash before %s: a folder without a manifest", p.op)
			}
		default:
			t.Errorf("crash before %s: %v", p.op, err)
		}
	}
	if len(points) < 20 || whole == 0 {
		t.Errorf("%d crash points, %d with a whole backup", len(points), whole)
	}
	// The next one after a crash removes what was left of it.
	p := points[len(points)/2]
	again, err := openCrashNode(p.fs, raftlog.FsyncAlways, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Backup(t.Context(), "backups/other"); err != nil {
		t.Fatal(err)
	}
	names, err := p.fs.List("backups")
	if err != nil || len(names) != 1 || names[0] != "other" {
		t.Errorf("crash before %s, then another backup: %v, %v", p.op, names, err)
	}
}

func checkRestored(t *testing.T, fs vfs.FS, op string, want int) {
	t.Helper()
	o := Options{Dir: "restored", FS: fs, ReserveDiskBytes: -1, BlockCacheBytes: 1 << 20, MemtableBytes: 64 << 10}
	if _, err := Restore(context.Background(), o, RestoreOptions{Backup: "backups/b"}); err != nil {
		t.Fatalf("crash before %s: restore: %v", op, err)
	}
	n, err := Open(o)
	if err != nil {
		t.Fatalf("crash before %s: open what was restored: %v", op, err)
	}
	defer n.Close()
	if last := checkChain(t, n); last != want {
		t.Fatalf("crash before %s: step %d is restored, want %d", op, last, want)
	}
}

// TestRestoreCrashAnywhere does the same to a restore: afterwards there is no node, one
// that does not open and can be restored again, or a whole one.
func TestRestoreCrashAnywhere(t *testing.T) {
	rng := seedOf(t)
	mem := enginetest.NewCrashFS()
	n, err := openCrashNode(mem, raftlog.FsyncAlways, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const steps = 200
	for i := 1; i <= steps; i++ {
		if err := chainStep(n, i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.Backup(t.Context(), "backups/b"); err != nil {
		t.Fatal(err)
	}
	c := &crasher{mem: mem, rng: rand.New(rand.NewPCG(rng.Uint64(), 3)), every: 1}
	o := Options{Dir: "restored", FS: errorfs.Wrap(mem, c), ReserveDiskBytes: -1, BlockCacheBytes: 1 << 20, MemtableBytes: 64 << 10}
	if _, err := Restore(t.Context(), o, RestoreOptions{Backup: "backups/b"}); err != nil {
		t.Fatal(err)
	}
	points := append(c.take(), crashPoint{fs: mem.Crash(vfs.CrashCloneCfg{}), op: "nothing"})
	refused, whole := 0, 0
	for i, p := range points {
		if i%5 != 0 && i < len(points)-8 {
			continue
		}
		o.FS = p.fs
		_, found, err := readIdentity(p.fs, "restored")
		if found && err == nil {
			var n *Node
			if n, err = Open(o); err == nil {
				whole++
				if last := checkChain(t, n); last != steps {
					t.Errorf("crash before %s: step %d, want %d", p.op, last, steps)
				}
				if err := n.Close(); err != nil {
					t.Error(err)
				}
				continue
			}
		}
		if i == len(points)-1 {
			t.Fatalf("what was restored did not survive a crash: %v", err)
		}
		if found {
			refused++
			if !errors.Is(err, ErrRestoring) {
				t.Errorf("crash before %s: open: %v", p.op, err)
			}
		}
		checkRestored(t, p.fs, p.op, steps)
	}
	if refused == 0 || whole == 0 {
		t.Errorf("%d points, %d refused, %d whole", len(points), refused, whole)
	}
}

// TestDamagedBackup changes a backup in every way: it is refused, with what is wrong,
// and the folder that it was to be restored into stays empty.
func TestDamagedBackup(t *testing.T) {
	const from, to = "backups/b", "to"
	file := func(m backup.Manifest) string { // the largest
		f := slices.MaxFunc(m.Shards[0].Files, func(a, b backup.File) int { return int(a.Bytes - b.Bytes) })
		return "backups/b/shards/0/" + f.Path
	}
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, fs *vfs.MemFS, m backup.Manifest)
		want   error
		text   string
		// verifyOnly: a restore looks at the files that it copies only.
		verifyOnly bool
	}{
		{name: "a bit", change: func(t *testing.T, fs *vfs.MemFS, m backup.Manifest) {
			rewrite(t, fs, file(m), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, want: backup.ErrDamaged, text: "another checksum"},
		{name: "a byte less", change: func(t *testing.T, fs *vfs.MemFS, m backup.Manifest) {
			rewrite(t, fs, file(m), func(b []byte) []byte { return b[:len(b)-1] })
		}, want: backup.ErrDamaged, text: "bytes, it had"},
		{name: "no file", change: func(t *testing.T, fs *vfs.MemFS, m backup.Manifest) {
			if err := fs.Remove(file(m)); err != nil {
				t.Fatal(err)
			}
		}, want: backup.ErrDamaged, text: "is missing"},
		{name: "a file more", change: func(t *testing.T, fs *vfs.MemFS, m backup.Manifest) {
			rewrite(t, fs, "backups/b/shards/0/999999.sst", func([]byte) []byte { return []byte("x") })
		}, want: backup.ErrDamaged, text: "999999.sst was not in it", verifyOnly: true},
		{name: "the manifest", change: func(t *testing.T, fs *vfs.MemFS, m backup.Manifest) {
			rewrite(t, fs, "backups/b/manifest.json", func(b []byte) []byte {
				return []byte(strings.Replace(string(b), `"node_id": 1`, `"node_id": 2`, 1))
			})
		}, want: backup.ErrDamaged, text: "the checksum of manifest.json is wrong"},
		{name: "no manifest", change: func(t *testing.T, fs *vfs.MemFS, _ backup.Manifest) {
			if err := fs.Remove("backups/b/manifest.json"); err != nil {
				t.Fatal(err)
			}
		}, want: backup.ErrNoBackup, text: "not a whole one"},
		{name: "another format", change: func(t *testing.T, fs *vfs.MemFS, _ backup.Manifest) {
			rewrite(t, fs, "backups/b/manifest.json", func(b []byte) []byte {
				return []byte(strings.Replace(string(b), `"format": 1`, `"format": 7`, 1))
			})
		}, want: backup.ErrFormat, text: "7, this program knows 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fs := vfs.NewMem()
			n := openNode(t, Options{Dir: "data", FS: fs, ReserveDiskBytes: -1})
			if err := chainStep(n, 1); err != nil {
				t.Fatal(err)
			}
			m, err := n.Backup(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			tc.change(t, fs, m)
			_, err = backup.Verify(t.Context(), fs, from)
			if !errors.Is(err, tc.want) || !strings.Contains(fmt.Sprint(err), tc.text) {
				t.Errorf("verify: %v", err)
			}
			o := Options{Dir: to, FS: fs, ReserveDiskBytes: -1}
			_, err = Restore(t.Context(), o, RestoreOptions{Backup: from})
			if tc.verifyOnly {
				return
			}
			if !errors.Is(err, tc.want) || !strings.Contains(fmt.Sprint(err), tc.text) {
				t.Errorf("restore: %v", err)
			}
			names, err := fs.List(to)
			if err == nil && (len(names) > 1 || len(names) == 1 && names[0] != "LOCK") {
				t.Errorf("the folder holds %v", names)
			}
		})
	}
}

func rewrite(t *testing.T, fs *vfs.MemFS, path string, change func([]byte) []byte) {
	t.Helper()
	var data []byte
	if f, err := fs.Open(path); err == nil {
		if data, err = io.ReadAll(f); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = f.Write(change(data)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBackupFails: whatever the backup's disk refuses, the node goes on, and nothing
// is left there.
func TestBackupFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want error
		text string
	}{
		{"no space", syscall.ENOSPC, engine.ErrNoSpace, "no space left on the disk"},
		{"no permission", &os.PathError{Op: "open", Path: "backups/b", Err: syscall.EACCES}, os.ErrPermission, "no permission: backups/b"},
		{"a bad disk", syscall.EIO, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mem := vfs.NewMem()
			var from, ops atomic.Int64
			var failed atomic.Bool
			from.Store(1 << 40)
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if !strings.HasPrefix(op.Path, "backups") || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpRemoveAll {
					return nil
				}
				if ops.Add(1) < from.Load() {
					return nil
				}
				failed.Store(true)
				return tc.err
			}))
			n := openNode(t, Options{Dir: "data", FS: fs, ReserveDiskBytes: -1})
			for i := 1; i <= 20; i++ {
				if err := chainStep(n, i); err != nil {
					t.Fatal(err)
				}
			}
			failures := 0
			for at := int64(1); ; at++ {
				ops.Store(0)
				failed.Store(false)
				from.Store(at)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				_, err := n.Backup(ctx, "backups/b")
				cancel()
				from.Store(1 << 40)
				if err == nil && !failed.Load() {
					break
				}
				if err == nil {
					// What failed did not matter; it is there.
					if err := mem.RemoveAll("backups/b"); err != nil {
						t.Fatal(err)
					}
					continue
				}
				failures++
				if tc.want != nil && (!errors.Is(err, tc.want) || ExplainBackup(err) != tc.text) {
					t.Errorf("failure at %d: %v (%s)", at, err, ExplainBackup(err))
				}
				if names, _ := mem.List("backups"); len(names) > 0 {
					// A failed sync of the parent comes after the rename.
					if _, err := backup.Verify(t.Context(), mem, "backups/b"); err != nil || len(names) > 1 {
						t.Errorf("failure at %d: left are %v: %v", at, names, err)
					}
					if err := mem.RemoveAll("backups/b"); err != nil {
						t.Fatal(err)
					}
				}
				if err := chainStep(n, 21); err != nil {
					t.Fatalf("failure at %d: the node: %v", at, err)
				}
			}
			if failures < 5 {
				t.Errorf("%d failures", failures)
			}
			select {
			case err := <-n.Fatal():
				t.Errorf("the node was stopped: %v", err)
			default:
			}
		})
	}
}
