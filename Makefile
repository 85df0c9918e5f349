# Spoor: `make run` to see it, `make test` to trust it, `make check` while you change it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)
# The branch whose difference to the working tree `make check` looks at.
BASE := main

.PHONY: help deps build run test console check lint deny audit bench semver package

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

deps: ## install what apt has and this machine lacks: a C++ compiler, libclang, curl
	@.ci/deps

build: deps ## build the program
	cargo build --release --locked

run: build ## start a server on loopback with generated live traffic, and say what to try
	@configs/demo.sh $(TARGET)/release/spoor

# The reference clients of GraphQL (Node) are among the tests; npm fetches them once. The feature
# `failpoints` is for the tests that kill processes; programs built without it have no fail points.
test: deps ## every test, in the release profile
	@.ci/deps node
	cargo test --release --locked --workspace --features failpoints
	cargo test --release --locked -p spoor-operators --features abomonation --lib --test sessionize_model

console: deps ## rebuild the console in graphql/console/dist, which is committed
	@.ci/deps node
	cd graphql/console && npm ci --no-audit --no-fund && npm run codegen && npm run build

check: ## format, lint and tests of the packages that differ from BASE=main; debug profile
	@.ci/check $(BASE)

lint: deps ## format and lint of everything, as continuous integration does
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

deny: deps ## licences and origins of dependencies (installs cargo-deny once)
	@command -v cargo-deny >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny check bans licenses sources

audit: deps ## known vulnerabilities of dependencies (needs the network)
	@command -v cargo-deny >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny check advisories

# The feature `engine` is left out: semantic versioning does not cover it.
semver: deps ## whether the plugin's interface fits its version, against BASE (installs cargo-semver-checks once)
	@command -v cargo-semver-checks >/dev/null 2>&1 || cargo install cargo-semver-checks --locked
	cargo semver-checks -p spoor-operators --default-features --baseline-rev $(BASE)

package: deps ## build the plugin from its own package, as others get it
	cargo package -p spoor-operators --locked

bench: deps ## the figures, with the machine's load
	cargo bench --workspace --locked
