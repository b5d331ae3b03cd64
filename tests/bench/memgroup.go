package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/tests/harness"
)

// memoryGroup is a control group that bounds the memory of a process, with what the
// page cache holds of the files that it reads and writes. Sources: the kernel's
// admin-guide/cgroup-v1/memory and admin-guide/cgroup-v2.
type memoryGroup struct{ dir string }

// groupRoots are where the two versions of control groups are, with the file that
// takes a group's limit. What cannot be is found out by trying.
var groupRoots = []struct {
	root, limit string
	prepare     func(root string) error
}{
	{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", func(string) error { return nil }},
	{"/sys/fs/cgroup", "memory.max", func(root string) error {
		return os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+memory"), 0o644)
	}},
}

// newMemoryGroup makes a group of a name that no other process of this kind has.
func newMemoryGroup(name string, bytes int64) (*memoryGroup, error) {
	var errs []error
	for _, at := range groupRoots {
		if _, err := os.Stat(filepath.Join(at.root, "cgroup.procs")); err != nil {
			errs = append(errs, err)
			continue
		}
		g := &memoryGroup{filepath.Join(at.root, fmt.Sprintf("dkv-bench-%d-%s", os.Getpid(), name))}
		err := at.prepare(at.root)
		if err == nil {
			err = os.Mkdir(g.dir, 0o755)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if err := os.WriteFile(filepath.Join(g.dir, at.limit), []byte(strconv.FormatInt(bytes, 10)), 0o644); err != nil {
			errs = append(errs, err, os.Remove(g.dir))
			continue
		}
		return g, nil
	}
	return nil, fmt.Errorf("no control group for memory: %w", errors.Join(errs...))
}

// run has a server run in the group from its first instruction on.
func (g *memoryGroup) run(spec harness.Spec) harness.Spec {
	program, args := spec.Program, spec.Args
	spec.Program = "/bin/sh"
	spec.Args = func(port int) []string {
		return slices.Concat([]string{"-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), program}, args(port))
	}
	return spec
}

// kills is how often the kernel has killed a process of the group for its memory.
func (g *memoryGroup) kills() (int, error) {
	for _, name := range []string{"memory.oom_control", "memory.events"} { // version 1, version 2
		text, err := os.ReadFile(filepath.Join(g.dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok && err == nil {
				return strconv.Atoi(n)
			}
		}
		return 0, err
	}
	return 0, nil
}

// remove removes the group, whose processes are ending.
func (g *memoryGroup) remove() error {
	var err error
	for end := time.Now().Add(stopLimit); time.Now().Before(end); time.Sleep(sampleInterval) {
		if err = os.Remove(g.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	return err
}
