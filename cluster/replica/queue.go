package replica

import "sync"

// queue holds the frames that were read and not applied yet.
type queue struct {
	limit int // bytes
	mu    struct {
		sync.Mutex
		frames []Frame
		sizes  []int
		bytes  int
		err    error // why no more come
	}
	changed sync.Cond
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.changed.L = &q.mu
	return q
}

// fill reads frames until there is an error, as long as there is room.
func (q *queue) fill(read func() (Frame, int, error)) {
	for {
		f, n, err := read()
		q.mu.Lock()
		for err == nil && q.mu.err == nil && len(q.mu.frames) > 0 && q.mu.bytes+n > q.limit {
			q.changed.Wait()
		}
		if q.mu.err == nil {
			q.mu.err = err
		}
		over := q.mu.err != nil
		if !over {
			q.mu.frames, q.mu.sizes = append(q.mu.frames, f), append(q.mu.sizes, n)
			q.mu.bytes += n
		}
		q.changed.Broadcast()
		q.mu.Unlock()
		if over {
			return
		}
	}
}

// take waits for frames and returns them, up to so many bytes but at least one. What
// was read before an error comes before it.
func (q *queue) take(bytes int) ([]Frame, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.mu.frames) == 0 && q.mu.err == nil {
		q.changed.Wait()
	}
	if len(q.mu.frames) == 0 {
		return nil, q.mu.err
	}
	n, size := 0, 0
	for n < len(q.mu.frames) && (n == 0 || size+q.mu.sizes[n] <= bytes) {
		size += q.mu.sizes[n]
		n++
	}
	frames := make([]Frame, n)
	copy(frames, q.mu.frames)
	rest := copy(q.mu.frames, q.mu.frames[n:])
	clear(q.mu.frames[rest:])
	q.mu.frames = q.mu.frames[:rest]
	q.mu.sizes = q.mu.sizes[:copy(q.mu.sizes, q.mu.sizes[n:])]
	q.mu.bytes -= size
	q.changed.Broadcast()
	return frames, nil
}

// close ends fill, which may be waiting for room.
func (q *queue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.err == nil {
		q.mu.err = err
	}
	q.changed.Broadcast()
}
