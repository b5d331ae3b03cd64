package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/tests/harness"
)

// Rows of -replicas. Each is a table of its own.
const (
	rowLag     = "lag"
	rowCatchUp = "catchup"
	rowCopy    = "copy"
	rowSources = "sources"
	rowSinks   = "sinks"
)

var replicaRows = []string{rowLag, rowCatchUp, rowCopy, rowSources, rowSinks}

// runReplicas is `make bench-replicas`.
func runReplicas(c config) error {
	if err := os.RemoveAll(c.folder); err != nil {
		return err
	}
	defer os.RemoveAll(c.folder)
	began := time.Now()
	var r replicaResults
	for _, row := range c.rows {
		var err error
		switch row {
		case rowLag:
			r.lags, err = measureLag(c)
		case rowCatchUp:
			r.catchUp, err = measureCatchUp(c)
		case rowCopy:
			r.copy, err = measureCopy(c)
		case rowSources:
			r.sources, err = measureSources(c, false)
		case rowSinks:
			r.sinks, err = measureSources(c, true)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
	}
	reportReplicas(c, r, machine(), time.Since(began))
	return nil
}

// pair is a source and its replicas, all on this machine.
type pair struct {
	source   *harness.Server
	replicas []*harness.Server
	sinks    []*sink
}

// startPair starts a source and one replica that follows it.
func startPair(c config, name string, sourceFlags ...string) (*pair, error) {
	p := &pair{}
	var err error
	if p.source, err = startDkv(c, name+"-source", sourceFlags...); err != nil {
		return nil, err
	}
	return p, p.add(c, name+"-replica", "-role", "slave", "-repl-master-addr", p.source.Addr())
}

// add starts one more server. Where that fails, all are stopped.
func (p *pair) add(c config, name string, flags ...string) error {
	r, err := startDkv(c, name, flags...)
	if err != nil {
		p.stop()
		return err
	}
	p.replicas = append(p.replicas, r)
	return nil
}

// startDkv starts dkvsrv in a folder of its own; every write is on disk before its reply if flags do not say otherwise.
func startDkv(c config, name string, flags ...string) (*harness.Server, error) {
	return start(c, name, func(dir string) (harness.Spec, error) {
		return harness.DkvSpec(dir, slices.Concat(durability, flags, c.dkvFlags)...)
	})
}

func (p *pair) stop() {
	for _, s := range p.sinks {
		_ = s.stop() // what failed ended the measurement before
	}
	for _, r := range p.replicas {
		r.Kill()
	}
	p.source.Kill()
}

func (p *pair) contenders() []contender {
	all := []contender{{name: "source", server: p.source}}
	for i, r := range p.replicas {
		if r.PID() != 0 {
			all = append(all, contender{name: fmt.Sprint("replica ", i+1), server: r})
		}
	}
	return all
}

// awaitSame waits until every replica that runs has all that the source has now.
func (p *pair) awaitSame() error {
	marker, err := putMarker(p.source)
	if err != nil {
		return err
	}
	for _, r := range p.replicas {
		if r.PID() == 0 {
			continue
		}
		if err := awaitMarker(r, marker); err != nil {
			return err
		}
	}
	return nil
}

// putMarker writes one marker.
func putMarker(s *harness.Server) (string, error) {
	marker := strconv.FormatInt(time.Now().UnixNano(), 10)
	_, err := call(s, "SET", markerKey, marker)
	return marker, err
}

// awaitMarker waits until a replica shows a marker.
func awaitMarker(s *harness.Server, marker string) error {
	conn, err := s.Connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < catchUpLimit; <-tick.C {
		r, err := conn.Call("GET", markerKey)
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(string(r.Str), "LOADING "): // it has not reached its source yet
		case r.IsError():
			return errors.New(string(r.Str))
		case string(r.Str) == marker:
			return nil
		}
	}
	return fmt.Errorf("a replica has not caught up after %v\n%s", catchUpLimit, s.Logs())
}

// call runs one command on a connection of its own.
func call(s *harness.Server, args ...string) (string, error) {
	conn, err := s.Connect()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return ask(conn, args...)
}

// ask runs a command; an error reply is an error.
func ask(conn *harness.Conn, args ...string) (string, error) {
	r, err := conn.Call(args...)
	if err == nil && r.IsError() {
		err = errors.New(string(r.Str))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return string(r.Str), nil
}

// infoNumber returns a field of INFO.
func infoNumber(s *harness.Server, field string) (float64, error) {
	info, err := call(s, "INFO", "all")
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(info, "\r\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strconv.ParseFloat(v, 64)
		}
	}
	return 0, fmt.Errorf("INFO has no %s", field)
}
