package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	dialLimit = 10 * time.Second
	opLimit   = 10 * time.Second
	// fillPuts is how many puts a transaction holds; etcd takes 128 by default.
	fillPuts  = 100
	fillTries = 5
	valuePool = 1 << 20
)

// config is what the flags say.
type config struct {
	endpoints  []string
	op         string
	clients    int
	warmup     float64
	seconds    float64
	keys       int
	valueBytes int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "etcdload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	c := config{}
	endpoints := flag.String("endpoints", "", "host:port of the members, separated by commas")
	flag.StringVar(&c.op, "op", "put", "put, get or fill")
	flag.IntVar(&c.clients, "clients", 50, "clients, each with a connection of its own")
	flag.Float64Var(&c.seconds, "seconds", 6, "how long to measure")
	flag.Float64Var(&c.warmup, "warmup", 1, "seconds of load before measuring")
	flag.IntVar(&c.keys, "keys", 1_000_000, "key space")
	flag.IntVar(&c.valueBytes, "value-bytes", 100, "size of values")
	flag.Parse()
	c.endpoints = strings.Split(*endpoints, ",")
	if *endpoints == "" || c.clients < 1 || c.keys < 1 || c.op != "put" && c.op != "get" && c.op != "fill" {
		return errors.New("usage: etcdload -endpoints h:p,... -op put|get|fill")
	}
	workers, err := connect(ctx, c)
	defer func() {
		for _, w := range workers {
			if w.client != nil {
				w.client.Close()
			}
		}
	}()
	if err != nil {
		return err
	}
	began := time.Now().Add(seconds(c.warmup))
	end := began.Add(seconds(c.seconds))
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			if c.op == "fill" {
				w.fill(ctx, c, i)
			} else {
				w.load(ctx, c, began, end)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began).Seconds()
	var done, failed int
	for _, w := range workers {
		done, failed = done+w.done, failed+w.failed
		if w.err != nil {
			err = w.err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcdload: one of the errors:", err)
	}
	fmt.Printf("%.1f %d\n", float64(done)/elapsed, failed)
	return nil
}

// worker is one client. Its goroutine owns it.
type worker struct {
	client *clientv3.Client
	values string // random bytes that values are cut from
	done   int
	failed int
	err    error // of the last that failed
}

// connect makes the clients, each connected to its member when this returns.
func connect(ctx context.Context, c config) ([]*worker, error) {
	pool := make([]byte, valuePool+c.valueBytes)
	rand.Read(pool)
	values := string(pool)
	workers := make([]*worker, c.clients)
	errs := make([]error, c.clients)
	var wg sync.WaitGroup
	for i := range workers {
		workers[i] = &worker{values: values}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, dialLimit)
			defer cancel()
			var err error
			workers[i].client, err = clientv3.New(clientv3.Config{
				Endpoints: []string{c.endpoints[i%len(c.endpoints)]}, DialTimeout: dialLimit, Logger: zap.NewNop(),
			})
			if err == nil {
				_, err = workers[i].client.Get(ctx, "connected")
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return workers, errors.Join(errs...)
}

// load does one operation after the other until end. Those that succeed from
// begin on count.
func (w *worker) load(ctx context.Context, c config, begin, end time.Time) {
	for time.Now().Before(end) && ctx.Err() == nil {
		key := keyOf(mathrand.IntN(c.keys))
		opCtx, cancel := context.WithTimeout(ctx, opLimit)
		var err error
		if c.op == "put" {
			_, err = w.client.Put(opCtx, key, w.value(c))
		} else {
			var r *clientv3.GetResponse
			if r, err = w.client.Get(opCtx, key); err == nil && len(r.Kvs) != 1 {
				err = fmt.Errorf("%s is not there", key)
			}
		}
		cancel()
		if err != nil || !time.Now().Before(begin) {
			w.count(1, err)
		}
	}
}

// fill puts this client's share of all keys.
func (w *worker) fill(ctx context.Context, c config, number int) {
	var puts []clientv3.Op
	flush := func() {
		if len(puts) == 0 || ctx.Err() != nil {
			return
		}
		_, err := w.client.Txn(ctx).Then(puts...).Commit()
		for try := 1; err != nil && try < fillTries; try++ { // a busy disk lets transactions time out
			_, err = w.client.Txn(ctx).Then(puts...).Commit()
		}
		w.count(len(puts), err)
		puts = puts[:0]
	}
	for key := number; key < c.keys; key += c.clients {
		puts = append(puts, clientv3.OpPut(keyOf(key), w.value(c)))
		if len(puts) == fillPuts {
			flush()
		}
	}
	flush()
}

func (w *worker) count(n int, err error) {
	if err != nil {
		w.failed += n
		w.err = err
		return
	}
	w.done += n
}

func (w *worker) value(c config) string {
	at := mathrand.IntN(valuePool)
	return w.values[at : at+c.valueBytes]
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// keyOf makes the keys that tests/bench sets in dkv.
func keyOf(n int) string { return "key:" + strconv.Itoa(1_000_000_000_000 + n)[1:] }
