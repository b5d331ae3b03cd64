package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"dkv/tests/harness"
)

const (
	markerKey = "bench:marker"
	// markerEvery is how often a marker is written, lookEvery how often the replica
	// is asked for the last one that it has: what is measured is as coarse as that.
	markerEvery = 5 * time.Millisecond
	lookEvery   = 500 * time.Microsecond
	// catchUpLimit is how long a replica may take to catch up.
	catchUpLimit = 5 * time.Minute
)

// markers are keys on their way from a source to its replica. A marker's lag is the
// time from the source's reply to its SET until the replica shows it. Since a replica
// shows a prefix of the source's history, everything before it is there as well.
type markers struct {
	source, replica *harness.Conn
	stop            context.CancelFunc // of writing
	running         sync.WaitGroup
	writeErr        error
	lookErr         error
	mu              struct {
		sync.Mutex
		acked []time.Time // of marker i
		over  bool        // no more are written
	}
	lags []time.Duration // belongs to look until running is over
}

// watchMarkers begins to write markers and to look for them.
func watchMarkers(source, replica *harness.Server) (*markers, error) {
	m := &markers{}
	var err error
	if m.source, err = source.Connect(); err != nil {
		return nil, err
	}
	if m.replica, err = replica.Connect(); err != nil {
		m.source.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	base := time.Now().UnixNano() // a marker of an earlier measurement is not taken for one of this
	m.running.Go(func() { m.writeErr = m.write(ctx, base) })
	m.running.Go(func() { m.lookErr = m.look(base) })
	return m, nil
}

// end writes no more markers, waits until the replica has shown the last one, and
// returns the lags in the order of the markers.
func (m *markers) end() ([]time.Duration, error) {
	m.stop()
	m.running.Wait()
	m.source.Close()
	m.replica.Close()
	if m.writeErr != nil {
		return nil, m.writeErr
	}
	return m.lags, m.lookErr
}

func (m *markers) write(ctx context.Context, base int64) error {
	tick := time.NewTicker(markerEvery)
	defer tick.Stop()
	defer func() {
		m.mu.Lock()
		m.mu.over = true
		m.mu.Unlock()
	}()
	for i := int64(0); ctx.Err() == nil; i++ {
		if _, err := ask(m.source, "SET", markerKey, strconv.FormatInt(base+i, 10)); err != nil {
			return err
		}
		m.mu.Lock()
		m.mu.acked = append(m.mu.acked, time.Now())
		m.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

func (m *markers) look(base int64) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	newest := int64(0)
	for moved := time.Now(); time.Since(moved) < catchUpLimit; <-tick.C {
		value, err := ask(m.replica, "GET", markerKey)
		if err != nil {
			return err
		}
		last, _ := strconv.ParseInt(value, 10, 64) // none yet: 0
		now := time.Now()
		if last > newest {
			newest, moved = last, now
		}
		if m.saw(int(last-base), now) {
			return nil
		}
	}
	return fmt.Errorf("the replica shows no new marker for %v", catchUpLimit)
}

// saw notes that the replica shows marker last, and says whether that is all.
func (m *markers) saw(last int, now time.Time) (all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// The replica may be faster than the source's reply.
	for i := len(m.lags); i <= last && i < len(m.mu.acked); i++ {
		m.lags = append(m.lags, max(0, now.Sub(m.mu.acked[i])))
	}
	return m.mu.over && len(m.lags) == len(m.mu.acked)
}

// quantile returns the smallest value that a share of all is not above.
func quantile(lags []time.Duration, share float64) time.Duration {
	if len(lags) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(lags))
	return s[min(len(s)-1, int(share*float64(len(s))))]
}

// lagRow is one line of the table of lags.
type lagRow struct {
	pipeline int
	half     bool
	rate     float64 // of the source, SETs a second
	lags     []time.Duration
}

// Floors of the lag: at full load none may be above the first, at half load the
// median not above the second.
const (
	fullLagLimit = time.Second
	halfLagLimit = 10 * time.Millisecond
)

func (r lagRow) met() bool {
	if r.half {
		return quantile(r.lags, 0.5) < halfLagLimit
	}
	return quantile(r.lags, 1) < fullLagLimit
}

// measureLag puts load on a source and watches its replica.
func measureLag(c config) ([]lagRow, error) {
	p, err := startPair(c, "lag")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := fillScattered(p.source, c.keys, valueBytes); err != nil {
		return nil, err
	}
	var rows []lagRow
	for _, pipeline := range []int{1, 32} {
		full, err := measureLagAt(c, p, pipeline, 0)
		if err != nil {
			return nil, err
		}
		half, err := measureLagAt(c, p, pipeline, full.rate/2)
		if err != nil {
			return nil, err
		}
		rows = append(rows, full, half)
	}
	return rows, nil
}

// measureLagAt measures one row; a rate of 0 is as much as the source takes.
func measureLagAt(c config, p *pair, pipeline int, rate float64) (row lagRow, err error) {
	row = lagRow{pipeline: pipeline, half: rate > 0}
	if err := p.awaitSame(); err != nil {
		return row, err
	}
	if err := settle(p.contenders()); err != nil {
		return row, err
	}
	requests := 0
	if rate == 0 {
		probed, err := redisBenchmark(p.source, c.keys, "set", pipeline, 2000*pipeline*5)
		if err != nil {
			return row, err
		}
		requests = max(1000, int(probed*c.seconds))
	}
	m, err := watchMarkers(p.source, p.replicas[0])
	if err != nil {
		return row, err
	}
	if rate == 0 {
		row.rate, err = redisBenchmark(p.source, c.keys, "set", pipeline, requests)
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.seconds*float64(time.Second)))
		row.rate, err = pacedLoad(ctx, p.source, c.keys, pipeline, rate)
		cancel()
	}
	lags, watchErr := m.end()
	if err == nil {
		err = watchErr
	}
	row.lags = lags
	fmt.Fprintf(c.progress, "lag: -P %-2d %9.0f/s  p50 %v  p99 %v  max %v\n", pipeline, row.rate,
		quantile(lags, 0.5), quantile(lags, 0.99), quantile(lags, 1))
	return row, err
}
