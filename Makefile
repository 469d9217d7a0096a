# Everything is one line; `make help` names them.
.DEFAULT_GOAL := help
CARGO ?= cargo
SUITES := ./tests/suites.sh
MINUTES ?= 10
TIMES ?= 10
SEEDS ?= 300

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

build: ## the binary: target/release/sequencer
	$(CARGO) build --release --locked

run: build ## a Kafka on this machine, the service, a live demo; Ctrl-C ends it
	./target/release/sequencer dev

test: ## unit and property tests, integration tests against a real broker, a short chaos in each mode
	$(SUITES) test

test-long: ## the same with 1,000,000 requests in the kill matrix, ten minutes of chaos, 100,000 in each bounce, and the drain figures
	$(SUITES) test-long

sim: ## histories of the shipped pure code with every fault: SEEDS=10000; then the planted mistakes
	SIM_SEEDS=$(SEEDS) $(CARGO) test --release --locked --test sim -- --nocapture
	$(CARGO) test --release --locked --features planted-bugs --test sim planted -- --nocapture

bench: build ## figures of all scenarios, verified and judged, half an hour; report.json and report.html
	$(CARGO) build --release --locked -p sequencer-acceptance
	./target/release/sequencer-acceptance --json report.json --html report.html

bench-quick: build ## throughput and latency beside a raw echo in under a minute, for a first look
	./target/release/sequencer bench --quick

bench-micro: ## decode, fold and encode without a broker
	$(CARGO) bench --locked --profile release --bench record_path

chaos: ## three brokers, three instances and more, a fault every few seconds: make chaos MINUTES=10
	SEQUENCER_CHAOS_MINUTES=$(MINUTES) $(CARGO) test --release --locked --test chaos -- chaos_ --nocapture --test-threads=1

chaos-rescale: ## the same while the service gets more partitions, 4 to 8 to 24: make chaos-rescale MINUTES=3
	SEQUENCER_CHAOS_MINUTES=$(MINUTES) $(CARGO) test --release --locked --test chaos -- rescale_ --nocapture --test-threads=1

failover: ## how long partitions stand still when instances fail, with failover and without: make failover TIMES=10
	SEQUENCER_FAILOVER_TIMES=$(TIMES) $(CARGO) test --release --locked --test chaos -- failover_ --nocapture --test-threads=1

dist: build ## the archive of a release, which is then run from an empty directory: target/dist
	deploy/dist.sh target/release/sequencer

sbom: ## the list of what is compiled into the binary, for scanners: target/dist
	deploy/sbom.sh

fmt: ## formats
	$(CARGO) fmt --all

lint: fmt-check clippy doc deny ## rustfmt, clippy with warnings denied, links between items, dependency audit

fmt-check:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings

doc: ## the documentation of the items; a broken link fails
	$(CARGO) doc --release --locked --no-deps -p sequencer -p sequencer-protocol -p sequencer-verify

deny: ## licences, duplicates and sources of dependencies
	@[ -x .tools/bin/cargo-deny ] || $(CARGO) install --locked --root .tools cargo-deny@0.18.9
	.tools/bin/cargo-deny --all-features check licenses bans sources

deploy-check: ## chart, image, compose file and unit, as far as that goes without a cluster; planted bugs
	tests/deploy/check.sh

workflows-check: ## the workflows of CI and release, by actionlint, which Go builds once
	@[ -x .tools/bin/actionlint ] || GOBIN=$(CURDIR)/.tools/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7
	.tools/bin/actionlint

book: ## the documents as a site, with its diagrams drawn and its links checked: target/book
	deploy/book.sh

comparison: ## the rates of docs/comparison.md that this machine can measure: a PostgreSQL, a Redis
	benches/comparison.sh

migrate-check: build ## the migration scripts, against a real PostgreSQL, Redis and Kafka
	tests/deploy/migrate.sh

.PHONY: help build run test test-long sim chaos chaos-rescale failover bench bench-quick bench-micro dist sbom fmt lint fmt-check clippy doc deny deploy-check workflows-check book comparison migrate-check
