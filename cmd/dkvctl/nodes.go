package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// listNodes prints the members of a cluster as a table; in JSON, what the
// server replied.
//
//	ID  PEER            CLIENT          STATE    LEADS  TERM  LAG
//	1   127.0.0.1:7101  127.0.0.1:7001  voter    0      3     0    this node
//	2   127.0.0.1:7102  127.0.0.1:7002  voter    -      3     12
//	3   127.0.0.1:7103  127.0.0.1:7003  voter    -      -     -    not connected
func listNodes(c *conn, p *printer) int {
	r, err := c.do("CLUSTER", "LISTNODES")
	if err != nil {
		return p.failure(err)
	}
	if r.isError() || r.kind != kindArray || p.format == formatJSON {
		return p.reply(&r)
	}
	tab := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "ID\tPEER\tCLIENT\tSTATE\tLEADS\tTERM\tLAG\t")
	for i := range r.elems {
		node := fieldsOf(&r.elems[i])
		leads, term, lag := shardsOf(node["shards"])
		note := ""
		switch {
		case textOf(node["self"]) == "1":
			note = "this node"
		case textOf(node["connected"]) == "0":
			note = "not connected"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", textOf(node["id"]), textOf(node["peer-addr"]),
			textOf(node["client-addr"]), textOf(node["state"]), leads, term, lag, note)
	}
	tab.Flush() // p.out keeps its error
	return exitOK
}

// fieldsOf reads a map, or RESP2's flat array of one.
func fieldsOf(r *reply) map[string]*reply {
	fields := make(map[string]*reply)
	for i := 0; i+1 < len(r.elems); i += 2 {
		fields[textOf(&r.elems[i])] = &r.elems[i+1]
	}
	return fields
}

// shardsOf sums up a node's part in the shards: which it leads, the term of each,
// one where all have the same, and how many entries it is behind in the shard where
// that is most; "-" is none, or unknown.
func shardsOf(list *reply) (leads, term, lag string) {
	if list == nil {
		return "-", "-", "-"
	}
	var led, terms []string
	most := int64(-1)
	for i := range list.elems {
		s := fieldsOf(&list.elems[i])
		if textOf(s["role"]) == "leader" {
			led = append(led, textOf(s["shard"]))
		}
		terms = append(terms, textOf(s["term"]))
		if l := s["lag"]; l != nil && l.kind == kindInt {
			most = max(most, l.num)
		}
	}
	leads, term, lag = "-", "-", "-"
	if all := slices.Compact(slices.Clone(terms)); len(all) > 1 {
		term = strings.Join(terms, ",")
	} else if len(all) == 1 {
		term = all[0]
	}
	if len(led) > 0 {
		leads = strings.Join(led, ",")
	}
	if most >= 0 {
		lag = strconv.FormatInt(most, 10)
	}
	return leads, term, lag
}

// textOf is a reply's text; "-" where there is none, so that a table has no holes.
func textOf(r *reply) string {
	switch {
	case r == nil || r.kind == kindNil:
		return "-"
	case r.kind == kindInt || r.kind == kindBool:
		return strconv.FormatInt(r.num, 10)
	case len(r.str) == 0:
		return "-"
	}
	return string(r.str)
}
