# Everything a contributor runs. Needs Python 3.11 or newer, with its venv module, and make.
#
#   make demo ARGS="--shoppers 500"      options go through ARGS, to demo, test, test-redis and bench alike
#   make test PYTHON=python3.13          another interpreter than the first suitable one found

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RACE ?= .venv-race
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11 python
REDIS_SERVER ?= redis-server
ARGS ?=
# Three tests at a time, those of a file one after the other: most of them wait for processes to start, or for a hold to end.
PARALLEL ?= --numprocesses 3 --dist loadfile
# The long ones start more processes each.
PARALLEL_LONG ?= --numprocesses 2 --dist loadfile
# Tests that talk to no store, or only to one of their own; and those of the API that are answered before the store is asked.
STORELESS := cli client demo examples fuzz identity lane loadtest model packaging pages providers race rehearsal simulator verdict
STORELESS_API := bad_callers bad_http bad_reservations bad_sales odd_paths openapi schemathesis tls

.PHONY: help demo test test-long test-fast test-redis fuzz lint format screenshots bench race venv lock clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## sell out a real flash sale on this machine and audit it
	@$(BIN)/flashsale demo $(ARGS)

test: $(STAMP) ## run the tests, but for those that take a minute or more
	@$(BIN)/pytest $(PARALLEL) -m "not long" $(ARGS)

test-long: $(STAMP) ## run the tests that take a minute or more: kill -9 at every step, ten thousand payments, every lie
	@$(BIN)/pytest $(PARALLEL_LONG) -m long $(ARGS)

test-fast: $(STAMP) ## run every test that takes no more than a few seconds
	@$(BIN)/pytest $(PARALLEL) -m "not slow and not long" $(ARGS)

test-redis: $(STAMP) ## run the tests of the store against the redis-server on the PATH (or REDIS_SERVER=...)
	@server=$$(command -v "$(REDIS_SERVER)") || { echo "no $(REDIS_SERVER) on the PATH: install it, or say REDIS_SERVER=/path/to/it" >&2; exit 1; }; \
	FLASHSALE_TEST_SERVER="$$server" $(BIN)/pytest $(PARALLEL) -m "not long" \
		$(STORELESS:%=--ignore=tests/%) $(STORELESS_API:%=--ignore=tests/api/test_%.py) $(ARGS)

fuzz: $(STAMP) ## fuzz the reading of requests by the fast lane for half a minute (ARGS="--seconds 600" for longer)
	@$(BIN)/python -m tests.fuzz.lane $(ARGS)

lint: $(STAMP) ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@if [ -x $(BIN)/shellcheck ]; then $(BIN)/shellcheck .ci/run examples/*.sh; fi
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint deploy/Dockerfile; fi

format: $(STAMP) ## write the code the way lint wants it
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

screenshots: $(STAMP) ## take pictures of every state of the pages into flashsale-screenshots (needs Chromium; ARGS="held sale" for some)
	@$(BIN)/python -m tests.pages.screenshots flashsale-screenshots $(ARGS)

bench: $(STAMP) ## measure, and print the tables (needs wrk for the HTTP figures)
	@$(BIN)/pytest bench $(ARGS)

race: $(RACE)/.installed ## race the server against what others would build, and draw it: ARGS="--quick", --curves, --numbers
	@$(RACE)/bin/python -m bench.race $(ARGS)

# An environment of its own: the contenders are no part of the product, and no test needs most of them.
$(RACE)/.installed: $(STAMP) requirements/race.txt
	@echo "Installing the contenders into $(RACE) ..."
	@$(BIN)/python -m venv --clear $(RACE)
	@$(RACE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/race.txt
	@touch $@

venv: $(STAMP) ## install the pinned dependencies into .venv

# The interpreter is looked for only when something has to be installed.
$(STAMP): requirements/dev.txt pyproject.toml
	@set -e; \
	suits() { command -v "$$1" >/dev/null 2>&1 && "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
	chosen=''; \
	for candidate in $(or $(PYTHON),$(PYTHONS)); do \
		if suits "$$candidate"; then chosen="$$candidate"; break; fi; \
	done; \
	if [ -z "$$chosen" ]; then \
		echo "flashsale needs Python 3.11 or newer; none of these is: $(or $(PYTHON),$(PYTHONS))." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	if ! "$$chosen" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$chosen has no working venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; \
	fi; \
	echo "Installing the pinned dependencies into $(VENV) with $$("$$chosen" --version) ..."; \
	"$$chosen" -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	touch $(STAMP)

# `make lock` keeps what is pinned where it still fits; `make lock ARGS=--upgrade` takes the newest of everything.
COMPILE = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

lock: $(STAMP) ## write requirements/*.txt anew from pyproject.toml
	$(COMPILE) pyproject.toml --extra demo --extra postgres --extra stripe --group dev --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra postgres --extra stripe --constraints requirements/dev.txt --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra load --constraints requirements/dev.txt --output-file requirements/load.txt
	$(COMPILE) --group build --constraints requirements/dev.txt --output-file requirements/build.txt
	$(COMPILE) pyproject.toml --extra postgres --group race --constraints requirements/dev.txt --output-file requirements/race.txt

clean: ## remove the environment, the caches and what was built
	rm -rf $(VENV) $(RACE) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
