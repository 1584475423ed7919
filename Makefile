# `make help` lists what there is.
CARGO ?= cargo
# What the demo is built as; see [profile.demo] in Cargo.toml.
DEMO_PROFILE ?= demo
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 60
# Minutes and agents of a soak.
SOAK_MINUTES ?= 30
SOAK_AGENTS ?= 1000
DEMO_DIR ?= data/demo
DEMO_PATTERNS ?= examples/fabric-patterns
CARGO_TARGET_DIR ?= target
DEMO_BIN = $(CARGO_TARGET_DIR)/$(DEMO_PROFILE)

.DEFAULT_GOAL := help
.PHONY: help demo demo-check demo-build clean-demo test bench fmt lint doc deny sbom fuzz faults soak size

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: demo-build ## build, start FORGE with real prompts and one agent, and stay up
	@$(DEMO_BIN)/forge demo --data-dir $(DEMO_DIR) --patterns $(DEMO_PATTERNS)

demo-check: demo-build ## the same unattended: edits, publishes, sees the agent change, ends
	@$(DEMO_BIN)/forge demo --check --patterns $(DEMO_PATTERNS)

demo-build:
	@scripts/ensure-tools build
	$(CARGO) build --locked --profile $(DEMO_PROFILE) --bin forge --bin live

clean-demo: ## forget the demo's data
	rm -rf $(DEMO_DIR)

test: ## every test, on real servers; installs what it needs
	scripts/ensure-tools test
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --no-fail-fast

faults: ## the faults that need namespaces of their own; the others are in `make test`
	$(CARGO) build --locked --bin live
	scripts/faults

bench: ## measure; prints a table and writes target/bench/results.json
	$(CARGO) build --locked --release --bin forge --bin live --bin benches --features benches/flagd
	$(CARGO_TARGET_DIR)/release/benches

fmt: ## format the sources
	$(CARGO) fmt --all

lint: ## what .ci/run checks before the tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p live-agent --no-default-features --lib --examples -- -D warnings

# rustdoc asks for what a check of each crate gives, and clippy has made that already: named as the compiler, with the
# arguments that `make lint` gives it, it is not made again.
doc: ## the crates' documentation, warnings as errors
	RUSTDOCFLAGS="-D warnings" CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__ \
		RUSTC_WORKSPACE_WRAPPER="$$(rustup which clippy-driver 2>/dev/null || command -v clippy-driver)" \
		$(CARGO) doc --locked --workspace --no-deps

deny: ## licences, bans, sources and advisories of the dependencies
	@scripts/ensure-tools deny
	scripts/deny

sbom: ## bills of materials in target/sbom, held against the lock file
	@scripts/ensure-tools sbom
	scripts/sbom
	$(CARGO) test --locked --workspace --test house -- --include-ignored bill_of_materials

# Two arenas of the allocator: with more, a thousand agents in one process spread what they free over all of them.
soak: ## 1,000 agents, random faults and publishes for SOAK_MINUTES; ends with 1 where one does not come through
	MALLOC_ARENA_MAX=2 $(CARGO) run --locked --profile soak -p benches --bin soak -- --agents $(SOAK_AGENTS) --minutes $(SOAK_MINUTES)

size: ## what the programs and the library weigh, and what the library takes to compile
	scripts/size

fuzz: ## run the fuzz targets (FUZZ_SECONDS each); needs nightly and cargo-fuzz
	scripts/fuzz $(FUZZ_SECONDS)
