# Spoor: `make run` to see it, `make test` to trust it, `make bench` to measure it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help deps build run test lint deny unit audit bench

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

deps:
	@.ci/deps

build: deps ## build the program
	cargo build --release --locked

run: build ## start a server on loopback with generated live traffic, and say what to try
	@configs/demo.sh $(TARGET)/release/spoor

test: lint deny unit ## everything that is checked

lint: deps
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

deny: deps
	@command -v cargo-deny >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny check bans licenses sources

# The reference clients of GraphQL (Node) are among the tests; npm fetches them once.
unit: deps
	@.ci/deps node
	cargo test --release --locked --workspace
	cargo test --release --locked -p spoor-operators --features abomonation --lib --test sessionize_model

audit: deps ## known vulnerabilities of dependencies (needs the network)
	@command -v cargo-deny >/dev/null 2>&1 || cargo install cargo-deny --locked
	cargo deny check advisories

bench: deps ## the figures, with the machine's load
	cargo bench --workspace --locked
