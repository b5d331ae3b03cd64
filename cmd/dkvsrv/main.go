package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"dkv/cluster"
	"dkv/server"
	"dkv/server/psync"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	limitArenas()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program: configure, then serve.
func run(args []string, stdout, stderr io.Writer) int {
	if printed := printAbout(args, stdout); printed {
		return exitOK
	}
	config := server.NewConfig()
	warnings, err := config.LoadArgs(args)
	if err == nil {
		err = absoluteDir(config)
	}
	if err == nil {
		err = config.CheckCluster(isMine)
	}
	if err != nil {
		fmt.Fprintf(stderr, "dkvsrv: %v\nSee dkvsrv -help for all flags.\n", err)
		return exitUsage
	}
	logger, logFile, err := openLog(config, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "dkvsrv: %s\n", explain(err, config))
		return exitFailure
	}
	defer logFile.Close()
	if work := offline(config); work != nil {
		options, err := nodeOptions(config, logger)
		if err == nil {
			err = work(config, options, stdout)
		}
		if err != nil {
			fmt.Fprintf(stderr, "dkvsrv: %s\n", explain(err, config))
			return exitFailure
		}
		return exitOK
	}

	// What tools wait for: the words "PID: n" here, "Server initialized" and
	// "Ready to accept connections" below.
	logger.Info(fmt.Sprintf("dkv starting, PID: %d", os.Getpid()), "version", version(), "folder", dataFolder(config))
	for _, w := range warnings {
		logger.Warn(w)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	signal.Ignore(syscall.SIGHUP)

	if err := serve(config, logger, signals); err != nil {
		fmt.Fprintf(stderr, "dkvsrv: %s\n", explain(err, config))
		logger.Error("stopped by a failure", "err", err)
		return exitFailure
	}
	logger.Info("dkv is now ready to exit, bye bye...")
	return exitOK
}

// offline returns what the program is to do instead of serving; nil: nothing.
func offline(config *server.Config) func(*server.Config, cluster.Options, io.Writer) error {
	switch {
	case config.Bool("recover-lost-majority"):
		return recoverLostMajority
	case config.String("restore") != "":
		return restore
	}
	return nil
}

// serve opens everything, serves until it is told to stop, and closes
// everything in the opposite order. It returns nil after an orderly stop.
func serve(config *server.Config, logger *slog.Logger, signals <-chan os.Signal) (err error) {
	closing := closer{&err}
	began := time.Now()

	removePIDFile := writePIDFile(config, logger)
	defer closing.do(removePIDFile)

	options, err := nodeOptions(config, logger)
	if err != nil {
		return err
	}
	if config.String("role") == "master" && config.ClusterPeers() == nil && !options.Join {
		logger.Info("role master without cluster-peers or join: a master by itself, unless its folder is of a cluster")
	}
	node, err := cluster.Open(options)
	if err != nil {
		return err
	}
	defer closing.do(node.Close)
	if err := psync.RemoveLeft(receiveFolder(config)); err != nil {
		return err
	}

	stopLimiting := limitMemory(config, node)
	defer closing.do(stopLimiting)

	s, err := server.New(server.Options{Node: node, Config: config, Logger: logger, Version: version()})
	if err != nil {
		return err
	}
	logger.Info("Server initialized", "engine", config.String("db-engine"), "fsync", config.String("fsync"),
		"took", time.Since(began).Round(time.Millisecond))
	web, err := startHTTP(config, s, logger)
	if err != nil {
		return err
	}
	defer closing.do(web.stop) // late, so that /readyz tells of the stop

	if err := s.Listen(); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	defer closing.do(func() error {
		err := closeServer(s, config, logger)
		if errors.Is(err, server.ErrBusy) {
			abandon(removePIDFile, logger)
		}
		return errors.Join(err, <-served)
	})

	logger.Info("Ready to accept connections", "addr", s.Addr().String())
	err = wait(s, node, signals, logger)
	go forceOnSignal(signals, logger)
	return err
}
