package apps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A queue of lists, as Sidekiq's reliable fetch has it: a worker moves a job from the
// queue to a list of its own in one step, does it, and takes it off that list. What a
// dead worker has left there is moved back.
const (
	listQueue = "{lists}:queue"
	listDone  = "{lists}:done"
	listOwn   = "{lists}:worker:"
)

// finish takes a job off the worker's list and counts it, when it was still there: so
// it can be said again by whoever does not know whether it was heard.
var finish = redis.NewScript(`
	if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 1 then
		return redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
	end
	return 0`)

// workLists is a worker: it does jobs until it is killed. Half of its hands take them
// with BLMOVE, the others with BRPOPLPUSH.
func workLists(p place) {
	c, ctx := p.client(), context.Background()
	own := listOwn + fmt.Sprint(os.Getpid())
	var hands sync.WaitGroup
	for i := range concurrency {
		hands.Go(func() {
			for {
				var job string
				var err error
				if i%2 == 0 {
					job, err = c.BLMove(ctx, listQueue, own, "RIGHT", "LEFT", time.Second).Result()
				} else {
					job, err = c.BRPopLPush(ctx, listQueue, own, time.Second).Result()
				}
				if err != nil {
					if !errors.Is(err, redis.Nil) {
						time.Sleep(10 * time.Millisecond)
					}
					continue
				}
				time.Sleep(20 * time.Millisecond)
				for finish.Run(ctx, c, []string{own, listDone}, job).Err() != nil {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	hands.Wait()
}

// TestListQueue has workers killed in mid-job: each job is done exactly once.
func TestListQueue(t *testing.T) {
	t.Parallel()
	queuePlaces(t, func(t *testing.T, p place) {
		c, ctx := p.dialClient(t), t.Context()
		workers := []*program{startRole(t, p, "lists"), startRole(t, p, "lists"), startRole(t, p, "lists")}
		for i := range jobs { // before any fault: LPUSH is not one that can be said twice
			if err := c.LPush(ctx, listQueue, fmt.Sprintf("job-%d", i)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		moved := 0
		for round := range 3 {
			untilDone(t, c, listDone, int64((round+1)*jobs/5))
			w := workers[round]
			w.kill()
			if round == 1 {
				p.killLeader(t, listQueue)
			}
			moved += giveBack(t, c, w.cmd.Process.Pid)
			workers = append(workers, startRole(t, p, "lists"))
		}
		t.Logf("%d jobs were in the hands of workers that were killed", moved)
		// A move of which its worker never heard leaves a job in its list: what is
		// there when nothing else is to be done is given back too.
		lost := make(map[string]int)
		deadline := time.Now().Add(programLimit)
		for {
			n, err := c.HLen(ctx, listDone).Result()
			if err == nil && n == jobs {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d jobs are done after %v: %v", n, programLimit, err)
			}
			giveBackForgotten(t, c, workers, lost)
			time.Sleep(50 * time.Millisecond)
		}
		done, err := c.HGetAll(ctx, listDone).Result()
		if err != nil {
			t.Fatal(err)
		}
		checkDone(t, done, 0)
	})
}

// giveBack moves what a dead worker had back to the queue.
func giveBack(t *testing.T, c redis.UniversalClient, pid int) (moved int) {
	t.Helper()
	deadline := time.Now().Add(programLimit)
	for {
		err := c.LMove(t.Context(), listOwn+fmt.Sprint(pid), listQueue, "LEFT", "RIGHT").Err()
		switch {
		case err == nil:
			moved++
		case errors.Is(err, redis.Nil):
			return moved
		case time.Now().After(deadline):
			t.Fatal(err)
		}
	}
}

// giveBackForgotten gives back the jobs that have been in a list for ten looks: what a
// worker does takes less. A job that is given back while it is done is still counted
// once, for it is not in that list any more.
func giveBackForgotten(t *testing.T, c redis.UniversalClient, workers []*program, looks map[string]int) {
	t.Helper()
	for _, w := range workers {
		own := listOwn + fmt.Sprint(w.cmd.Process.Pid)
		held, err := c.LRange(t.Context(), own, 0, -1).Result()
		if err != nil {
			continue // no leader for a moment
		}
		for _, job := range held {
			at := strings.Join([]string{own, job}, " ")
			if looks[at]++; looks[at] == 10 {
				delete(looks, at)
				_ = back.Run(t.Context(), c, []string{own, listQueue}, job).Err() // what failed is looked at again
			}
		}
	}
}

var back = redis.NewScript(`
	if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 1 then redis.call('RPUSH', KEYS[2], ARGV[1]) end
	return 0`)
