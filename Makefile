# The front door. `make help` lists what there is.
SHELL := /bin/sh
PY := .venv/bin/python
GO := $(CURDIR)/.venv/bin/go
GO_ENV := CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
.DEFAULT_GOAL := help

.PHONY: help setup environment bootstrap test artifacts with-hosts without-hosts lint standin-test standin-vet unit lab-test journey browser test-cold bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install system packages and the environment at .venv
	@lab/prepare-machine
	@$(MAKE) --no-print-directory --silent .venv/.ready

.venv/.ready: locks/requirements.txt pyproject.toml
	@echo "aiplat: making the environment at .venv" >&2
	@python3 -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/requirements.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

environment: .venv/.ready ## The environment at .venv alone, for sites of real hosts; installs no system packages

bootstrap: setup ## From nothing to a served model on the built-in lab site
	@.venv/bin/aiplat bootstrap --yes

test: setup ## What CI runs: lint, then what needs hosts and what does not, side by side
	@$(MAKE) --no-print-directory lint
	@rm -rf .reports
	@$(MAKE) --no-print-directory artifacts
	@status=0; $(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target with-hosts without-hosts standin-test || status=$$?; \
		$(PY) -m tests.tally .reports/with-hosts.xml .reports/without-hosts.xml || status=$$?; exit $$status

# Into the cache, with all processors: what is built cold takes longer than all the tests.
artifacts: setup
	@AIPLAT_STATE=.reports/state .venv/bin/aiplat bundle build tests/e2e/sites/one-host.yaml
	@rm -rf .reports/state

# Journeys mostly wait, the others mostly compute. The journeys are seen as they go, the others when they end.
with-hosts: setup
	@$(MAKE) --no-print-directory --output-sync=none lab-test PYTEST_FLAGS=--junit-xml=.reports/with-hosts.xml

without-hosts: setup
	@$(MAKE) --no-print-directory unit PYTEST_FLAGS=--junit-xml=.reports/without-hosts.xml

lint: setup ## Formatting, types, imports, roles
	@.venv/bin/ruff format --check -q .
	@.venv/bin/ruff check -q .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@PATH="$$PWD/.venv/bin:$$PATH" ansible-lint --offline -q --profile production roles playbooks

# The flags of lab/standin/build, so that what one compiles serves the other. Vetting derives facts of every
# package of Kubernetes, which takes a cold cache longer than all the tests: it has a target of its own.
standin-test: setup ## Test the stand-in
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l lab/standin/main.go lab/standin/internal) && test -z "$$unformatted" || { echo "not formatted: $$unformatted" >&2; exit 1; }
	@cd lab/standin && $(GO_ENV) $(GO) test -short -vet=off -ldflags='-s -w' ./...

standin-vet: setup ## Vet the stand-in (minutes on a cold cache)
	@cd lab/standin && $(GO_ENV) $(GO) vet ./...

unit: setup ## Only the tests that take seconds
	@$(PY) -m pytest -q -m "not lab" $(PYTEST_FLAGS)

lab-test: setup ## Only the journeys through real hosts
	@$(PY) -m pytest -q -m "lab and not journey" $(PYTEST_FLAGS)

journey: setup ## One longer journey through real hosts: make journey NAME=access
	@$(PY) -m tests.e2e.record $(NAME)

browser: setup ## What journeys in a browser (portal, portal_pages, sign_in_browser) drive Debian's Chromium with
	@.venv/bin/uv pip install -q --python $(PY) --require-hashes -r locks/browser.txt

test-cold: setup ## The same on fresh Debian 12 and 13 roots with empty caches
	@tests/cold/run bookworm
	@tests/cold/run trixie

bench: setup ## Measure the gateway against LiteLLM's proxy and write docs/benchmarks.md (half an hour, alone on the machine)
	@$(PY) -m tests.bench.run --report docs/benchmarks.md

lock: setup ## Resolve the Python locks again from pyproject.toml
	@.venv/bin/uv pip compile pyproject.toml -q --all-extras --universal --python-version 3.11 --generate-hashes --no-header -o locks/requirements.txt
	@$(PY) -c "import tomllib; e = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; print(*(r for r in e['services'] + e['gateway'] if not r.startswith('aiplat[')), sep='\n')" \
		| .venv/bin/uv pip compile - -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c locks/requirements.txt -o locks/services.txt
	@$(PY) -c "import tomllib; print('pip', *tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
		| .venv/bin/uv pip compile - -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c locks/requirements.txt -o locks/runtime.txt
	@.venv/bin/uv pip compile locks/sources.in -q --no-deps --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o locks/sources.txt
	@.venv/bin/uv pip compile locks/vllm.in -q --override locks/vllm-overrides.txt $$(sed 's/^/--no-emit-package /' locks/vllm-left-out.txt) \
		--python-version 3.13 --python-platform x86_64-manylinux_2_40 --generate-hashes --no-header --no-annotate -o locks/vllm.txt
	@.venv/bin/uv pip compile locks/browser.in -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		-c locks/requirements.txt -o locks/browser.txt
	@.venv/bin/uv pip compile locks/canaille.in -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o locks/canaille.txt
	@.venv/bin/uv pip compile tests/bench/peer.in -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -o locks/bench.txt

clean: ## Remove the environment and what tools left in the checkout
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .reports .ansible dist
