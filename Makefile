# `make help` lists the targets. Go, make and git are enough for `make run`;
# `make test` also fetches what it compares dkv with.

GO       ?= go
BIN      := bin
ADDR     ?= 127.0.0.1:6379
DATA     ?= ./dkv-data
RUNFLAGS ?=
CLUSTER  ?= ./dkv-cluster
FUZZTIME ?= 30s

# make chaos: how long, what chooses the faults (none: by chance), only which
# faults (commas between; none: all), more flags for the nodes.
CHAOSTIME   ?= 10m
CHAOSSEED   ?=
CHAOSFAULTS ?=
CHAOSFLAGS  ?=

# Pure Go programs: the same everywhere, and caches on the Go heap stay within
# their limit, which those of malloc do not. Only the race detector needs cgo.
export CGO_ENABLED := 0
# dkvsrv has RocksDB when the library is there (ROCKSDB=no: never), and only then is
# it linked with C. Asked when it is needed: `make test` installs the library first.
ROCKSDB  ?= $(shell tests/tools.sh has-rocksdb)
TAGS      = $(if $(filter yes,$(ROCKSDB)),-tags rocksdb)
# VERSION=1.2.3 is what the programs call themselves.
LDFLAGS  := $(if $(VERSION),-ldflags "-X main.release=$(VERSION) -X main.version=$(VERSION)")

# Packages whose code runs in many goroutines: always tested under the race
# detector, which makes them several times slower. What is long there without more
# goroutines (random commands beside a model or redis-server, crash after crash) has
# a short form for it, -short, and its full length without it: MODELS and LONG.
# -short leaves out nothing else there.
CONCURRENT := ./cluster/... ./engine/... ./server/... ./resp/...
MODELS     := ./server/command ./cluster/consensus ./cluster/shard ./cluster/raftsnap ./engine/keyspace ./engine/hot ./engine/pebbledb ./resp
LONG       := -run 'CrashAnywhere|EvictToTheLimit|TinyMaxMemory|^TestFull$$|ScriptMemoryLimit|ScriptBombs' ./cluster ./server
# The black-box suites only drive other processes. Those that mostly wait for them run
# two at a time; beside those that measure time or memory, or take the machine down in
# a part, nothing runs.
TOGETHER   := ./tests/migrate ./tests/replica ./tests/differential ./tests/compat ./tests/examples
ALONE      := ./tests/cluster ./tests/crash ./tests/limits ./tests/apps
TESTFLAGS  ?=

.PHONY: help build run cluster test test-tools race chaos lint fuzz bench bench-cluster bench-replicas bench-engines bench-ycsb cover clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the programs into bin/, dkvsrv with RocksDB where librocksdb is installed (ROCKSDB=no: without)
	@echo "$(if $(TAGS),dkvsrv has RocksDB: librocksdb is installed (ROCKSDB=no leaves it out),dkvsrv has no RocksDB: librocksdb-dev is not installed, or ROCKSDB=no)"
	$(GO) build $(LDFLAGS) -o $(BIN)/ ./cmd/...
	$(if $(TAGS),CGO_ENABLED=1 $(GO) build $(TAGS) $(LDFLAGS) -o $(BIN)/ ./cmd/dkvsrv)

run: build ## build dkvsrv and serve on 127.0.0.1:6379 with data in ./dkv-data (ADDR=, DATA=, RUNFLAGS=)
	$(BIN)/dkvsrv -listen-addr $(ADDR) -db-folder $(DATA) $(RUNFLAGS)

# Three nodes on ports 7001 to 7003, and 7101 to 7103 between them. A terminal's
# Ctrl-C reaches the nodes as well, to whom a second signal so soon is the same.
cluster: build ## build dkvsrv and run a cluster of three nodes here until Ctrl-C, data in ./dkv-cluster (CLUSTER=, RUNFLAGS=)
	@mkdir -p $(CLUSTER)
	@pids=; trap 'trap "" INT TERM; kill $$pids 2>/dev/null; wait; echo "all nodes have stopped"; exit 0' INT TERM; \
	for n in 1 2 3; do \
		$(BIN)/dkvsrv -listen-addr 127.0.0.1:700$$n -db-folder $(CLUSTER)/$$n -logfile $(CLUSTER)/$$n.log \
			-peer-addr 127.0.0.1:710$$n -cluster-peers 127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103 $(RUNFLAGS) & \
		pids="$$pids $$!"; echo "node $$n: process $$!, port 700$$n"; \
	done; \
	for try in 1 2 3 4 5 6 7 8 9 10; do \
		$(BIN)/dkvctl -a 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003 CLUSTER INFO 2>/dev/null | grep -q cluster_state:ok && break; sleep 1; \
	done; \
	$(BIN)/dkvctl -a 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003 -listNodes; \
	echo "Try: redis-cli -p 7001 SET greeting hello; redis-cli -p 7003 GET greeting; logs: $(CLUSTER)/*.log. Ctrl-C stops all."; \
	wait; echo "all nodes have stopped"

test: test-tools build ## vet, all tests, concurrent packages under the race detector
	$(GO) vet ./...
	$(if $(TAGS),CGO_ENABLED=1 $(GO) vet $(TAGS) ./engine/rocksdb ./cluster ./cmd/dkvsrv)
	race=$$(CGO_ENABLED=1 tests/tools.sh race-flag) && CGO_ENABLED=$${race:+1} $(GO) test $$race -short -timeout 15m $(TESTFLAGS) $(CONCURRENT)
	$(GO) test -timeout 15m $(TESTFLAGS) $(MODELS)
	$(GO) test -timeout 15m $(TESTFLAGS) $(LONG)
	$(if $(TAGS),CGO_ENABLED=1 $(GO) test $(TAGS) -race -timeout 15m $(TESTFLAGS) ./engine/rocksdb && CGO_ENABLED=1 $(GO) test $(TAGS) -race -timeout 15m -run Engine $(TESTFLAGS) ./cluster)
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) test -timeout 10m $(TESTFLAGS) ./cmd/... ./tests/harness/... ./tests/tidy ./tests/bench ./tests/chaos/...
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) test -p 2 -count=1 -timeout 15m $(TESTFLAGS) $(TOGETHER)
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) test -p 1 -count=1 -timeout 15m $(TESTFLAGS) $(ALONE)

test-tools: ## install the servers and tools that the tests compare with (apt, as root; else says what is missing)
	@tests/tools.sh install

race: test-tools ## everything under the race detector, dkvsrv itself included
	CGO_ENABLED=1 $(GO) build -race -o $(BIN)/race/ ./cmd/...
	CGO_ENABLED=1 $(GO) test -race -timeout 20m $(TESTFLAGS) $(CONCURRENT) ./cmd/...
	DKV_BIN=$(CURDIR)/$(BIN)/race $(GO) test -p 1 -count=1 -short -timeout 20m $(TESTFLAGS) $(TOGETHER) $(ALONE)

chaos: build ## break a cluster under load for CHAOSTIME (10m), faults chosen by CHAOSSEED, and check what clients saw (root, Linux)
	DKV_BIN=$(CURDIR)/$(BIN) DKV_CHAOS_TIME=$(CHAOSTIME) DKV_CHAOS_SEED=$(CHAOSSEED) DKV_CHAOS_FAULTS='$(CHAOSFAULTS)' DKV_CHAOS_FLAGS='$(CHAOSFLAGS)' \
		$(GO) test -count=1 -timeout 0 -v -run '^TestChaos$$' ./tests/chaos

lint: ## gofmt, go vet and the rules of STYLE.md
	@unformatted=$$(gofmt -l cmd cluster engine resp server tests); \
		test -z "$$unformatted" || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) test ./tests/tidy

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "== $$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

bench: test-tools build ## speed and memory as ratios of redis-server, measured in turn (BENCHFLAGS=-quick, -memory)
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) run ./tests/bench $(BENCHFLAGS)

bench-cluster: build ## three nodes as ratios of etcd and of one node, shards, writes after a leader's death (BENCHFLAGS=-quick)
	@tests/tools.sh install-etcd
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) run ./tests/bench -cluster $(BENCHFLAGS)

bench-replicas: test-tools build ## lag, catching up and full copies of replicas, what they cost their source (BENCHFLAGS=-quick)
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) run ./tests/bench -replicas $(BENCHFLAGS)

bench-engines: test-tools build ## the storage engines beside each other with 10M keys (BENCHFLAGS=-quick)
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) run ./tests/bench -engines $(BENCHFLAGS)

bench-ycsb: ROCKSDB = no
bench-ycsb: build ## YCSB on more data than the caches hold, with and without the hot layer, and a plot of its latencies (BENCHFLAGS=-quick)
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) run ./tests/bench -ycsb -json bench-ycsb.json -svg bench-ycsb.svg $(BENCHFLAGS)

cover: ## coverage of the unit tests, in cover.html
	$(GO) test -short -timeout 15m -coverprofile cover.out -coverpkg ./cluster/...,./engine/...,./resp/...,./server/... $(CONCURRENT)
	$(GO) tool cover -html cover.out -o cover.html
	@$(GO) tool cover -func cover.out | tail -n 1

clean: ## remove what builds, tests and benchmarks made (not the data in dkv-data)
	rm -rf $(BIN) bench-data bench-ycsb.json bench-ycsb.svg chaos-reports cover.out cover.html
