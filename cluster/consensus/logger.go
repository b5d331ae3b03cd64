package consensus

import (
	"context"
	"fmt"
	"log/slog"
)

// raftLogger sends raft's log lines to slog. Raft's Info lines tell of every
// campaign step and are Debug here. What nobody wants is not put together.
type raftLogger struct{ l *slog.Logger }

func (r raftLogger) print(level slog.Level, v []any) {
	if r.l.Enabled(context.Background(), level) {
		r.l.Log(context.Background(), level, "raft: "+fmt.Sprint(v...))
	}
}

func (r raftLogger) printf(level slog.Level, f string, v []any) {
	if r.l.Enabled(context.Background(), level) {
		r.l.Log(context.Background(), level, "raft: "+fmt.Sprintf(f, v...))
	}
}

func (r raftLogger) Debug(v ...any)              { r.print(slog.LevelDebug, v) }
func (r raftLogger) Debugf(f string, v ...any)   { r.printf(slog.LevelDebug, f, v) }
func (r raftLogger) Info(v ...any)               { r.print(slog.LevelDebug, v) }
func (r raftLogger) Infof(f string, v ...any)    { r.printf(slog.LevelDebug, f, v) }
func (r raftLogger) Warning(v ...any)            { r.print(slog.LevelWarn, v) }
func (r raftLogger) Warningf(f string, v ...any) { r.printf(slog.LevelWarn, f, v) }
func (r raftLogger) Error(v ...any)              { r.print(slog.LevelError, v) }
func (r raftLogger) Errorf(f string, v ...any)   { r.printf(slog.LevelError, f, v) }

// Fatal and Panic are raft's words for a broken invariant of its own.
func (r raftLogger) Fatal(v ...any)            { panic("raft: " + fmt.Sprint(v...)) }
func (r raftLogger) Fatalf(f string, v ...any) { panic("raft: " + fmt.Sprintf(f, v...)) }
func (r raftLogger) Panic(v ...any)            { panic("raft: " + fmt.Sprint(v...)) }
func (r raftLogger) Panicf(f string, v ...any) { panic("raft: " + fmt.Sprintf(f, v...)) }
