package psync

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"dkv/cluster/replica"
	"dkv/cluster/slot"
	"dkv/server/command"
)

// Errors of a source. Their texts are shown to users.
var (
	// ErrUnsupported: the source has what dkv does not have.
	ErrUnsupported = errors.New("the source has what dkv does not have")
	errProtocol    = errors.New("the source does not speak Redis's replication protocol")
)

// unsupportedPause is how long nothing is tried after ErrUnsupported: each time costs the
// source a copy of its data.
const unsupportedPause = 30 * time.Second

// Options configures a Follower.
type Options struct {
	// Folder is where files are put while they are received; "": the system's for
	// temporary ones. They have no names there.
	Folder string
	// Limits are those of compact encodings, for OBJECT ENCODING; nil: the default.
	Limits *command.Limits
	// Scripts keeps functions; nil: a source that has some is refused.
	Scripts Scripts
	// Pause is for tests; 0: unsupportedPause.
	Pause time.Duration
}

// Scripts keeps functions, as package script does.
type Scripts interface {
	command.Scripter
	// Check says why libraries, given by their source texts, cannot be there together.
	Check(codes []string) error
}

// Follower follows Redis servers.
type Follower struct {
	o Options
	// anew: everything is to be copied the next time.
	anew atomic.Bool
}

// New returns a Follower.
func New(o Options) *Follower {
	if o.Pause == 0 {
		o.Pause = unsupportedPause
	}
	return &Follower{o: o}
}

// Follow follows the Redis server of a link until something fails. It is a
// replica.Foreign.
func (f *Follower) Follow(ctx context.Context, l *replica.ForeignLink) (began bool, err error) {
	if err = RemoveLeft(f.o.Folder); err == nil {
		began, err = f.follow(ctx, l)
	}
	if errors.Is(err, ErrUnsupported) && ctx.Err() == nil {
		l.Logger.Warn("cannot follow the source", "addr", l.Addr, "err", err, "tried_again_after", f.o.Pause)
		l.Update(func(st *replica.LinkStatus) {
			st.Up, st.Copying, st.Err = false, false, err.Error()
			if st.DownAt.IsZero() {
				st.DownAt = l.Clock()
			}
		})
		t := time.NewTimer(f.o.Pause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return began, err
}

func (f *Follower) follow(ctx context.Context, l *replica.ForeignLink) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	nc, err := l.Dial(ctx, l.Addr)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	c := &conversation{f: f, l: l, nc: nc, locals: l.All, slots: slot.NewMap(max(len(l.All), 1))}
	if c.locals == nil {
		c.locals = []replica.Local{l.Local}
	}
	if err := c.introduce(); err != nil {
		return false, err
	}
	full, err := c.begin()
	if err != nil {
		return false, err
	}
	return true, c.run(ctx, full)
}

// Names of the files that things are received into.
const (
	dataFile   = "redis-source.rdb"
	streamFile = "redis-stream.spool"
)

// RemoveLeft removes the files that an earlier version left in a node's folder when it
// was killed; "" is none.
func RemoveLeft(folder string) error {
	if folder == "" {
		return nil
	}
	for _, name := range []string{dataFile, streamFile} {
		if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("psync: %w", err)
		}
	}
	return nil
}

// openFile opens a file for what is received, and a function that ends it. The file has
// no name any more, so that nothing is left of it however the process ends.
func (f *Follower) openFile(name string) (*os.File, func() error, error) {
	file, err := f.createFile(name)
	if err != nil {
		return nil, nil, fmt.Errorf("psync: %w", err)
	}
	if os.Remove(file.Name()) == nil {
		return file, file.Close, nil
	}
	// A system that does not remove what is open.
	return file, func() error { return errors.Join(file.Close(), os.Remove(file.Name())) }, nil
}

func (f *Follower) createFile(name string) (*os.File, error) {
	if f.o.Folder == "" {
		return os.CreateTemp("", "dkv-"+name)
	}
	return os.OpenFile(filepath.Join(f.o.Folder, name), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
}
