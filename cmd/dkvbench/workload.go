package main

import (
	"slices"
	"strings"
)

// opcode is what one operation does.
type opcode uint8

const (
	opGet    opcode = iota
	opSet           // of an existing record's key
	opInsert        // SET of the next new key
	opMGet          // of keys that are chosen one by one
	opRange         // MGET of consecutive records, YCSB's short scan
	opIncr
	opScan // SCAN, going on from the cursor of the connection's last one
	opRMW  // GET, and when its reply is here, SET of the same key
)

// part is a kind of operation in a workload. It has a line of its own in the
// report.
type part struct {
	op    opcode
	label string
	share float64 // of the operations; the shares of a workload add up to 1
}

// workload is a mix of operations with the key distribution and value size that
// belong to it when the flags say nothing else.
type workload struct {
	name       string
	parts      []part
	dist       string
	valueBytes int
}

// workloads by name. YCSB's core workloads use one string a record, of the size
// that YCSB's ten fields have together; the short ranges of E are an MGET of
// consecutive records, since Redis keys have no order to scan in.
// https://github.com/brianfrankcooper/YCSB/wiki/Core-Workloads
var workloads = []workload{
	{"set", []part{{opSet, "set", 1}}, "uniform", 100},
	{"get", []part{{opGet, "get", 1}}, "uniform", 100},
	{"mixed", []part{{opGet, "get", 0.5}, {opSet, "set", 0.5}}, "uniform", 100},
	{"mget", []part{{opMGet, "mget", 1}}, "uniform", 100},
	{"incr", []part{{opIncr, "incr", 1}}, "uniform", 100},
	{"scan", []part{{opScan, "scan", 1}}, "uniform", 100},
	{"ycsb-a", []part{{opGet, "read", 0.5}, {opSet, "update", 0.5}}, "zipfian", 1000},
	{"ycsb-b", []part{{opGet, "read", 0.95}, {opSet, "update", 0.05}}, "zipfian", 1000},
	{"ycsb-c", []part{{opGet, "read", 1}}, "zipfian", 1000},
	{"ycsb-d", []part{{opGet, "read", 0.95}, {opInsert, "insert", 0.05}}, "latest", 1000},
	{"ycsb-e", []part{{opRange, "scan", 0.95}, {opInsert, "insert", 0.05}}, "zipfian", 1000},
	{"ycsb-f", []part{{opGet, "read", 0.5}, {opRMW, "rmw", 0.5}}, "zipfian", 1000},
}

// loadWorkload writes every record once, in order.
var loadWorkload = workload{"load", []part{{opSet, "load", 1}}, "sequential", 0}

func findWorkload(name string) (workload, bool) {
	i := slices.IndexFunc(workloads, func(w workload) bool { return strings.EqualFold(w.name, name) })
	if i < 0 {
		return workload{}, false
	}
	w := workloads[i]
	w.parts = slices.Clone(w.parts)
	return w, true
}

func workloadNames() []string {
	var names []string
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

func (w *workload) has(op opcode) bool {
	return slices.ContainsFunc(w.parts, func(p part) bool { return p.op == op })
}
