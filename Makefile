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
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11 python
REDIS_SERVER ?= redis-server
ARGS ?=
# Two tests at a time, those of a file one after the other: most of them wait for processes to start, or for a hold to end.
PARALLEL ?= --numprocesses 2 --dist loadfile

.PHONY: help demo test test-long test-fast test-redis lint format bench venv lock clean

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## sell out a real flash sale on this machine and audit it
	@$(BIN)/flashsale demo $(ARGS)

test: $(STAMP) ## run the tests, but for those that take a minute or more
	@$(BIN)/pytest $(PARALLEL) -m "not long" $(ARGS)

test-long: $(STAMP) ## run the tests that take a minute or more: kill -9 at every step, ten thousand payments, every lie
	@$(BIN)/pytest -m long $(ARGS)

test-fast: $(STAMP) ## run every test that takes no more than a few seconds
	@$(BIN)/pytest $(PARALLEL) -m "not slow and not long" $(ARGS)

# The rest either talks to no server or, as packaging and the demo, always to its own.
test-redis: $(STAMP) ## run the tests against the redis-server on the PATH (or REDIS_SERVER=...)
	@server=$$(command -v "$(REDIS_SERVER)") || { echo "no $(REDIS_SERVER) on the PATH: install it, or say REDIS_SERVER=/path/to/it" >&2; exit 1; }; \
	FLASHSALE_TEST_SERVER="$$server" $(BIN)/pytest $(PARALLEL) -m "not long" --ignore=tests/packaging --ignore=tests/model --ignore=tests/demo \
		--ignore=tests/simulator --ignore=tests/providers $(ARGS)

lint: $(STAMP) ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@if [ -x $(BIN)/shellcheck ]; then $(BIN)/shellcheck .ci/run examples/*.sh; fi
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint deploy/Dockerfile; fi

format: $(STAMP) ## write the code the way lint wants it
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## measure, and print the tables (needs wrk for the HTTP figures)
	@$(BIN)/pytest bench $(ARGS)

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
	$(COMPILE) --group build --constraints requirements/dev.txt --output-file requirements/build.txt

clean: ## remove the environment, the caches and what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
