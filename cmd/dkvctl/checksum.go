package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
)

// nodeSum is what one server says of one shard. err is an error reply, or why there
// is none.
type nodeSum struct {
	addr, shard, digest, history string
	index, keys                  int64
	err                          error
}

// checksumRounds is how often servers that go on are asked, each time for a place
// further on.
const checksumRounds = 6

// checksum compares the contents of all servers of v.addrs, shard by shard, and prints
// what they hold. Servers that are being written to are asked for the same place, a
// little later than where they are.
//
//	SHARD  SERVER          INDEX  KEYS  DIGEST
//	0      127.0.0.1:7001  5123   400   0a1b...
//	0      127.0.0.1:7002  5123   400   0a1b...  same
func checksum(v *invocation, p *printer) int {
	conns := make([]*conn, len(v.addrs))
	for i, addr := range v.addrs {
		c, err := dialOne(v, addr)
		if err != nil {
			return p.failure(err)
		}
		defer c.close()
		conns[i] = c
	}
	shards, code := compareAll(v.addrs, conns, p)
	tab := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "SHARD\tSERVER\tINDEX\tKEYS\tDIGEST\t")
	for _, sums := range shards {
		verdict := verdictOf(sums)
		for i, s := range sums {
			note := ""
			if i == len(sums)-1 && len(sums) > 1 {
				note = verdict
			}
			if s.err != nil {
				fmt.Fprintf(tab, "%s\t%s\t-\t-\t%v\t%s\n", s.shard, s.addr, s.err, note)
				continue
			}
			fmt.Fprintf(tab, "%s\t%s\t%d\t%d\t%s\t%s\n", s.shard, s.addr, s.index, s.keys, s.digest, note)
		}
		if verdict != same {
			code = max(code, exitError)
		}
	}
	tab.Flush() // p.out keeps its error
	return code
}

// Verdicts on the answers about one shard.
const (
	same      = "same"
	different = "DIFFERENT"
	unknown   = "not at the same entry: ask again"
	strangers = "not of the same history"
)

// verdictOf compares answers. Equal digests are equal contents, wherever they are of.
func verdictOf(sums []nodeSum) string {
	first, alike, placed, related := &sums[0], true, true, true
	for i := range sums {
		s := &sums[i]
		if s.err != nil {
			return unknown
		}
		alike = alike && s.digest == first.digest
		placed = placed && s.index == first.index
		related = related && s.history == first.history
	}
	switch {
	case alike:
		return same
	case !related:
		return strangers
	case placed:
		return different
	}
	return unknown
}

// compareAll asks until it is clear of every shard, or for checksumRounds.
func compareAll(addrs []string, conns []*conn, p *printer) (shards [][]nodeSum, code int) {
	all := make([][]nodeSum, len(addrs))
	ask(conns, func(i int, c *conn) { all[i] = sumsOf(addrs[i], c, "") })
	for i := range all {
		if len(all[i]) > 0 && all[i][0].err != nil {
			return nil, p.failure(fmt.Errorf("%s: %w", addrs[i], all[i][0].err))
		}
		if len(all[i]) != len(all[0]) {
			return nil, p.failure(fmt.Errorf("%s has %d shards, %s has %d", addrs[0], len(all[0]), addrs[i], len(all[i])))
		}
	}
	for k := range all[0] {
		sums := make([]nodeSum, len(addrs))
		for i := range all {
			sums[i] = all[i][k]
		}
		shards = append(shards, settle(addrs, conns, sums))
	}
	return shards, exitOK
}

// settle asks about one shard until its verdict is known.
func settle(addrs []string, conns []*conn, sums []nodeSum) []nodeSum {
	shard, ahead := sums[0].shard, int64(64)
	for round := range checksumRounds {
		if verdictOf(sums) != unknown {
			break
		}
		words := []string{shard}
		// In turn, since servers that rest never come to where they are not yet.
		if round%2 == 0 {
			furthest := int64(0)
			for _, s := range sums {
				furthest = max(furthest, s.index)
			}
			words = append(words, "AT", strconv.FormatInt(furthest+ahead, 10))
			ahead *= 16
		}
		next := make([]nodeSum, len(sums))
		ask(conns, func(i int, c *conn) {
			next[i] = sumsOf(addrs[i], c, shard, words[1:]...)[0]
			if next[i].err != nil {
				next[i].index = sums[i].index
			}
		})
		sums = next
	}
	return sums
}

// ask calls f for all at once.
func ask(conns []*conn, f func(i int, c *conn)) {
	var asking sync.WaitGroup
	for i, c := range conns {
		asking.Go(func() { f(i, c) })
	}
	asking.Wait()
}

// sumsOf asks one server, for all shards when shard is empty.
func sumsOf(addr string, c *conn, shard string, more ...string) []nodeSum {
	words := []string{"DKV.CHECKSUM"}
	if shard != "" {
		words = append(words, shard)
	}
	r, err := c.do(append(words, more...)...)
	if err == nil && r.isError() {
		err = errors.New(string(r.str))
	}
	if err == nil && len(r.elems) == 0 {
		err = errors.New("the answer is empty")
	}
	if err != nil {
		return []nodeSum{{addr: addr, shard: shard, err: err}}
	}
	var sums []nodeSum
	for i := range r.elems {
		f := fieldsOf(&r.elems[i])
		s := nodeSum{addr: addr, shard: textOf(f["shard"]), digest: textOf(f["digest"]), history: textOf(f["history"])}
		var err2 error
		s.index, err = strconv.ParseInt(textOf(f["index"]), 10, 64)
		s.keys, err2 = strconv.ParseInt(textOf(f["keys"]), 10, 64)
		s.err = errors.Join(err, err2)
		sums = append(sums, s)
	}
	slices.SortFunc(sums, func(a, b nodeSum) int { return strings.Compare(pad(a.shard), pad(b.shard)) })
	return sums
}

// pad makes numbers sort as such.
func pad(shard string) string { return fmt.Sprintf("%5s", shard) }
