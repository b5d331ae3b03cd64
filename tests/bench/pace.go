package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"dkv/tests/harness"
)

const (
	// fillConns and scatterPrime are of fillScattered: the prime is larger than any
	// number of keys, so that each is hit once.
	fillConns    = 4
	scatterPrime = 2_147_483_647
	// randomPool is what values are cut from: so much that two values in one block of
	// a table hardly overlap.
	randomPool = 16 << 20
	okReply    = "+OK\r\n"
)

// valueSource returns a function that returns random values, for one goroutine.
func valueSource(pool string, bytes int) func() string {
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	return func() string {
		at := rng.IntN(len(pool) - bytes)
		return pool[at : at+bytes]
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

// setMany sends a pipeline of SETs and reads the replies.
func setMany(conn *harness.Conn, keys []int, value func() string, replies []byte) error {
	for _, k := range keys {
		conn.Queue("SET", keyOf(k), value())
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	replies = replies[:len(okReply)*len(keys)]
	if _, err := io.ReadFull(conn.Reader(), replies); err != nil {
		return err
	}
	for i := 0; i < len(replies); i += len(okReply) {
		if string(replies[i:i+len(okReply)]) != okReply {
			return fmt.Errorf("SET is answered with %.100q", replies[i:])
		}
	}
	return nil
}

// fillScattered sets keys, each once, in no order, to values that do not compress, and
// returns keys per second.
func fillScattered(s *harness.Server, keys, bytes int) (float64, error) {
	pool, began := string(randomBytes(randomPool)), time.Now()
	errs := make([]error, fillConns)
	var wg sync.WaitGroup
	for worker := range fillConns {
		wg.Go(func() {
			conn, err := harness.Dial(s.Addr())
			if err != nil {
				errs[worker] = err
				return
			}
			defer conn.Close()
			value, replies := valueSource(pool, bytes), make([]byte, fillPipeline*len(okReply))
			batch := make([]int, 0, fillPipeline)
			for i := worker; i < keys && errs[worker] == nil; i += fillConns {
				batch = append(batch, i*scatterPrime%keys)
				if len(batch) == cap(batch) || i+fillConns >= keys {
					errs[worker] = setMany(conn, batch, value, replies)
					batch = batch[:0]
				}
			}
		})
	}
	wg.Wait()
	return float64(keys) / time.Since(began).Seconds(), errors.Join(errs...)
}

// pacedLoad sets random keys at a rate until ctx ends, and returns the rate that it got. Each
// connection's pipelines are due at fixed times; a server that is late gets
// what has become due at once.
func pacedLoad(ctx context.Context, s *harness.Server, keys, pipeline int, rate float64) (float64, error) {
	pool, began := string(randomBytes(randomPool)), time.Now()
	pause := time.Duration(float64(clients*pipeline) / rate * float64(time.Second))
	var done atomic.Int64
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for worker := range clients {
		wg.Go(func() {
			conn, err := harness.Dial(s.Addr())
			if err != nil {
				errs[worker] = err
				return
			}
			defer conn.Close()
			rng := rand.New(rand.NewPCG(rand.Uint64(), uint64(worker)))
			value, replies, batch := valueSource(pool, valueBytes), make([]byte, pipeline*len(okReply)), make([]int, pipeline)
			due := time.Now().Add(pause * time.Duration(worker) / clients)
			timer := time.NewTimer(0)
			for {
				timer.Reset(time.Until(due))
				select {
				case <-timer.C:
				case <-ctx.Done():
					return
				}
				for i := range batch {
					batch[i] = rng.IntN(keys)
				}
				if errs[worker] = setMany(conn, batch, value, replies); errs[worker] != nil {
					return
				}
				done.Add(int64(pipeline))
				due = due.Add(pause)
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}
