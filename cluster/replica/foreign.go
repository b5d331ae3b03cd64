package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Foreign follows a source that is no dkv, over connections of its own and for all
// shards, until something fails or ctx ends. began says that the source has agreed to serve this
// replica.
type Foreign func(ctx context.Context, l *ForeignLink) (began bool, err error)

// ForeignLink is what a Foreign has to work with.
type ForeignLink struct {
	*LinkOptions
	Addr string
	// Update changes what the link says of itself.
	Update func(f func(st *LinkStatus))
}

var (
	// errForeign: the source is no dkv.
	errForeign = errors.New("the source is no dkv")
	// errNotFirst ends what a link waits for while the first one follows for it.
	errNotFirst = errors.New("the link of the first shard follows no longer")
)

// followForeign follows a source that is no dkv. Its stream is one for all shards, so
// the first shard's link follows, and the others wait until it does so no more.
func (l *Link) followForeign(ctx context.Context, addr string) (began bool, err error) {
	if l.o.First != nil {
		return false, l.o.First.awaitForeign(ctx)
	}
	done := make(chan struct{})
	l.mu.Lock()
	l.mu.status.Foreign, l.mu.leading = true, done
	close(l.mu.leads)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.mu.leading, l.mu.leads = nil, make(chan struct{})
		l.mu.Unlock()
		close(done)
	}()
	return l.o.Foreign(ctx, &ForeignLink{LinkOptions: &l.o, Addr: addr, Update: l.update})
}

// awaitForeign returns when this link, which is the first, has followed and does so no
// more, or has not begun to for a while.
func (l *Link) awaitForeign(ctx context.Context) error {
	l.mu.Lock()
	leads, leading := l.mu.leads, l.mu.leading
	l.mu.Unlock()
	if leading == nil {
		t := time.NewTimer(lastPause)
		defer t.Stop()
		select {
		case <-leads:
		case <-t.C:
			return errNotFirst
		case <-ctx.Done():
			return ctx.Err()
		}
		l.mu.Lock()
		leading = l.mu.leading
		l.mu.Unlock()
	}
	if leading != nil {
		select {
		case <-leading:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errNotFirst
}

// foreign recognizes a source that is no dkv by what it does not know: DKV.SYNC, or
// what REPLCONF tells it before.
func foreign(err error) error {
	var reply replyError
	if errors.As(err, &reply) {
		text := strings.ToLower(string(reply))
		if strings.Contains(text, "unrecognized replconf option") || strings.Contains(text, "unknown command") {
			return fmt.Errorf("%w: %w", errForeign, err)
		}
	}
	return err
}
