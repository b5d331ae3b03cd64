package apps

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

// TestRedsync has many take one lock and change what it guards in two steps.
func TestRedsync(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		c, ctx := p.dialClient(t), t.Context()
		if err := c.Set(ctx, "{lock}guarded", 0, 0).Err(); err != nil {
			t.Fatal(err)
		}
		const rounds, holders = 10, 5
		var wg sync.WaitGroup
		for range holders {
			wg.Go(func() {
				locks := redsync.New(goredis.NewPool(p.dialClient(t)))
				for range rounds {
					m := locks.NewMutex("{lock}name", redsync.WithExpiry(time.Minute), redsync.WithTries(10000), redsync.WithRetryDelay(2*time.Millisecond))
					if err := m.LockContext(ctx); err != nil {
						t.Error(err)
						return
					}
					n, err := c.Get(ctx, "{lock}guarded").Int()
					if err == nil {
						err = c.Set(ctx, "{lock}guarded", n+1, 0).Err()
					}
					if ok, err2 := m.UnlockContext(ctx); err != nil || err2 != nil || !ok {
						t.Error(err, err2, ok)
						return
					}
				}
			})
		}
		wg.Wait()
		if got := c.Get(ctx, "{lock}guarded").Val(); got != strconv.Itoa(rounds*holders) {
			t.Errorf("guarded is %s, want %d", got, rounds*holders)
		}
		m := redsync.New(goredis.NewPool(c)).NewMutex("{lock}name", redsync.WithTries(1), redsync.WithExpiry(time.Minute))
		if err := m.TryLockContext(ctx); err != nil {
			t.Fatal(err)
		}
		other := redsync.New(goredis.NewPool(c)).NewMutex("{lock}name", redsync.WithTries(1))
		var taken *redsync.ErrTaken
		if err := other.TryLockContext(ctx); !errors.As(err, &taken) {
			t.Errorf("a lock that is taken: %v", err)
		}
		if ok, err := m.ExtendContext(ctx); err != nil || !ok {
			t.Errorf("extend: %v, %v", ok, err)
		}
		if err := c.Get(ctx, "{lock}name").Err(); errors.Is(err, redis.Nil) {
			t.Error("the lock is gone")
		}
		if ok, err := m.UnlockContext(ctx); err != nil || !ok {
			t.Errorf("unlock: %v, %v", ok, err)
		}
	})
}
