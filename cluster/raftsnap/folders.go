package raftsnap

import (
	"errors"
	"fmt"
	"os"

	"dkv/engine"
)

// folders lists the store's engine folders.
func (st *Store) folders() ([]string, error) {
	names, err := st.o.FS.List(st.o.Dir)
	if err != nil {
		return nil, err
	}
	folders := names[:0]
	for _, name := range names {
		if _, ok := folderNumber(st.o.Name, name); ok {
			folders = append(folders, name)
		}
	}
	return folders, nil
}

// Retire closes an engine that a Switch replaced and removes its folder. Where
// closing fails, because it still has readers for one, the folder stays until the
// next process sweeps it: an engine must not lose its files while it runs.
func (st *Store) Retire(old engine.Engine) error {
	st.mu.Lock()
	folder := ""
	for f, eng := range st.mu.used {
		if eng != nil && eng == old {
			folder = f
			st.mu.used[f] = nil
		}
	}
	st.mu.Unlock()
	if folder == "" {
		return ErrNotOld
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("raftsnap: shard %s: retire %s: %w", st.o.Name, folder, err)
	}
	if err := st.remove(folder); err != nil {
		return fmt.Errorf("raftsnap: shard %s: retire: %w", st.o.Name, err)
	}
	return nil
}

// remove removes a folder that nobody uses any more. One that cannot be removed is
// left for Sweep.
func (st *Store) remove(folder string) error {
	err := st.o.FS.RemoveAll(st.dir(folder))
	if err == nil {
		err = syncDir(st.o.FS, st.o.Dir)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.mu.used, folder)
	return err
}

// Sweep removes the engine folders that are in no use: what a crash left of
// received and of replaced ones. It may take long, and may be called at any time.
func (st *Store) Sweep() error {
	folders, err := st.folders()
	if err != nil {
		return fmt.Errorf("raftsnap: shard %s: sweep: %w", st.o.Name, err)
	}
	st.mu.Lock()
	unused := folders[:0]
	for _, f := range folders {
		if _, ok := st.mu.used[f]; !ok {
			unused = append(unused, f)
		}
	}
	st.mu.Unlock()
	var errs []error
	for _, f := range unused {
		st.o.Logger.Info("removing an engine folder that is in no use", "shard", st.o.Name, "folder", f)
		errs = append(errs, st.o.FS.RemoveAll(st.dir(f)))
	}
	errs = append(errs, st.removeTmp(), syncDir(st.o.FS, st.o.Dir))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("raftsnap: shard %s: sweep: %w", st.o.Name, err)
	}
	return nil
}

// removeTmp removes a pointer file that never got its name.
func (st *Store) removeTmp() error {
	st.changing.Lock()
	defer st.changing.Unlock()
	err := st.o.FS.Remove(st.pointer + tmpSuffix)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
