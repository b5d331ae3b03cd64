package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What a clusterLoad does.
const (
	opSet  = "set"
	opGet  = "get"
	opFill = "fill" // every key once; no measurement
)

const (
	opLimit   = 10 * time.Second
	valuePool = 1 << 20
	// fillBatch is how many keys are set at once to fill a server.
	fillBatch = 100
	// defaultFailures is the share of operations that may fail in a run, as some
	// do when a busy machine makes a cluster elect.
	defaultFailures = 0.001
)

// clusterLoad is one thing that the clients of a cluster do.
type clusterLoad struct {
	row      *row
	op       string
	pipeline int
	// baseOf is a row whose base is this one's too, for a load that the other
	// side has no counterpart for. nil: the other side does the same.
	baseOf *row
}

// worker is one client of a dkv cluster: a connection to one of the nodes, and
// one pipeline in flight. Its goroutine owns it.
type worker struct {
	client *redis.Client
	values string // random bytes that values are cut from
	rng    *rand.Rand
	done   int
	failed int
	err    error // of the last that failed
}

// runLoad puts load on nodes, clients spread over them, and returns operations
// a second. Connecting is not measured, nor what is done in the warm-up.
func runLoad(ctx context.Context, c config, addrs []string, l clusterLoad) (float64, error) {
	workers, err := connect(ctx, addrs)
	defer func() {
		for _, w := range workers {
			w.client.Close()
		}
	}()
	if err != nil {
		return 0, err
	}
	begin := time.Now().Add(warmUp(c))
	end := begin.Add(time.Duration(c.seconds * float64(time.Second)))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			if l.op == opFill {
				w.fill(ctx, c, i)
			} else {
				w.load(ctx, c, l, begin, end)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begin).Seconds()
	var done, failed int
	for _, w := range workers {
		done, failed = done+w.done, failed+w.failed
		if w.err != nil {
			err = w.err
		}
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		fmt.Fprintf(c.progress, "%d operations failed, one of them: %v\n", failed, err)
	}
	return float64(done) / elapsed, c.tolerable(float64(done), failed)
}

// tolerable returns an error when too many operations of a run failed.
func (c config) tolerable(done float64, failed int) error {
	if done <= 0 || float64(failed) > c.failures*done {
		return fmt.Errorf("%d operations failed, %.0f did not", failed, done)
	}
	return nil
}

// warmUp is how long a run goes on before it is measured.
func warmUp(c config) time.Duration { return time.Duration(c.seconds / 6 * float64(time.Second)) }

func connect(ctx context.Context, addrs []string) ([]*worker, error) {
	pool := make([]byte, valuePool+valueBytes)
	for i := range pool {
		pool[i] = byte(rand.Uint32())
	}
	values := string(pool)
	var errs []error
	workers := make([]*worker, clients)
	for i := range workers {
		workers[i] = &worker{values: values, rng: rand.New(rand.NewPCG(rand.Uint64(), uint64(i))), client: redis.NewClient(&redis.Options{
			Addr: addrs[i%len(addrs)], Protocol: 2, DisableIdentity: true, PoolSize: 1, MaxRetries: -1,
			ReadTimeout: opLimit, WriteTimeout: opLimit,
		})}
		errs = append(errs, workers[i].client.Ping(ctx).Err())
	}
	return workers, errors.Join(errs...)
}

// load does one pipeline after the other until end. Those that are answered
// from begin on count.
func (w *worker) load(ctx context.Context, c config, l clusterLoad, begin, end time.Time) {
	for time.Now().Before(end) && ctx.Err() == nil {
		failed, err := w.exchange(ctx, c, l)
		if err != nil || !time.Now().Before(begin) {
			w.count(l.pipeline-failed, failed, err)
		}
	}
}

// exchange sends one pipeline and waits for its replies. It returns how many
// operations failed, and why one of them did.
func (w *worker) exchange(ctx context.Context, c config, l clusterLoad) (failed int, err error) {
	if l.pipeline == 1 {
		key := keyOf(w.rng.IntN(c.keys))
		if l.op == opSet {
			err = w.client.Set(ctx, key, w.value(), 0).Err()
		} else {
			err = w.client.Get(ctx, key).Err()
		}
		if err != nil {
			failed = 1
		}
		return failed, err
	}
	pipe := w.client.Pipeline()
	for range l.pipeline {
		key := keyOf(w.rng.IntN(c.keys))
		if l.op == opSet {
			pipe.Set(ctx, key, w.value(), 0)
		} else {
			pipe.Get(ctx, key)
		}
	}
	return execute(ctx, pipe)
}

// fill sets this client's share of all keys.
func (w *worker) fill(ctx context.Context, c config, number int) {
	pipe := w.client.Pipeline()
	for key := number; key < c.keys && ctx.Err() == nil; key += clients {
		pipe.Set(ctx, keyOf(key), w.value(), 0)
		if n := pipe.Len(); n == fillBatch || key+clients >= c.keys {
			failed, err := execute(ctx, pipe)
			w.count(n-failed, failed, err)
		}
	}
}

func execute(ctx context.Context, pipe redis.Pipeliner) (failed int, err error) {
	replies, err := pipe.Exec(ctx)
	if err == nil {
		return 0, nil
	}
	for _, r := range replies {
		if r.Err() != nil {
			failed++
		}
	}
	return failed, err
}

func (w *worker) count(done, failed int, err error) {
	w.done += done
	w.failed += failed
	if err != nil {
		w.err = err
	}
}

func (w *worker) value() string {
	at := w.rng.IntN(valuePool)
	return w.values[at : at+valueBytes]
}

// keyOf makes a key of 16 bytes, as redis-benchmark has them. The digit in
// front keeps the zeros, and fmt is not for loops like these.
func keyOf(n int) string { return "key:" + strconv.Itoa(1_000_000_000_000 + n)[1:] }
