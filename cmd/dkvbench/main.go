package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/term"
)

// Exit codes, documented in docs/dkvbench.md.
const (
	exitOK     = 0
	exitFailed = 1 // some operations failed
	exitUsage  = 2
	exitConn   = 3 // no connection, or lost for good
)

// version is set by the linker: -ldflags "-X main.version=...".
var version = "dev"

var errLoad = errors.New("loading failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Getenv, term.IsTerminal(int(os.Stderr.Fd()))))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string, live bool) int {
	cfg, err := parseFlags(args, stdout, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errVersion):
		fmt.Fprintln(stdout, "dkvbench", version)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "dkvbench: %v\nTry dkvbench -help.\n", err)
		return exitUsage
	}
	runtime.GOMAXPROCS(cfg.cpus())
	b := &bench{
		ctx: ctx, cfg: cfg, report: stdout,
		vals: newValues(cfg.valueMin, cfg.valueMax, cfg.compressible, cfg.seed),
	}
	if cfg.json == "-" {
		b.report = io.Discard
	}
	if live && cfg.progress {
		b.progress.out = stderr
	}
	doc, err := b.all()
	if err != nil {
		fmt.Fprintf(stderr, "dkvbench: %v\n", err)
		if errors.Is(err, errLoad) {
			return exitFailed
		}
		return exitConn
	}
	if cfg.json != "" {
		if err := doc.write(cfg.json, stdout); err != nil {
			fmt.Fprintf(stderr, "dkvbench: %v\n", err)
			return exitFailed
		}
	}
	for i := range doc.Runs {
		if doc.Runs[i].failed() {
			return exitFailed
		}
	}
	return exitOK
}
