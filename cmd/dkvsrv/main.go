package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"dkv/cluster"
	"dkv/server"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the whole program: configure, open, serve, wait, stop.
func run(args []string, stdout, stderr io.Writer) int {
	if printed := printAbout(args, stdout); printed {
		return exitOK
	}
	config := server.NewConfig()
	warnings, err := config.LoadArgs(args)
	if err == nil {
		err = absoluteDir(config)
	}
	if err != nil {
		fmt.Fprintf(stderr, "dkvsrv: %v\nSee dkvsrv -help for all flags.\n", err)
		return exitUsage
	}
	fail := func(err error) int {
		fmt.Fprintf(stderr, "dkvsrv: %s\n", explain(err, config))
		return exitFailure
	}
	logger, logFile, err := openLog(config, stdout)
	if err != nil {
		return fail(err)
	}
	defer logFile.Close()
	logger.Info(fmt.Sprintf("dkv starting, PID: %d", os.Getpid()), "version", version(), "folder", dataFolder(config))
	for _, w := range warnings {
		logger.Warn(w)
	}

	// Signals count from here on: what is opened below is closed in order.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	signal.Ignore(syscall.SIGHUP)

	removePIDFile, err := writePIDFile(config)
	if err != nil {
		return fail(err)
	}
	defer removePIDFile()

	began := time.Now()
	options, err := nodeOptions(config, logger)
	if err != nil {
		return fail(err)
	}
	node, err := cluster.Open(options)
	if err != nil {
		return fail(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	background := make(chan struct{})
	go func() {
		defer close(background)
		server.LimitMemory(ctx, config, node.Metrics())
	}()
	s, err := server.New(server.Options{Node: node, Config: config, Logger: logger, Version: version()})
	if err == nil {
		logger.Info("Server initialized", "engine", node.Metrics().Engine, "fsync", config.String("fsync"),
			"took", time.Since(began).Round(time.Millisecond))
		err = s.Listen()
	}
	var web *webServer
	if err == nil {
		web, err = startHTTP(config, s, logger)
	}
	code := exitOK
	if err != nil {
		code = fail(err)
	} else {
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		logger.Info("Ready to accept connections", "addr", s.Addr().String())
		code = wait(s, node, signals, logger)
		go forceOnSignal(signals, logger)
		closeClients(s, web, config, logger)
		<-served
	}
	stop()
	<-background
	if err := node.Close(); err != nil {
		logger.Error("closing the node failed", "err", err)
		code = exitFailure
	}
	logger.Info("dkv is now ready to exit, bye bye...")
	return code
}
