# Each target does its own set-up: a virtual environment, a pinned install, then the work.
# `make help` lists them. Variables: PYTHON (which interpreter makes the environment),
# VENV (where it lies), PYTEST_ARGS (added to pytest's command line), WORKERS (test processes),
# TORCH (what pip installs for `make test-torch`).

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PYTEST_ARGS ?=
# pip's default build of PyTorch brings gigabytes of CUDA; this index has the CPU's.
TORCH ?= torch --index-url https://download.pytorch.org/whl/cpu

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A file's tests stay in one process: they share what they train and compile.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
# What CI and `make test` run: quick, and without a chip.
QUICK := not slow and not aot and not gpu

.PHONY: help demo test test-slow test-torch lint format venv constraints test-lowest clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(STAMP) ## toy faces, two small training runs, their blend, pairs, a pSp: demo/report.html
	$(BIN)/stylegan-jax demo --workdir demo

test: $(STAMP) ## the quick tests, a quarter of an hour on two cores
	$(PYTEST) -m "$(QUICK)" $(PYTEST_ARGS)

test-slow: $(STAMP) ## the long ones: training runs, killed and resumed, several processes
	$(PYTEST) -m "slow and not gpu" $(PYTEST_ARGS)

# With Python 3.11, the oldest, whose newest jax is also the lowest.
test-lowest: $(BIN)/python ## the quick tests with the lowest versions that setup.py allows
	[ -x .venv-lowest/bin/python ] || $(BIN)/python -m venv .venv-lowest
	$(BIN)/python constraints/lowest.py > .venv-lowest/pins.txt
	.venv-lowest/bin/python -m pip install -qq --disable-pip-version-check \
	  -c .venv-lowest/pins.txt -e '.[dev]'
	.venv-lowest/bin/python -m pytest -n $(WORKERS) -m "$(QUICK)" $(PYTEST_ARGS)

test-torch: $(BIN)/python ## the converter's tests with PyTorch, in an environment of its own
	[ -x .venv-torch/bin/python ] || $(BIN)/python -m venv .venv-torch
	.venv-torch/bin/python -m pip install -qq --disable-pip-version-check $(TORCH)
	.venv-torch/bin/python -m pip install -qq --disable-pip-version-check -e '.[dev,torch]'
	.venv-torch/bin/python -m pytest -n $(WORKERS) -m "$(QUICK)" tests/convert_torch tests/cli/test_convert.py $(PYTEST_ARGS)

lint: $(STAMP) ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## rewrite the sources as `make lint` wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

venv: $(STAMP) ## the environment alone

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is not Python 3.11 or newer ($$($(PYTHON) -V 2>/dev/null || echo not found)):" \
	    "name one with make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments:" \
	    "run apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# PIP_CONSTRAINT and PIP_BUILD_CONSTRAINT also pin the setuptools that builds the package
# (older and newer pip read one or the other).
$(STAMP): setup.py pyproject.toml $(wildcard constraints/*.txt) | $(BIN)/python
	@pins=constraints/$$($(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])').txt; \
	if [ -f "$$pins" ]; then \
	  export PIP_CONSTRAINT=$$pins PIP_BUILD_CONSTRAINT=$$pins; \
	  echo "installing the versions of $$pins"; \
	else \
	  echo "no $$pins: installing the newest versions within the bounds of setup.py"; \
	fi; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $@

# Run after a change of bounds, once with each Python; it installs what is newest now.
constraints: ## write constraints/pyXY.txt anew for PYTHON
	$(PYTHON) constraints/freeze.py

clean: ## what the targets made: environment, caches, demo
	rm -rf $(VENV) .venv-lowest .venv-torch build dist *.egg-info demo .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
