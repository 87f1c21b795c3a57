# Build, test and run telegraf-describe. `make help` lists the targets.

COMMAND          := cmd/telegraf-describe
VERSION          := $(or $(VERSION),$(shell packaging/version))
TELEGRAF_VERSION := $(shell awk '$$1 == "github.com/influxdata/telegraf" { print substr($$2, 2) }' $(COMMAND)/go.mod)
GOLANGCI_LINT    := v2.15.0

LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD   := CGO_ENABLED=0 go build -trimpath
# Plugins send upstream's version to servers.
TELEGRAF_LDFLAGS := $(LDFLAGS) -X github.com/influxdata/telegraf/internal.Version=$(TELEGRAF_VERSION)-describe

# More plugins for one build: make build PLUGINS="inputs.prometheus outputs.http" CONFIG=telegraf.conf
PLUGINS ?=
CONFIG  ?=

# Programs for another system: make build GOOS=windows GOARCH=arm64. They are in bin/windows_arm64.
GO_ENV := $(shell go env GOHOSTOS GOHOSTARCH GOOS GOARCH)
HOST   := $(word 1,$(GO_ENV))_$(word 2,$(GO_ENV))
TARGET := $(or $(GOOS),$(word 3,$(GO_ENV)))_$(or $(GOARCH),$(word 4,$(GO_ENV)))
BIN    := bin$(if $(filter-out $(HOST),$(TARGET)),/$(TARGET))
EXE    := $(if $(filter windows_%,$(TARGET)),.exe)

# Commands that run on this machine, whatever the programs are built for.
ON_HOST := GOOS= GOARCH= GOARM= go

# The build tags that select upstream's plugins.
tags      = $(shell cd $(COMMAND) && $(ON_HOST) run ./tags -plugins "$(PLUGINS)" $(if $(CONFIG),-config "$(abspath $(CONFIG))") || echo failed)
test_tags = $(shell cd $(COMMAND) && $(ON_HOST) run ./tags || echo failed)

# A recipe that begins with it ends quietly when Ctrl-C stops its command: make prints nothing then.
QUIET_INTERRUPT := trap 'echo; exit 0' INT;

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## build both programs into bin; PLUGINS, CONFIG add plugins, GOOS, GOARCH select a system
	$(eval TAGS := $(tags))
	@test "$(TAGS)" != failed
	@$(QUIET_INTERRUPT) $(call build_both,-tags "$(TAGS)",about 25 s; the first build needs 7 minutes of processor time)

.PHONY: build-full
build-full: ## build both programs with every upstream plugin (13 minutes on 2 cores)
	@$(QUIET_INTERRUPT) $(call build_both,,13 minutes on 2 cores the first time)

# build_both builds the programs with flags for telegraf-describe, and prints how long that takes.
define build_both
	echo "Building $(BIN)/telegraf-describe$(EXE) and $(BIN)/analytics-api$(EXE), version $(VERSION)"; \
	echo "($(2))"; \
	start=$$(date +%s); \
	(cd $(COMMAND) && $(BUILD) $(1) -ldflags "$(TELEGRAF_LDFLAGS)" -o "$(CURDIR)/$(BIN)/telegraf-describe$(EXE)" .) && \
	$(BUILD) -ldflags "$(LDFLAGS)" -o $(BIN)/analytics-api$(EXE) ./cmd/analytics-api && \
	echo "Built in $$(($$(date +%s) - start)) s."
endef

# The ports are checked before the build, because the build can take minutes.
.PHONY: demo
demo: ## run the quickstart; DEMO_SECONDS, DEMO_API_PORT, DEMO_REDIS_PORT
	@$(QUIET_INTERRUPT) go build -o bin/demo ./examples/quickstart/demo && \
	export DEMO_SECONDS="$(DEMO_SECONDS)" DEMO_API_PORT="$(DEMO_API_PORT)" DEMO_REDIS_PORT="$(DEMO_REDIS_PORT)" && \
	bin/demo -check && $(MAKE) --no-print-directory build && exec bin/demo

.PHONY: test
test: ## run all tests; some want redis-server, chromium, prometheus or PostgreSQL, REQUIRE_REDIS=1, REQUIRE_CHROMIUM=1 and so on insist
	@skipped() { echo "$$1 is not installed: the tests that need it are skipped"; }; \
	installed() { for program; do command -v $$program >/dev/null && return; done; return 1; }; \
	installed redis-server || skipped redis-server; \
	installed chromium-headless-shell chromium-browser chromium || skipped chromium; \
	installed prometheus || skipped prometheus; \
	installed initdb /usr/lib/postgresql/*/bin/initdb || skipped PostgreSQL
	@folder=$$($(TEST_FOLDER)) && trap 'rm -rf "$$folder"' EXIT HUP INT TERM && unset GOTMPDIR && export TMPDIR="$$folder" && \
	$(MAKE) --no-print-directory -j3 test-race test-command test-attack test-long test-command-race

# The tests sync many files. Where memory has room for their folder, they take about 15 s less of processor time and do not wait for the
# disk. GOTMPDIR would be used instead of TMPDIR for testing.TempDir. A folder whose programs cannot be run, or that is as small as that of
# a container, is not used.
TEST_FOLDER = shm=/dev/shm; \
	[ -w $$shm ] && [ "$$(df -Pk $$shm | awk 'NR == 2 { print $$4 }')" -gt 4000000 ] && ! grep -q ' /dev/shm .*noexec' /proc/mounts || shm="$${GOTMPDIR:-$${TMPDIR:-/tmp}}"; \
	mktemp -d "$$shm/test.XXXXXX"

# The hostile clients mostly wait. On a machine that does other work their times mean nothing, so that only failed requests and memory count.
.PHONY: test-attack
test-attack:
	ATTACK=measure go test -count 1 $(TEST_FLAGS) -o "$(TEST_PROGRAMS)/" ./internal/attack

# The linker leaves out the tables for debuggers, which take about a sixth of its time. Traces of panics and of data races need none. On a
# slow machine, a package may take longer than the ten minutes that go test allows.
TEST_FLAGS := -ldflags=-w -timeout 30m

# go test keeps the programs that it has linked here, and links only those again whose code has changed. That saves about 50 s of
# processor time. One folder has one program of each name.
TEST_PROGRAMS := $(CURDIR)/bin/tests

# At its end, a process with the race detector would wait a second for races of goroutines that still run.
RACE := GORACE="atexit_sleep_ms=50 $(GORACE)" go test -race

# With the race detector, tests of much data take a sample of it. They are the tests that call testing.Short. The packages that
# take the longest come first. Many tests wait for a server, so that more of them than processors run at once. The hostile clients
# have a target of their own.
LONGEST := ./internal/api ./internal/page ./internal/state ./internal/cache ./plugins/aggregators/describe ./plugins/outputs/rediscache ./cmd/analytics-api ./internal/engine
.PHONY: test-race
test-race:
	$(RACE) -short -shuffle=on $(TEST_FLAGS) -o "$(TEST_PROGRAMS)/race/" -p 3 -parallel 4 $(LONGEST) $$(go list ./... | grep -v /internal/attack)

.PHONY: test-long
test-long: ## run all data and times, as the whole calendar, in the tests that take a sample with the race detector
	@tests=$$(go run ./internal/longtests) && set -x && go test -shuffle=on $(TEST_FLAGS) -o "$(TEST_PROGRAMS)/" $$tests

# The tests of what the command does at the same time as something else: signals, reloads, values that come during a Push.
AT_THE_SAME_TIME := TestSIG|Reload|TestAChangedConfiguration|TestCrashes

# The command is started some 200 times, mostly for a moment. With fewer garbage collections a start takes 19 ms of processor time instead
# of 25, and all tests of the command 19 s instead of 22. No test of it is about memory.
FEWER_COLLECTIONS := GOGC=400

# Most tests of the command wait for a process, so that more of them than processors run at once.
.PHONY: test-command
test-command:
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && $(FEWER_COLLECTIONS) go test -shuffle=on $(TEST_FLAGS) -o "$(TEST_PROGRAMS)/" -parallel 8 -tags "$(TAGS)" -skip '$(AT_THE_SAME_TIME)' ./...

.PHONY: test-command-race
test-command-race:
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && CRASHES=$(or $(CRASHES),3) $(FEWER_COLLECTIONS) $(RACE) -shuffle=on $(TEST_FLAGS) -o "$(TEST_PROGRAMS)/race/" -parallel 8 -tags "$(TAGS)" -run '$(AT_THE_SAME_TIME)' .

BENCH := go test -run '^$$'

.PHONY: crash
crash: ## kill telegraf-describe CRASHES (50) times under load, also while fields move between two blocks, and compare every bucket with the truth
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && CRASHES=$(or $(CRASHES),50) go test -tags "$(TAGS)" -count 1 -timeout 30m -run TestCrashes -v .

.PHONY: faults
faults: ## kill and pause primaries and a shard of a cluster, and a primary of Sentinels, under load; print what is lost
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	FAULTS=1 REQUIRE_REDIS=1 go test -count 1 -v -run 'TestAClusterLosesAPrimaryAndThenAShard|TestSentinelsReplaceThePrimary' ./plugins/outputs/rediscache
	FAULTS=1 REQUIRE_REDIS=1 go test -count 1 -v -run 'TestReadsGoOnAfterSentinelsHaveReplacedThePrimary' ./cmd/analytics-api
	cd $(COMMAND) && FAULTS=1 REQUIRE_REDIS=1 go test -tags "$(TAGS)" -count 1 -v -run 'TestFirstHourFirstRowsWithinAMinute' .

.PHONY: attack
attack: ## attack analytics-api beside a good client and print what it did (half a minute); ATTACK=measure checks no times
	ATTACK=$(or $(ATTACK),1) go test -count 1 -v -timeout 10m ./internal/attack

.PHONY: bench-api
bench-api: ## measure requests of analytics-api beside a handler of one word and redis-benchmark, and on tables of 1,000,000 records
	$(BENCH) -bench 'Served|Handler|TableSize' -benchtime 1s ./internal/api
	$(BENCH) -bench 'Write$$' -benchtime 100x ./internal/cache

# The packages with short benchmarks. Those that need redis-server or chromium are skipped without it. The benchmarks of the plugin describe
# and of both commands take minutes.
BENCHED = $$(go list ./internal/... ./plugins/outputs/... | grep -v internal/describefile)

.PHONY: bench-once
bench-once: ## run most benchmarks once, so that one that fails is noticed (80 s)
	$(BENCH) -bench . -benchtime 1x -timeout 20m $(BENCHED)

.PHONY: bench
bench: ## measure describe beside its neighbours, the whole process, summaries, state, cache and API (15 minutes)
	$(BENCH) -bench 'Neighbours/series=(1|100)$$|GroupBy' -benchtime 50ms -count 6 ./plugins/aggregators/describe
	$(BENCH) -bench 'Neighbours/series=10000$$/data=cpu/through=direct' -benchtime 1x -timeout 20m ./plugins/aggregators/describe
	$(BENCH) -bench . -benchmem -benchtime 50ms -timeout 20m $(BENCHED)
	$(eval TAGS := $(test_tags))
	@test "$(TAGS)" != failed
	cd $(COMMAND) && $(BENCH) -bench . -benchtime 1x -count 3 -tags "$(TAGS)" .

.PHONY: bench-scale
bench-scale: ## measure 10,000 series of all data, Pushes of 100,000 series, an hour of changing series, the cost of state and a restart
	$(BENCH) -bench 'Neighbours/series=10000$$' -benchtime 1x -timeout 30m ./plugins/aggregators/describe
	$(BENCH) -bench 'PushAtScale|SeriesComeAndGo|StateCost|Restart' -benchtime 1x -timeout 30m ./plugins/aggregators/describe

.PHONY: bench-file
bench-file: ## measure the command describe beside DuckDB, pandas and mlr, where they are installed
	$(BENCH) -bench Neighbours -benchtime 1x -timeout 30m ./internal/describefile

.PHONY: fuzz
fuzz: ## fuzz each decoder and parser for FUZZTIME (10s)
	@set -e; for package in $$(grep -rl '^func Fuzz' --include=*_test.go . | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -rhoE '^func Fuzz\w+' $$package/*_test.go | sed 's/func //'); do \
			echo "$$package $$target"; (cd $$package && go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),10s) .); \
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
	GOFLAGS= GOBIN="$(CURDIR)/bin" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
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
ci: tidy-check lint vet test bench-once build ## what the server runs

.PHONY: clean
clean: ## remove bin
	rm -rf bin
