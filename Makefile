# Everything that a person or a machine does with this repository. `make` alone says what there is.
#
# Needed beforehand: Go, Node.js (>= 20.19) with npm, make, git. The rest is installed by `make deps`, which every
# target that needs it calls.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# One set of flags for tests and builds, so that they share Go's build cache. No cgo anywhere.
export CGO_ENABLED := 0
export GOFLAGS := -buildvcs=false
GO ?= go
NPM ?= npm
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/rufweite/rufweite/internal/app.Version=$(VERSION)
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

WEB_SOURCES := $(shell find web -path web/node_modules -prune -o -path web/dist -prune -o -path web/test -prune -o -type f -print 2>/dev/null)

.PHONY: prove help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# -- set-up

.PHONY: deps
deps: ## Install what the tests need (Debian packages, npm packages), where missing
	@scripts/deps test
	@$(MAKE) web/node_modules/.installed test/real/sdk/node_modules/.installed

web/node_modules/.installed: web/package-lock.json
	@scripts/deps run
	@echo "npm ci (web)"
	@$(NPM) --prefix web ci --no-audit --no-fund --loglevel=error >&2
	@touch $@

# The providers' SDKs, counterparts of our drivers in test-real. None of their scripts is run.
test/real/sdk/node_modules/.installed: test/real/sdk/package-lock.json
	@scripts/deps run
	@echo "npm ci (test/real/sdk)"
	@$(NPM) --prefix test/real/sdk ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
	@touch $@

# -- build

.PHONY: web build
web: web/dist/index.html ## Build the user interface into web/dist

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	@echo "vite build (web)"
	@$(NPM) --prefix web run --silent build -- --logLevel warn
	@touch $@

build: web ## Build bin/rufweite: one static binary, user interface inside
	@mkdir -p bin
	$(GO) build -tags embedweb -ldflags "$(LDFLAGS)" -o bin/rufweite ./cmd/rufweite

.PHONY: run
run: build ## Build everything and run the demo
	bin/rufweite demo

# -- tests

.PHONY: test test-fast test-go test-web test-real test-browser crash
test: ## All tests: both database engines, real programs, a real browser
	@scripts/test

test-fast: ## Inner loop: the core on SQLite only
	@scripts/deps go
	@env -u RUFWEITE_TEST_POSTGRES $(GO) test -short -p 2 ./internal/... ./cmd/...

test-go: ## Go tests on SQLite and on a PostgreSQL of their own
	@scripts/deps test
	@scripts/with-postgres $(GO) test -p 2 ./...

test-web: web/node_modules/.installed ## Types and unit tests of the user interface
	@$(NPM) --prefix web run --silent check
	@$(NPM) --prefix web run --silent test

test-real: deps build ## Real programs as counterparts: swaks, postfix, mutt, the providers' SDKs
	@RUFWEITE_BIN="$(CURDIR)/bin/rufweite" $(GO) test -count=1 -tags real ./test/real/

test-browser: deps build ## A real browser against the desk and the binary
	@$(NPM) --prefix web run --silent test:browser
	@if grep -q '"test:e2e"' web/package.json; then RUFWEITE_BIN="$(CURDIR)/bin/rufweite" $(NPM) --prefix web run --silent test:e2e; fi

prove: ## 100,000 random dialogs that the prover accepts, run by random customers on random channels
	@RUFWEITE_LONG=1 $(GO) test -count=1 -timeout 60m -run NeverGetStuck -v ./internal/dialog/

crash: deps build ## kill -9 a thousand times under load, with an independent ledger
	@RUFWEITE_BIN="$(CURDIR)/bin/rufweite" RUFWEITE_KILLS=$${RUFWEITE_KILLS:-1000} scripts/with-postgres $(GO) test -count=1 -timeout 120m -v -tags crash ./test/crash/

# -- looking at it

.PHONY: bench screenshots contact-sheet lint clean
bench: build ## Measure this machine
	bin/rufweite bench all

screenshots: deps build ## Make docs/screens anew from the running demo
	RUFWEITE_BIN="$(CURDIR)/bin/rufweite" node web/test/screenshots.mjs

contact-sheet: deps build ## One question on every channel of the demo, photographed on one sheet
	RUFWEITE_BIN="$(CURDIR)/bin/rufweite" node web/test/contactsheet.mjs

.PHONY: docs-channels
docs-channels: ## Write docs/channels anew from the drivers
	@$(GO) run ./cmd/rufweite channel docs docs/channels

lint: ## golangci-lint (compiled on first use: minutes)
	@CGO_ENABLED=0 $(GO) run $(GOLANGCI) run --allow-parallel-runners ./...

clean: ## Remove what was built
	rm -rf bin web/dist web/node_modules
