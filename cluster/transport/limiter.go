package transport

import (
	"context"
	"sync"
	"time"
)

// limiter is a token bucket of bytes. It holds a tenth of a second's worth, and
// lends: who takes more than is there waits until the debt is paid, so frames
// of any size pass at the rate.
type limiter struct {
	rate  float64 // bytes per second; 0: no limit
	clock func() time.Time

	mu struct {
		sync.Mutex
		tokens float64
		last   time.Time
	}
}

const limiterBurst = 100 * time.Millisecond

func newLimiter(rate int64, clock func() time.Time) *limiter {
	l := &limiter{rate: float64(rate), clock: clock}
	l.mu.last = clock()
	return l
}

// reserve takes n bytes and returns how long to wait before they are sent.
func (l *limiter) reserve(n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	if passed := now.Sub(l.mu.last); passed > 0 {
		l.mu.tokens = min(l.mu.tokens+passed.Seconds()*l.rate, limiterBurst.Seconds()*l.rate)
	}
	l.mu.last = now
	l.mu.tokens -= float64(n)
	return time.Duration(max(-l.mu.tokens/l.rate, 0) * float64(time.Second))
}

// wait returns when n bytes may be sent, or ctx's error.
func (l *limiter) wait(ctx context.Context, n int) error {
	if l.rate == 0 {
		return nil
	}
	d := l.reserve(n)
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
