# Two commands do everything: `make demo` and `make test`. Each sets up what it needs in .venv first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: put it on PATH, or call make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/neighbours --group neighbours
	@touch $(READY)

demo: $(READY) ## the main job: a mock server that misbehaves, a client that copes, a table that proves it
	$(BIN)/rest-api-client demo

test: $(READY) ## the whole test suite, with branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses 2 --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=100

check: $(READY) ## ruff, mypy strict, pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

prove: $(READY) ## figures of time, memory and long runs; fails where they fall short
	$(BIN)/python -m tests.prove

outage: $(READY) ## our defaults in an outage, beside what people use today; writes docs/outage.md and docs/outage.svg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group outage
	$(BIN)/python -m tests.outage

behaviour: $(READY) ## which rules of good behaviour HTTP clients keep, ours among them; writes docs/behaviour.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group outage
	$(BIN)/python -m tests.behaviour

faults: $(READY) ## every fault on the wire, and what HTTP clients make of it; writes docs/wire-faults.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group faults
	$(BIN)/python -m tests.faults

bench: $(READY) ## how fast it is, beside others on the same core; writes docs/performance.md and docs/performance.json
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	$(BIN)/python -m tests.benchmarks

bench-quick: $(READY) ## the same at a glance, in under two minutes; writes nothing
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	$(BIN)/python -m tests.benchmarks --quick

mutate: $(READY) ## change retry, limiter, breaker and budget in small ways, and see whether the tests notice; writes docs/mutation.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutate
	$(BIN)/python -m tests.mutate

test-all: ## the test suite on every Python from 3.11 that this machine has, pyenv's included
	@seen=; for p in python3.11 python3.12 python3.13 python3.14 $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/*/bin/python3; do \
	  v=$$($$p -c 'import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 11) else "")' 2>/dev/null); \
	  case " $$seen " in *" $$v "*) continue;; esac; \
	  seen="$$seen $$v"; echo "== Python $$v"; \
	  $(MAKE) --no-print-directory test PYTHON=$$p VENV=.venv-$$v || exit 1; \
	done

clean: ## remove what the targets made
	rm -rf .venv .venv-* .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help demo test check prove outage behaviour faults bench bench-quick mutate test-all clean
