# segstream: `make run` and open http://localhost:8080. `make help` lists the rest.

MODEL ?= nano
HOST ?= 127.0.0.1
PORT ?= 8080
PYTHON ?= python3
# Variables set before what is started, as in: make run ENV="OMP_NUM_THREADS=1"
ENV ?=
# Passed on to pytest, as in: make test ARGS="tests/test_frames.py -x"
ARGS ?=
# Processes that run the tests. Those with a browser run one after the other: it has many itself.
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PYTEST = $(ENV) $(BIN)/python -m pytest -q --durations=10
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install
# Others there are their servers and clients, or make a picture: they have no --json and --quick.
BENCHMARKS := $(notdir $(basename $(shell grep -l 'machine\.parser' benchmarks/*.py)))

.DEFAULT_GOAL := help
.PHONY: help run test check format bench clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/installed-$(if $(filter nano,$(MODEL)),plain,sam2) ## start the server: [MODEL=nano] [PORT=8080] [HOST=127.0.0.1]
	@$(ENV) $(BIN)/segstream serve --model $(MODEL) --host $(HOST) --port $(PORT)

test: $(VENV)/installed-development ## run all tests: [JOBS=2] [ARGS="pytest's arguments"]
	@tests/browser.sh $(BIN)/playwright
	@$(if $(ARGS),$(PYTEST) $(ARGS),status=0; \
	  $(PYTEST) --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --ignore tests/e2e || status=1; \
	  $(PYTEST) tests/e2e || status=1; exit $$status)

check: $(VENV)/installed-development ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/installed-development ## put the code into its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/installed-development ## a quick run of every benchmark, one line of JSON each
	@tests/browser.sh $(BIN)/playwright
	@status=0; for name in $(BENCHMARKS); do echo "== $$name"; \
	  $(ENV) $(BIN)/python -m benchmarks.$$name --json --quick || status=1; done; exit $$status

clean: ## remove what was installed and built here
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache tests/artefacts
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/created:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "No $(PYTHON) here. Install it with: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "segstream needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make a virtual environment." >&2; \
	  echo "Install what is missing with: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed-plain: pyproject.toml $(VENV)/created
	@echo "Installing segstream into $(VENV); only the first time, about a minute." >&2
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-sam2: pyproject.toml $(VENV)/created
	@echo "Installing segstream with PyTorch into $(VENV); only the first time, some minutes." >&2
	@$(PIP) --editable '.[sam2]'
	@touch $@ $(VENV)/installed-plain

$(VENV)/installed-development: pyproject.toml tests/constraints.txt $(VENV)/created
	@echo "Installing segstream and what its tests need into $(VENV); some minutes." >&2
	@$(PIP) --constraint tests/constraints.txt --editable '.[test,check]'
	@touch $@ $(VENV)/installed-sam2 $(VENV)/installed-plain
