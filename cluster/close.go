package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/shard"
	"dkv/cluster/transport"
	"dkv/engine/hot"
)

// handoverTime bounds how long a node that closes waits for others to take over
// the shards that it leads.
const handoverTime = 2 * time.Second

// A node that closes answers what others send to it until nothing has come for
// quietTime, for no longer than answerTime. Who has not yet learned of the new
// leader asks again every retryPause.
const (
	answerTime = time.Second
	quietTime  = 4 * retryPause
)

// SetActiveExpire turns the reaper of expired keys on or off.
func (n *Node) SetActiveExpire(on bool) {
	for i := range n.list() {
		n.list()[i].SetActiveExpire(on)
	}
}

// SetFsync changes when the log is synced.
func (n *Node) SetFsync(m raftlog.FsyncMode) { n.log.SetFsync(m) }

// SyncLog makes all that has been applied durable, whatever the mode of the log's
// syncs.
func (n *Node) SyncLog() error {
	if err := n.log.Sync(); err != nil {
		return fmt.Errorf("cluster: sync log: %w", err)
	}
	return nil
}

// LogSynced says whether all that has been applied is on disk.
func (n *Node) LogSynced() bool { return !n.o.Diskless && n.log.Metrics().UnsyncedBytes == 0 }

// Dir is the node's folder.
func (n *Node) Dir() string { return n.o.Dir }

// Diskless says that nothing outlives the process.
func (n *Node) Diskless() bool { return n.o.Diskless }

// ErrSaveInProgress says that another Save is running.
var ErrSaveInProgress = errors.New("cluster: a save is in progress")

// Save makes everything applied so far durable in the engines, so that a restart
// has nothing to replay.
func (n *Node) Save(context.Context) error {
	if !n.saving.CompareAndSwap(false, true) {
		return ErrSaveInProgress
	}
	defer n.saving.Store(false)
	for i := range n.list() {
		if err := n.list()[i].Flush(); err != nil {
			return fmt.Errorf("cluster: save: %w", err)
		}
	}
	n.lastSave.Store(n.o.Clock().Unix())
	return nil
}

// LastSave is when the last successful Save ended, or when the node was opened.
func (n *Node) LastSave() time.Time { return time.Unix(n.lastSave.Load(), 0) }

// Compact gives back the space of deleted and overwritten data. It may run for
// minutes.
func (n *Node) Compact(ctx context.Context) error {
	var errs []error
	for i := range n.list() {
		errs = append(errs, n.list()[i].Compact(ctx))
	}
	return errors.Join(errs...)
}

// Checkpoint writes a durable copy of the engine to dir, which must not exist.
// ErrUnsupported where there are several shards.
func (n *Node) Checkpoint(dir string) error {
	s, err := n.serving(0)
	switch {
	case err != nil:
		return err
	case n.Shards() > 1:
		return fmt.Errorf("cluster: checkpoint of several shards: %w", ErrUnsupported)
	}
	return s.Checkpoint(dir)
}

// Metrics are a node's figures.
type Metrics struct {
	ClusterID string
	NodeID    uint64
	Engine    string
	Opened    time.Time
	Saving    bool
	Shards    []shard.Metrics // one a shard; empty while there are none
	Snapshots []raftsnap.Metrics
	Log       raftlog.Metrics
	Hot       hot.Metrics
	Peers     transport.Metrics // zero without a peer address

	// SharedCache says that the shards have one block cache, of which each tells all.
	SharedCache bool
}

// BlockCacheCapacity is what the block caches of all shards may take, bytes.
func (m *Metrics) BlockCacheCapacity() (bytes int64) {
	for i := range m.Shards {
		if i == 0 || !m.SharedCache {
			bytes += int64(m.Shards[i].Engine.BlockCacheCapacity)
		}
	}
	return bytes
}

// Metrics returns the node's figures.
func (n *Node) Metrics() Metrics {
	id := n.identity()
	m := Metrics{
		ClusterID: id.ClusterID, NodeID: id.NodeID, Engine: id.Engine,
		Opened: n.openedAt, Saving: n.saving.Load(),
		Log: n.log.Metrics(), Hot: n.HotMetrics(),
	}
	for i := range n.list() {
		s := &n.list()[i]
		m.SharedCache = n.engines.shareCache()
		m.Shards = append(m.Shards, s.Metrics())
		m.Snapshots = append(m.Snapshots, s.store.Metrics())
	}
	if n.transport != nil {
		m.Peers = n.transport.Metrics()
	}
	return m
}

// Close hands leadership over to others where there are any, finishes queued
// writes, flushes and releases everything. It can be called twice.
func (n *Node) Close() error {
	n.closeOnce.Do(func() {
		n.handOver()
		n.finishAnswers()
		n.mu.Lock()
		n.mu.closed = true
		n.mu.Unlock()
		n.cancel()
		n.running.Wait()
		n.closeErr = n.release()
	})
	return n.closeErr
}

// handOver gives up the leadership of all shards, for no longer than handoverTime.
func (n *Node) handOver() {
	if n.transport == nil {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, handoverTime)
	defer cancel()
	n.heldUntil.Store(n.o.Clock().Add(time.Hour).UnixMilli())
	done := make(chan struct{})
	list := n.list()
	for i := range list {
		go func() {
			defer func() { done <- struct{}{} }()
			if s := &list[i]; s.leads() {
				if err := n.giveLead(ctx, s, 0); err != nil && !errors.Is(err, errNobodyElse) {
					n.o.Logger.Warn("leadership was not handed over", "shard", s.id, "err", err)
				}
			}
		}()
	}
	for range list {
		<-done
	}
}

// finishAnswers waits for the requests of other nodes that are being run, so that
// they need not be taken for lost.
func (n *Node) finishAnswers() {
	if n.transport == nil || n.shards.Load() == nil {
		return
	}
	until := time.Now().Add(answerTime)
	for time.Now().Before(until) {
		quiet := time.Duration(time.Now().UnixNano() - n.lastCall.Load())
		if n.answering.Load() == 0 && quiet.Abs() > quietTime {
			return
		}
		_ = pause(n.ctx, time.Millisecond)
	}
}

func (n *Node) release() error {
	var errs []error
	if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	errs = append(errs, closeShards(n.list()))
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	errs = append(errs, n.engines.close())
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// closeShards closes what is open of a node's shards.
func closeShards(set []openShard) error {
	var errs []error
	for i := range set {
		s := &set[i]
		switch {
		case s.Shard != nil:
			errs = append(errs, s.Shard.Close())
		case s.store != nil:
			errs = append(errs, s.store.Engine().Close())
		}
		if s.store != nil {
			errs = append(errs, s.store.Close())
		}
	}
	return errors.Join(errs...)
}
