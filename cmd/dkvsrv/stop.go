package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"dkv/cluster"
	"dkv/server"
)

// closer joins what goes wrong on closing to the error that is returned.
type closer struct{ err *error }

func (c closer) do(f func() error) {
	if err := f(); err != nil {
		*c.err = errors.Join(*c.err, err)
	}
}

// wait returns when the server has to stop: nil when it was asked to.
func wait(s *server.Server, node *cluster.Node, signals <-chan os.Signal, logger *slog.Logger) error {
	select {
	case sig := <-signals:
		logger.Info("signal received, stopping", "signal", sig.String())
	case <-s.Shutdown():
		logger.Info("SHUTDOWN received, stopping")
	case err := <-node.Fatal():
		return fmt.Errorf("the node failed: %w", err)
	}
	return nil
}

// sameWish is how soon after the first signal another one is taken for the same
// wish: a terminal signals a whole group of processes, and a script in it
// passes that on.
const sameWish = time.Second

// forceOnSignal ends the process at once on a second signal. Acknowledged
// writes are in the log, so nothing is lost that fsync had promised.
func forceOnSignal(signals <-chan os.Signal, logger *slog.Logger) {
	began := time.Now()
	sig := <-signals
	for time.Since(began) < sameWish {
		sig = <-signals
	}
	logger.Warn("second signal, not waiting any longer", "signal", sig.String())
	os.Exit(exitFailure)
}

// closeServer lets running commands finish, for shutdown-timeout at most.
func closeServer(s *server.Server, config *server.Config, logger *slog.Logger) error {
	timeout := time.Duration(max(config.Int("shutdown-timeout"), 1)) * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := s.Close(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		logger.Warn("clients were cut off at shutdown-timeout")
		return nil
	}
	return err
}

// abandon ends the process although a command is still running, and so nothing can be
// closed in order. That is no failure: it is the same to the data as a second signal.
func abandon(removePIDFile func() error, logger *slog.Logger) {
	logger.Warn("a command is still running after shutdown-timeout, not waiting any longer: it is not carried out, and the next start replays the log")
	if err := removePIDFile(); err != nil {
		logger.Error("cannot remove the pid file", "err", err)
	}
	os.Exit(exitOK)
}

// limitMemory bounds the Go runtime's memory until stop is called.
func limitMemory(config *server.Config, node *cluster.Node) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.LimitMemory(ctx, config, node.Metrics())
	}()
	return func() error {
		cancel()
		<-done
		return nil
	}
}
