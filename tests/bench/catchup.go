package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	// logPerWrite is more than a SET of these rows takes in the log, bytes.
	logPerWrite = 512
	// copyValueBytes is the size of values that are copied.
	copyValueBytes = 1000
	copyFloor      = 100 // MB/s
	mega           = 1e6
	diskBlock      = 1 << 20
	stopLimit      = time.Minute
)

// catchUp is what a replica does that was away while a source was written to.
type catchUp struct {
	writes    int
	entries   float64 // of the source's log
	writeRate float64 // of the source with nobody beside it, SETs a second
	took      time.Duration
}

// rate is how many writes a second the replica went through.
func (r catchUp) rate() float64 { return float64(r.writes) / r.took.Seconds() }

func (r catchUp) met() bool { return r.rate() >= r.writeRate }

// measureCatchUp stops a replica, writes to its source, and starts the replica again.
// What the replica's start takes counts.
func measureCatchUp(c config) (*catchUp, error) {
	r := &catchUp{writes: c.behind}
	p, err := startPair(c, "catchup", "-repl-log-size", strconv.Itoa(c.behind*logPerWrite))
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := fillScattered(p.source, c.keys, valueBytes); err != nil {
		return nil, err
	}
	if err := p.awaitSame(); err != nil {
		return nil, err
	}
	replica := p.replicas[0]
	if _, err := replica.Terminate(stopLimit); err != nil {
		return nil, err
	}
	copiesBefore, err := infoNumber(p.source, "sync_full")
	if err != nil {
		return nil, err
	}
	before, err := infoNumber(p.source, "log_entries_appended")
	if err != nil {
		return nil, err
	}
	if r.writeRate, err = redisBenchmark(p.source, c.keys, "set", 32, c.behind); err != nil {
		return nil, err
	}
	after, err := infoNumber(p.source, "log_entries_appended")
	if err != nil {
		return nil, err
	}
	r.entries = after - before
	fmt.Fprintf(c.progress, "catchup: %d writes in %.0f entries, %.0f/s\n", c.behind, r.entries, r.writeRate)
	if err := settle(p.contenders()); err != nil {
		return nil, err
	}
	marker, err := putMarker(p.source)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := replica.Start(); err != nil {
		return nil, err
	}
	if err := awaitMarker(replica, marker); err != nil {
		return nil, err
	}
	r.took = time.Since(began)
	fmt.Fprintf(c.progress, "catchup: %v, %.0f/s\n", r.took, r.rate())
	copies, err := infoNumber(p.source, "sync_full")
	if err == nil && copies != copiesBefore {
		err = fmt.Errorf("the replica did not go on where it was\n%s", p.source.Logs())
	}
	return r, err
}

// copied is a full copy.
type copied struct {
	data float64 // bytes of keys and values
	sent float64 // bytes that went to the replica
	took time.Duration
	disk float64 // bytes a second that the disk takes
}

func (r copied) met() bool { return r.data/r.took.Seconds() >= min(copyFloor*mega, r.disk) }

// measureCopy has an empty server follow a source, from REPLICAOF until it has all.
func measureCopy(c config) (*copied, error) {
	r := &copied{}
	p := &pair{}
	var err error
	if p.source, err = startDkv(c, "copy-source"); err != nil {
		return nil, err
	}
	if err := p.add(c, "copy-replica"); err != nil {
		return nil, err
	}
	defer p.stop()
	keys := int(float64(c.copyMB) * mega / (copyValueBytes + float64(len(keyOf(0)))))
	r.data = float64(keys * (copyValueBytes + len(keyOf(0))))
	if _, err := fillScattered(p.source, keys, copyValueBytes); err != nil {
		return nil, err
	}
	// The log is cut behind this, so that it does not have everything.
	if _, err := call(p.source, "SAVE"); err != nil {
		return nil, err
	}
	if err := settle(p.contenders()); err != nil {
		return nil, err
	}
	if r.disk, err = diskSpeed(c, r.data); err != nil {
		return nil, err
	}
	fmt.Fprintf(c.progress, "copy: %.0f MB in %d keys; the disk takes %.0f MB/s\n", r.data/mega, keys, r.disk/mega)
	marker, err := putMarker(p.source)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if _, err := call(p.replicas[0], "REPLICAOF", "127.0.0.1", strconv.Itoa(p.source.Port())); err != nil {
		return nil, err
	}
	if err := awaitMarker(p.replicas[0], marker); err != nil {
		return nil, err
	}
	r.took = time.Since(began)
	if r.sent, err = infoNumber(p.source, "total_net_repl_output_bytes"); err != nil {
		return nil, err
	}
	fmt.Fprintf(c.progress, "copy: %v, %.0f MB/s\n", r.took, r.data/mega/r.took.Seconds())
	if full, err := infoNumber(p.source, "sync_full"); err != nil || full != 1 {
		return nil, fmt.Errorf("%.0f full copies instead of one (%v)\n%s", full, err, p.source.Logs())
	}
	return r, nil
}

// diskSpeed returns how many bytes a second the disk takes, one file written from end
// to end and synced.
func diskSpeed(c config, bytes float64) (float64, error) {
	f, err := os.Create(filepath.Join(c.folder, "speed"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := randomBytes(diskBlock)
	began := time.Now()
	for range int(math.Ceil(bytes / diskBlock)) {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	return bytes / time.Since(began).Seconds(), nil
}
