# Everything one does with a checkout. `make` alone lists it.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo test check lint types mypy pyright docs pytest coverage format bench prove crash fuzz mutate clean distclean

# The first Python found that is new enough; `make PYTHON=…` names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$python"; break; }; done)
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# uv installs in seconds what takes pip most of a minute; whatever it cannot get, pip may.
INSTALL = @$(PIP_INSTALL) uv \
	&& $(BIN)/uv pip install --quiet --python $(BIN)/python --editable $(1) \
	|| $(PIP_INSTALL) --editable $(1)

# Folders and files that have their place in the checks from the day they appear.
TYPED := $(wildcard conftest.py trio_gusto tests property_tests benchmarks docs/*.py)
# Laws take longest, so they begin.
TESTED := $(wildcard property_tests README.md docs trio_gusto tests)

# Examples of the rules and of the actors; laws would hide what no example shows.
COVERING := tests/model tests/actors tests/features tests/queue tests/cli/test_audit.py \
	tests/storage/sqlite/test_auditing_values.py tests/storage/sqlite/test_unreadable_rows.py \
	tests/storage/sqlite/test_auditing.py

# One process for each core; `make pytest PARALLEL=` runs all in one, for a debugger. A process that dies ends
# the run, which names the test: one that took its place would wait for a second test for ever.
PARALLEL ?= -n logical --maxprocesses 8 --max-worker-restart 0

# Databases of tests are made in memory where there is room, so that nobody waits for a disk.
SHM := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 2000000 { print "/dev/shm" }')

DIR ?= .
CRASH ?=
ARGS ?=
MINUTES ?= 5
SEED ?=
ROOM ?= model

help: ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.package ## run the demo on DIR (default: here); CRASH=1 kills it half-way
	@$(BIN)/trio-gusto demo "$(DIR)" $(if $(filter-out 0,$(CRASH)),--crash)

test: export HYPOTHESIS_PROFILE ?= ci
test: .venv/.dev ## set up and run everything CI runs
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target mypy pyright docs
	@$(MAKE) --no-print-directory pytest

check: export HYPOTHESIS_PROFILE ?= quick
check: ## the same in the environment as it is, with few examples
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory docs
	@$(MAKE) --no-print-directory pytest

lint: ## format, style and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo

types: mypy pyright ## both type checkers

mypy:
	$(BIN)/mypy $(TYPED)

pyright: export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
pyright:
	$(BIN)/pyright

docs: ## check the generated pages, then build the documentation into docs/_build
	$(BIN)/python -m docs.generate --check
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build/html

pytest: export TMPDIR ?= $(or $(SHM),/tmp)
# Hundreds of processes of tests would each compile the package again.
pytest: export PYTHONDONTWRITEBYTECODE :=
pytest: ## tests, examples in docs and docstrings, property tests; ARGS="-k …" narrows them
	$(BIN)/python -m pytest $(PARALLEL) $(TESTED) $(ARGS)

coverage: .venv/.dev ## run the examples that go through every branch of the rules and the actors
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PARALLEL) --quiet $(COVERING) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

format: ## write what `make lint` and `make docs` would ask for
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python -m docs.generate

bench: .venv/.dev ## run the benchmarks; ARGS are theirs
	$(BIN)/python -m benchmarks $(ARGS)

prove: .venv/.dev ## search long for a broken law; MINUTES=5, and SEED=… repeats a search
	$(BIN)/python -m property_tests.campaign --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

crash: .venv/.dev ## kill real processes, and see what is left; MINUTES=5, and SEED=… asks for the same
	$(BIN)/python -m property_tests.crashes --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

fuzz: .venv/.fuzz ## throw garbage at all that reads text, led by coverage; MINUTES=5 for each
	$(BIN)/python -m property_tests.fuzz all --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

mutate: .venv/.mutation ## change each line of ROOM and see who notices; ARGS="--again"
	nice -n 15 $(BIN)/python -m property_tests.mutation $(ROOM) $(ARGS)

clean: ## remove what tools and builds left behind
	rm -rf build dist docs/_build htmlcov .coverage .coverage.* .demo .fuzz .hypothesis \
		.import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## the same, and the environment too
	rm -rf .venv

# The environment knows what was installed into it; it is renewed when pyproject.toml changes.

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "trio-gusto needs Python 3.11 or newer on PATH" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.package: pyproject.toml | .venv/bin/python
	$(call INSTALL,.)
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(call INSTALL,'.[dev]')
	@touch .venv/.package $@

.venv/.mutation .venv/.fuzz: .venv/.%: pyproject.toml .venv/.dev
	$(call INSTALL,'.[$*]')
	@touch $@
