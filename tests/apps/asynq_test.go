package apps

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"dkv/tests/harness"
)

const asynqDone = "asynq-done"

// asynqConn is how asynq connects to a place.
func (p place) asynqConn() asynq.RedisConnOpt {
	if p.clustered {
		return asynq.RedisClusterClientOpt{Addrs: p.addrs, MaxRedirects: 20}
	}
	return asynq.RedisClientOpt{Addr: p.addrs[0]}
}

// workAsynq is a worker: it does jobs until it is killed.
func workAsynq(p place) {
	c := p.client()
	srv := asynq.NewServer(p.asynqConn(), asynq.Config{
		Concurrency: concurrency, LogLevel: asynq.FatalLevel,
		TaskCheckInterval: 100 * time.Millisecond, DelayedTaskCheckInterval: 100 * time.Millisecond,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 50 * time.Millisecond },
	})
	err := srv.Run(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		time.Sleep(20 * time.Millisecond)
		return c.HIncrBy(ctx, asynqDone, string(task.Payload()), 1).Err()
	}))
	fmt.Println(err)
	os.Exit(1)
}

// TestAsynq has workers of asynq killed in mid-job. What a dead worker had is recovered
// when its lease is over, which the test brings about by setting the clock of the
// leases back.
func TestAsynq(t *testing.T) {
	t.Parallel()
	queuePlaces(t, func(t *testing.T, p place) {
		c := p.dialClient(t)
		enqueued := make(chan error, 1)
		go func() { enqueued <- enqueue(p) }()
		first := []*program{startRole(t, p, "asynq"), startRole(t, p, "asynq")}
		untilDone(t, c, asynqDone, jobs/5)
		p.killLeader(t, "asynq:{default}:pending")
		untilDone(t, c, asynqDone, jobs/2)
		for _, w := range first {
			w.kill()
		}
		if err := <-enqueued; err != nil {
			t.Fatal(err)
		}
		orphans := overdue(t, c)
		t.Logf("%d jobs had a lease when their workers were killed", orphans)
		startRole(t, p, "asynq")
		inspector := asynq.NewInspector(p.asynqConn())
		defer inspector.Close()
		var info *asynq.QueueInfo
		harness.Until(t, programLimit, "all jobs completed", func() bool {
			var err error
			info, err = inspector.GetQueueInfo("default")
			return err == nil && info.Completed == jobs
		})
		if info.Archived+info.Active+info.Retry+info.Pending+info.Scheduled != 0 || info.Size != jobs {
			t.Errorf("not all is completed: %+v", info)
		}
		done, err := c.HGetAll(t.Context(), asynqDone).Result()
		if err != nil {
			t.Fatal(err)
		}
		again := len(first) * concurrency
		if p.cluster != nil {
			again = jobs // who was told nothing about what he did says it again
		}
		checkDone(t, done, again)
	})
}

// enqueue hands out all jobs; one that is there is known by its id.
func enqueue(p place) error {
	client := asynq.NewClient(p.asynqConn())
	defer client.Close()
	end := time.Now().Add(programLimit)
	for i := range jobs {
		name := fmt.Sprint(i)
		task := asynq.NewTask("work", []byte(name))
		for {
			options := []asynq.Option{asynq.TaskID(name), asynq.MaxRetry(1000), asynq.Retention(time.Hour)}
			if i%5 == 0 {
				options = append(options, asynq.ProcessIn(200*time.Millisecond))
			}
			_, err := client.Enqueue(task, options...)
			if err == nil || errors.Is(err, asynq.ErrTaskIDConflict) {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("job %d: %w", i, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// overdue makes all leases that there are long over.
func overdue(t *testing.T, c redis.UniversalClient) int {
	t.Helper()
	const leases = "asynq:{default}:lease"
	ids, err := c.ZRange(t.Context(), leases, 0, -1).Result()
	for _, id := range ids {
		if err == nil {
			err = c.ZAddXX(t.Context(), leases, redis.Z{Score: 1, Member: id}).Err()
		}
	}
	if err != nil {
		t.Fatal(err, strings.Join(ids, " "))
	}
	return len(ids)
}
