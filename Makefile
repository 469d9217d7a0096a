# Everything is one line; `make help` names them.
.DEFAULT_GOAL := help
CARGO ?= cargo
SUITES := ./tests/suites.sh

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

build: ## the binary: target/release/sequencer
	$(CARGO) build --release --locked

run: build ## a Kafka on this machine, the service, a live demo; Ctrl-C ends it
	./target/release/sequencer dev

test: ## unit and property tests, then integration tests against a real broker
	$(SUITES) test

test-long: ## the same with 1,000,000 requests in the kill matrix, and the drain figures
	$(SUITES) test-long

fmt: ## formats
	$(CARGO) fmt

lint: fmt-check clippy deny ## rustfmt, clippy with warnings denied, dependency audit

fmt-check:
	$(CARGO) fmt --check

clippy:
	$(CARGO) clippy --release --locked --all-targets -- -D warnings

deny: ## licences, duplicates and sources of dependencies
	@[ -x .tools/bin/cargo-deny ] || $(CARGO) install --locked --root .tools cargo-deny@0.18.9
	.tools/bin/cargo-deny --all-features check licenses bans sources

.PHONY: help build run test test-long fmt lint fmt-check clippy deny
