package badgerdb

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// logger is Badger's logger on slog. It also counts compactions, which Badger tells
// to nobody else.
type logger struct {
	log                               *slog.Logger
	compactions, compactNanos, errors atomic.Uint64
}

func newLogger(log *slog.Logger) *logger { return &logger{log: log} }

func text(format string, args []any) string {
	return "badger: " + strings.TrimSpace(fmt.Sprintf(format, args...))
}

func (l *logger) Errorf(format string, args ...any) {
	l.errors.Add(1)
	l.log.Error(text(format, args))
}

func (l *logger) Warningf(format string, args ...any) { l.log.Warn(text(format, args)) }
func (l *logger) Infof(format string, args ...any)    { l.log.Debug(text(format, args)) }

// compacted begins the line of a compaction that is done; the last argument is how
// long it took.
const compacted = "[%d] LOG Compact. Added"

func (l *logger) Debugf(format string, args ...any) {
	if strings.HasPrefix(format, compacted) {
		l.compactions.Add(1)
		if d, ok := args[len(args)-1].(time.Duration); ok {
			l.compactNanos.Add(uint64(d))
		}
	}
	l.log.Debug(text(format, args))
}
