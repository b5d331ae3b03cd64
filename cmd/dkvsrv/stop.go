package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"dkv/cluster"
	"dkv/server"
)

// wait returns when the server has to stop, with the program's exit status.
func wait(s *server.Server, node *cluster.Node, signals <-chan os.Signal, logger *slog.Logger) int {
	select {
	case sig := <-signals:
		logger.Info("signal received, stopping", "signal", sig.String())
	case <-s.Shutdown():
		logger.Info("SHUTDOWN received, stopping")
	case err := <-node.Fatal():
		logger.Error("the node failed, stopping", "err", err)
		return exitFailure
	}
	return exitOK
}

// forceOnSignal ends the process at once on a second signal. Acknowledged
// writes are in the log, so nothing is lost that fsync had promised.
func forceOnSignal(signals <-chan os.Signal, logger *slog.Logger) {
	sig := <-signals
	logger.Warn("second signal, not waiting any longer", "signal", sig.String())
	os.Exit(exitFailure)
}

// closeClients lets running commands finish, for shutdown-timeout at most.
func closeClients(s *server.Server, web *webServer, config *server.Config, logger *slog.Logger) {
	timeout := time.Duration(max(config.Int("shutdown-timeout"), 1)) * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.Close(ctx); errors.Is(err, context.DeadlineExceeded) {
		logger.Warn("clients were cut off at shutdown-timeout")
	} else if err != nil {
		logger.Error("closing the server failed", "err", err)
	}
	web.stop(ctx)
}
