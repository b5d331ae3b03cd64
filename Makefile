# `make help` lists the targets. Go, make and git are enough for `make run`;
# `make test` also fetches what it compares dkv with.

GO       ?= go
BIN      := bin
ADDR     ?= 127.0.0.1:6379
DATA     ?= ./dkv-data
RUNFLAGS ?=
FUZZTIME ?= 30s

# Pure Go programs: the same everywhere, and caches on the Go heap stay within
# their limit, which those of malloc do not. Only the race detector needs cgo.
export CGO_ENABLED := 0
# VERSION=1.2.3 is what the programs call themselves.
LDFLAGS  := $(if $(VERSION),-ldflags "-X main.release=$(VERSION) -X main.version=$(VERSION)")

# Packages whose code runs in many goroutines: always tested under the race
# detector. The black-box suites in tests/ only drive other processes.
CONCURRENT := ./cluster/... ./engine/... ./server/... ./resp/...
BLACKBOX   := ./tests/compat ./tests/differential ./tests/crash ./tests/limits
TESTFLAGS  ?=

.PHONY: help build run test test-tools race lint fuzz bench cover clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the programs into bin/
	$(GO) build $(LDFLAGS) -o $(BIN)/ ./cmd/...

run: ## build dkvsrv and serve on 127.0.0.1:6379 with data in ./dkv-data (ADDR=, DATA=, RUNFLAGS=)
	$(GO) build $(LDFLAGS) -o $(BIN)/ ./cmd/...
	$(BIN)/dkvsrv -listen-addr $(ADDR) -db-folder $(DATA) $(RUNFLAGS)

test: test-tools build ## vet, all tests, concurrent packages under the race detector
	$(GO) vet ./...
	race=$$(CGO_ENABLED=1 tests/tools.sh race-flag) && CGO_ENABLED=$${race:+1} $(GO) test $$race -timeout 15m $(TESTFLAGS) $(CONCURRENT)
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) test -timeout 5m $(TESTFLAGS) ./cmd/... ./tests/harness ./tests/tidy ./tests/bench
	DKV_BIN=$(CURDIR)/$(BIN) $(GO) test -p 1 -count=1 -timeout 15m $(TESTFLAGS) $(BLACKBOX)

test-tools: ## install the servers and tools that the tests compare with (apt, as root; else says what is missing)
	@tests/tools.sh install

race: test-tools ## everything under the race detector, dkvsrv itself included
	CGO_ENABLED=1 $(GO) build -race -o $(BIN)/race/ ./cmd/...
	CGO_ENABLED=1 $(GO) test -race -timeout 20m $(TESTFLAGS) $(CONCURRENT) ./cmd/...
	DKV_BIN=$(CURDIR)/$(BIN)/race $(GO) test -p 1 -count=1 -short -timeout 20m $(TESTFLAGS) $(BLACKBOX)

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

cover: ## coverage of the unit tests, in cover.html
	$(GO) test -short -timeout 15m -coverprofile cover.out -coverpkg ./cluster/...,./engine/...,./resp/...,./server/... $(CONCURRENT)
	$(GO) tool cover -html cover.out -o cover.html
	@$(GO) tool cover -func cover.out | tail -n 1

clean: ## remove what builds, tests and benchmarks made (not the data in dkv-data)
	rm -rf $(BIN) bench-data cover.out cover.html
