# Build, test and run telegraf-describe. `make help` lists the targets.

TELEGRAF_VERSION := 1.39.3
VERSION          ?= $(TELEGRAF_VERSION)-describe$(shell git describe --always --dirty --exclude '*' 2>/dev/null | sed 's/^/-/')
GOLANGCI_LINT    := v2.15.0

COMMAND := cmd/telegraf-describe
LDFLAGS := -s -w
BUILD   := CGO_ENABLED=0 go build -trimpath
TELEGRAF_LDFLAGS := $(LDFLAGS) -X main.version=$(VERSION) -X github.com/influxdata/telegraf/internal.Version=$(VERSION)

# More plugins for one build: make build PLUGINS="inputs.prometheus outputs.http" CONFIG=telegraf.conf
PLUGINS ?=
CONFIG  ?=

# The build tags that select upstream's plugins.
tags      = $(shell cd $(COMMAND) && go run ./tags -plugins "$(PLUGINS)" $(if $(CONFIG),-config "$(abspath $(CONFIG))") || echo failed)
test_tags = $(shell cd $(COMMAND) && go run ./tags || echo failed)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## build bin/telegraf-describe (PLUGINS=…, CONFIG=… add plugins) and bin/analytics-api
	$(eval TAGS := $(tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && $(BUILD) -tags "$(TAGS)" -ldflags "$(TELEGRAF_LDFLAGS)" -o ../../bin/telegraf-describe .
	$(BUILD) -ldflags "$(LDFLAGS) -X main.version=$(VERSION)" -o bin/analytics-api ./cmd/analytics-api

.PHONY: build-full
build-full: ## build bin/telegraf-describe with every upstream plugin (13 minutes on 2 cores)
	cd $(COMMAND) && $(BUILD) -ldflags "$(TELEGRAF_LDFLAGS)" -o ../../bin/telegraf-describe .
	$(BUILD) -ldflags "$(LDFLAGS) -X main.version=$(VERSION)" -o bin/analytics-api ./cmd/analytics-api

.PHONY: demo
demo: build ## run the quickstart; DEMO_SECONDS, DEMO_API_PORT, DEMO_REDIS_PORT
	@go build -o bin/demo ./examples/quickstart/demo
	@DEMO_SECONDS="$(DEMO_SECONDS)" DEMO_API_PORT="$(DEMO_API_PORT)" DEMO_REDIS_PORT="$(DEMO_REDIS_PORT)" bin/demo

.PHONY: test
test: ## run all tests; those with a real Redis want redis-server on PATH, REQUIRE_REDIS=1 insists
	@command -v redis-server >/dev/null || echo "redis-server is not on PATH: the tests that need it are skipped"
	@$(MAKE) --no-print-directory -j2 test-race test-command
	@$(MAKE) --no-print-directory -j2 test-long test-command-race

# With the race detector, tests of much data take a sample of it. They are the tests that call testing.Short.
.PHONY: test-race
test-race:
	go test -race -short -shuffle=on ./...

.PHONY: test-long
test-long: ## run all data and times, as the whole calendar, in the tests that take a sample with the race detector
	go test -shuffle=on $$(grep -rl 'testing\.Short()' --include=*_test.go . | grep -v '^./$(COMMAND)/' | xargs -n1 dirname | sort -u)

# Most tests of the command wait for a process, so that more of them than processors run at once.
.PHONY: test-command
test-command:
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && go test -shuffle=on -parallel 8 -tags "$(TAGS)" ./...

# The tests of what the command does at the same time as something else: signals, reloads, values that come during a Push.
.PHONY: test-command-race
test-command-race:
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && CRASHES=$(or $(CRASHES),1) go test -race -shuffle=on -parallel 8 -tags "$(TAGS)" -run 'TestSIG|Reload|TestAChangedConfiguration|TestCrashes' .

BENCH := go test -run '^$$'

.PHONY: crash
crash: ## kill telegraf-describe CRASHES (50) times under load and compare every bucket with the truth
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && CRASHES=$(or $(CRASHES),50) go test -tags "$(TAGS)" -count 1 -timeout 30m -run TestCrashes -v .

.PHONY: bench
bench: ## measure describe beside its neighbours, the whole process, summaries, cache and API (15 minutes)
	$(BENCH) -bench 'Neighbours/series=(1|100)$$' -benchtime 100ms -count 6 ./plugins/aggregators/describe
	$(BENCH) -bench 'Neighbours/series=10000$$' -benchtime 1x -timeout 20m ./plugins/aggregators/describe
	$(BENCH) -bench . -benchmem -benchtime 200ms -timeout 20m ./internal/...
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && $(BENCH) -bench . -benchtime 1x -count 3 -tags "$(TAGS)" .

.PHONY: fuzz
fuzz: ## fuzz each decoder and parser for FUZZTIME (10s)
	@set -e; for package in $$(grep -rl '^func Fuzz' --include=*_test.go . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -rhoE '^func Fuzz\w+' $$package/*_test.go | sed 's/func //'); do \
			echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),10s) $$package; \
		done; \
	done

.PHONY: fmt
fmt: bin/golangci-lint ## format the code
	bin/golangci-lint fmt ./...
	cd $(COMMAND) && ../../bin/golangci-lint fmt ./...

.PHONY: lint
lint: bin/golangci-lint ## check format and lint
	bin/golangci-lint run ./...
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && ../../bin/golangci-lint run --build-tags "$(TAGS)" ./...

bin/golangci-lint: Makefile
	GOFLAGS= GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	@touch $@

.PHONY: vet
vet: ## go vet
	go vet ./...
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && go vet -tags "$(TAGS)" ./...

.PHONY: tidy-check
tidy-check: ## check that go.mod and go.sum are tidy
	go mod tidy -diff
	cd $(COMMAND) && go mod tidy -diff

.PHONY: ci
ci: tidy-check lint vet test build ## what the server runs

.PHONY: clean
clean: ## remove bin
	rm -rf bin
