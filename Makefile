# Everything that a developer, CI or an editor runs. `make` alone lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick check format docs bench clean

help:  ## List what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make the virtual environment and install everything (implied by the others)

$(READY): pyproject.toml deploy/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.13 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c deploy/constraints.txt --config-settings editable_mode=compat -e '.[dev]'
	@touch $@

demo: setup  ## Restart the trading engine while orders flow, and show the report
	@$(BIN)/test-coordinator run restart-during-trading --state .demo --reports reports

test: setup  ## All tests
	@$(BIN)/pytest -n 2 --dist worksteal

test-quick: setup  ## The tests that take no real time to speak of
	@$(BIN)/pytest -n 2 --dist worksteal -m "not long"

check: setup  ## Lint, format, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: setup  ## Put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup  ## Write the reference of the scenario language and its JSON Schema
	@$(BIN)/test-coordinator schema --format markdown > docs/scenario-language.md
	@$(BIN)/test-coordinator schema > docs/scenario.schema.json

bench: setup  ## Latency, throughput and memory, beside Chaos Toolkit; written to benchmarks/latest.json
	@$(BIN)/python -m benchmarks

clean:  ## Remove what the others made
	rm -rf $(VENV) .venv-* .demo reports build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
