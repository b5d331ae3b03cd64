package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Foreign follows a source that is no dkv, over connections of its own, until
// something fails or ctx ends. began says that the source has agreed to serve this
// replica.
type Foreign func(ctx context.Context, l *ForeignLink) (began bool, err error)

// ForeignLink is what a Foreign has to work with.
type ForeignLink struct {
	*LinkOptions
	Addr string
	// Update changes what the link says of itself.
	Update func(f func(st *LinkStatus))
}

// errForeign: the source is no dkv.
var errForeign = errors.New("the source is no dkv")

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
