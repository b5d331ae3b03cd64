package main

import (
	"fmt"
	"math/rand/v2"

	"dkv/tests/harness"
)

const (
	fillPipeline = 1000
	hexDigits    = "0123456789abcdef"
)

// measureMemory fills each server, alone on the machine, and reads its resident
// memory when it has come to rest.
func measureMemory(c config) (*row, error) {
	r := &row{name: fmt.Sprintf("resident memory, %dM keys of %d bytes", c.memoryKeys/1_000_000, valueBytes), unit: "MiB",
		floor: 0.25, goal: 0.1, lessGood: true}
	if c.memoryKeys < 1_000_000 {
		r.name = fmt.Sprintf("resident memory, %d keys of %d bytes", c.memoryKeys, valueBytes)
	}
	redis, dkv, err := startBoth(c, "everysec")
	if err != nil {
		return nil, err
	}
	defer redis.server.Kill()
	defer dkv.server.Kill()
	for _, s := range []contender{redis, dkv} {
		fmt.Fprintf(c.progress, "memory: filling %s\n", s.name)
		if err := fill(s.server, c.memoryKeys); err != nil {
			return nil, err
		}
		if err := settle([]contender{s}); err != nil {
			return nil, err
		}
		bytes, err := residentBytes(s.server.PID())
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(c.progress, "memory: %s has %.0f MiB\n", s.name, bytes/(1<<20))
		if s.name == "redis" {
			r.base = append(r.base, bytes/(1<<20))
			s.server.Kill()
		} else {
			r.dkv = append(r.dkv, bytes/(1<<20))
		}
	}
	return r, nil
}

// fill sets keys, each once, to values that do not compress well.
func fill(s *harness.Server, keys int) error {
	conn, err := harness.Dial(s.Addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	rng := rand.New(rand.NewPCG(1, 1))
	value := make([]byte, valueBytes)
	for next := 0; next < keys; {
		n := min(fillPipeline, keys-next)
		for i := range n {
			for k := range value {
				value[k] = hexDigits[rng.IntN(len(hexDigits))]
			}
			conn.Queue("SET", fmt.Sprintf("key:%012d", next+i), string(value))
		}
		if err := conn.Flush(); err != nil {
			return err
		}
		for range n {
			if r, err := conn.Read(); err != nil || r.IsError() {
				return fmt.Errorf("SET: %s, %v", r, err)
			}
		}
		next += n
	}
	return nil
}
