package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// server is a target and what it says it is.
type server struct {
	target target
	info   string
}

// bench is the program's run: one server, or two in turn.
type bench struct {
	ctx      context.Context
	cfg      *config
	vals     *values
	report   io.Writer
	progress progress
}

const loadPipeline = 64 // at least so many commands at once while loading

// all does what the flags ask for.
func (b *bench) all() (*document, error) {
	targets := []target{b.cfg.target}
	if b.cfg.compare != nil {
		targets = append(targets, *b.cfg.compare)
	}
	var servers []server
	for _, t := range targets {
		info, err := describe(b.ctx, t, b.cfg.db)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server{t, info})
	}
	printHeader(b.report, b.cfg, servers)
	if b.cfg.load {
		for _, s := range servers {
			if err := b.load(s.target); err != nil {
				return nil, err
			}
		}
	}
	if len(servers) == 2 {
		return b.compare(servers)
	}
	r, err := b.measure(servers[0].target, "", 1)
	if err != nil {
		return nil, err
	}
	printRun(b.report, r)
	return newDocument(b.cfg, servers, []runResult{*r}), nil
}

// compare runs two servers in turn. The order changes from round to round, so
// that what changes with time (heat, disks filling up) meets both alike.
func (b *bench) compare(servers []server) (*document, error) {
	fmt.Fprintln(b.report)
	runs := [2][]runResult{}
	var all []runResult
	for round := 1; round <= b.cfg.rounds && b.ctx.Err() == nil; round++ {
		for turn := range 2 {
			if len(all) > 0 && !pause(b.ctx, b.cfg.pause) {
				break
			}
			i := (turn + round + 1) % 2
			label := string(rune('A' + i))
			r, err := b.measure(servers[i].target, label, round)
			if err != nil {
				return nil, err
			}
			printRound(b.report, label, r)
			runs[i] = append(runs[i], *r)
			all = append(all, *r)
		}
	}
	d := newDocument(b.cfg, servers, all)
	first, second := mediansOf(runs[0]), mediansOf(runs[1])
	d.compare(len(runs[0]), first, second)
	printComparison(b.report, first, second)
	return d, nil
}

// measure warms a server up and runs the workload on it.
func (b *bench) measure(t target, label string, round int) (*runResult, error) {
	if b.cfg.warmup > 0 {
		ph := newPhase(b.ctx, b.cfg, t, b.vals)
		ph.limit, ph.duration = 0, b.cfg.warmup
		ph.seed++ // other keys in another order than the measured run
		if _, err := b.run(ph, strings.TrimSpace(label+" warm-up")); err != nil {
			return nil, err
		}
	}
	ph := newPhase(b.ctx, b.cfg, t, b.vals)
	out, err := b.run(ph, strings.TrimSpace(label+" "+b.cfg.workload.name))
	if err != nil {
		return nil, err
	}
	r := newRunResult(t.addr, round, &ph.w, out)
	return &r, nil
}

// load writes every record once.
func (b *bench) load(t target) error {
	ph := newPhase(b.ctx, b.cfg, t, b.vals)
	ph.w, ph.dist, ph.interval, ph.keep = loadWorkload, loadWorkload.dist, 0, 0
	ph.limit, ph.duration = b.cfg.keys, 0
	ph.pipeline = max(b.cfg.pipeline, min(loadPipeline, maxBatchBytes/max(1, b.cfg.valueMax)))
	ph.ks.inAir = 0
	out, err := b.run(ph, "load")
	if err != nil {
		return err
	}
	r := newRunResult(t.addr, 0, &ph.w, out)
	fmt.Fprintf(b.report, "loaded %d records into %s in %.2f s, %.0f/s\n", r.Ops, t.addr, r.Elapsed, r.OpsPerSec)
	printRemarks(b.report, &r)
	if r.failed() {
		return fmt.Errorf("%w: %d of %d records", errLoad, r.Errors+r.Lost, b.cfg.keys)
	}
	return nil
}

func (b *bench) run(ph *phase, label string) (*outcome, error) {
	b.progress.label = label
	ph.onTick = b.progress.tick
	defer b.progress.clear()
	return ph.run()
}

// pause waits; false means interrupted.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
