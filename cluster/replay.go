package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"dkv/cluster/archive"
	"dkv/cluster/backup"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Errors of recovering to a point in time.
var (
	// ErrTooEarly: the backup is of a later state than is asked for.
	ErrTooEarly = errors.New("the backup is later than what is to be restored: take an earlier backup")
	// ErrNoArchive: there is no archive of the cluster's log.
	ErrNoArchive = errors.New("there is no archive of the log that the backup belongs to")
	// ErrArchiveEnds: an entry is asked for that the archive does not have.
	ErrArchiveEnds = errors.New("the archive of the log ends before that")
	// ErrUntil: the words do not say until when.
	ErrUntil = errors.New(`until when? A time (2026-01-02T15:04:05Z, or Unix milliseconds of 13 digits), the number of an entry, "0=7,1=9" for several shards, or "latest"`)
)

// Until says up to where an archive of the log is replayed. The zero value is: not at
// all.
type Until struct {
	latest bool
	time   int64 // Unix milliseconds; 0: not by time
	// index is by shard; all is for the only one.
	index map[raftlog.ShardID]raftlog.Index
	all   raftlog.Index
}

// firstUntilMilli is the number from which one is a time, in 2001: no log has so many
// entries.
const firstUntilMilli = 1_000_000_000_000

// ParseUntil reads the value of the parameter restore-until. Errors: ErrUntil.
func ParseUntil(s string) (u Until, err error) {
	bad := func() (Until, error) { return Until{}, fmt.Errorf("%q: %w", s, ErrUntil) }
	switch {
	case s == "":
		return u, nil
	case strings.EqualFold(s, "latest"):
		return Until{latest: true}, nil
	case strings.Contains(s, "="):
		u.index = make(map[raftlog.ShardID]raftlog.Index)
		for pair := range strings.SplitSeq(s, ",") {
			id, index, _ := strings.Cut(pair, "=")
			n, err := strconv.ParseUint(id, 10, 16)
			i, err2 := strconv.ParseUint(index, 10, 64)
			if _, twice := u.index[raftlog.ShardID(n)]; err != nil || err2 != nil || i == 0 || twice {
				return bad()
			}
			u.index[raftlog.ShardID(n)] = raftlog.Index(i)
		}
		return u, nil
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		if n >= firstUntilMilli {
			return Until{time: int64(n)}, nil
		}
		if n == 0 {
			return bad()
		}
		return Until{all: raftlog.Index(n)}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.UnixMilli() <= 0 {
		return bad()
	}
	return Until{time: t.UnixMilli()}, nil
}

func (u *Until) set() bool { return u.latest || u.time != 0 || u.all != 0 || u.index != nil }

// last is the last entry of a shard that is wanted; 0: it does not say.
func (u *Until) last(id raftlog.ShardID) raftlog.Index {
	if u.index != nil {
		return u.index[id]
	}
	return u.all
}

// check refuses what the backup cannot lead to.
func (u *Until) check(m backup.Manifest, archiveDir string) error {
	if !u.set() {
		return nil
	}
	if archiveDir == "" {
		return fmt.Errorf("%w: log-archive-dir names it", ErrNoArchive)
	}
	if u.all != 0 && len(m.Shards) > 1 || u.index != nil && len(u.index) != len(m.Shards) {
		return fmt.Errorf("%w: the backup has %d shards, each of which has entries of its own", ErrUntil, len(m.Shards))
	}
	for _, s := range m.Shards {
		last := u.last(raftlog.ShardID(s.ID))
		switch {
		case u.index != nil && last == 0:
			return fmt.Errorf("%w: shard %d is not among them", ErrUntil, s.ID)
		case last != 0 && uint64(last) < s.Index:
			return fmt.Errorf("%w: shard %d goes to entry %d, wanted is %d", ErrTooEarly, s.ID, s.Index, last)
		case u.time != 0 && u.time < s.Time, u.time != 0 && s.Time == 0 && u.time < m.Created.UnixMilli():
			at := max(s.Time, 0)
			if at == 0 {
				at = m.Created.UnixMilli()
			}
			return fmt.Errorf("%w: shard %d is of %s, wanted is %s", ErrTooEarly, s.ID, formatMilli(at), formatMilli(u.time))
		}
	}
	return nil
}

func formatMilli(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// wants says whether an entry belongs to what is to be restored.
func (u *Until) wants(id raftlog.ShardID, e *pb.Entry) bool {
	if last := u.last(id); last != 0 {
		return e.GetIndex() <= uint64(last)
	}
	return u.time == 0 || shard.EntryTime(e) <= u.time
}

// replayArchive applies what the archive has behind r's position. Each member of the
// cluster has an archive of its own, of the same log: the one that leads furthest
// serves.
func (n *Node) replayArchive(ctx context.Context, eng engine.Engine, m backup.Manifest, until Until, r *RestoredShard) error {
	dir, err := n.bestArchive(ctx, m, until, r)
	if err != nil {
		return err
	}
	r.Ended = true
	_, err = archive.Replay(ctx, n.o.FS, dir, place(r.Position), func(e *archive.Entry) (bool, error) {
		entry := raftEntry(e)
		if !until.wants(r.ID, entry) {
			r.Ended = false
			return false, nil
		}
		if err := applyArchived(eng, entry); err != nil {
			return false, err
		}
		r.Position = shard.Position{Index: raftlog.Index(e.Index), Term: raftlog.Term(e.Term)}
		r.Replayed++
		r.Time = max(r.Time, shard.EntryTime(entry))
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("after entry %d: %w", r.Index, err)
	}
	if last := until.last(r.ID); r.Index < last {
		return fmt.Errorf("%w: it goes to entry %d, wanted is %d", ErrArchiveEnds, r.Index, last)
	} else if r.Index == last {
		r.Ended = false
	}
	return nil
}

// applyArchived applies an entry. What is not written because the disk is full must
// not be waited for.
func applyArchived(eng engine.Engine, e *pb.Entry) error {
	if e.GetType() != pb.EntryNormal || len(e.GetData()) == 0 {
		return nil
	}
	if err := eng.Writable(); err != nil {
		return fmt.Errorf("cluster: apply entry %d: %w", e.GetIndex(), err)
	}
	if err := eng.Apply(e.GetData()); err != nil {
		return fmt.Errorf("cluster: apply entry %d: %w", e.GetIndex(), err)
	}
	return nil
}

func place(p shard.Position) archive.Position {
	return archive.Position{Index: uint64(p.Index), Term: uint64(p.Term)}
}

func raftEntry(e *archive.Entry) *pb.Entry {
	return &pb.Entry{Index: new(e.Index), Term: new(e.Term), Type: pb.EntryType(e.Type).Enum(), Data: e.Data}
}

// bestArchive returns the folder of the shard's archive that leads furthest. With one
// there is nothing to compare: what is wrong with it is then said when it is replayed.
func (n *Node) bestArchive(ctx context.Context, m backup.Manifest, until Until, r *RestoredShard) (string, error) {
	fs := n.o.FS
	base := fs.PathJoin(n.o.LogArchiveDir, m.ClusterID)
	names, err := fs.List(base)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("cluster: %w", err)
	}
	var dirs []string
	for _, name := range names {
		dir := fs.PathJoin(base, name, shardName(r.ID))
		if _, err := fs.Stat(dir); err == nil {
			dirs = append(dirs, dir)
		}
	}
	switch len(dirs) {
	case 0:
		return "", fmt.Errorf("%w: nothing in %s for shard %d", ErrNoArchive, base, r.ID)
	case 1:
		return dirs[0], nil
	}
	best, furthest := "", archive.Position{}
	var errs []error
	for _, dir := range dirs {
		at, err := archive.Replay(ctx, fs, dir, place(r.Position), func(e *archive.Entry) (bool, error) {
			return until.wants(r.ID, raftEntry(e)), nil
		})
		if ctx.Err() != nil {
			return "", err
		}
		if err != nil {
			errs = append(errs, err)
		}
		if err == nil && (best == "" || at.Index > furthest.Index) {
			best, furthest = dir, at
		}
	}
	if best == "" {
		return "", errors.Join(errs...)
	}
	return best, nil
}
