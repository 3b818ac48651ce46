# Everything that a developer, CI or an editor runs. `make` alone lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Test processes at once: on two cores three, since tests wait more than they compute. TESTS: files, if not all.
JOBS ?= 3
LONG_JOBS ?= 3
TESTS ?=
# Many containers forbid Python to keep what it compiled; of a thousand processes each would compile everything anew, half of its start.
unexport PYTHONDONTWRITEBYTECODE
# Each as NAME[@SPEED][,VARIABLE=VALUE...]; the speeds bring long scenarios to some twelve seconds. What follows a -- would run beside the others.
LIBRARY := market-crash@150 stablecoin-depeg@10800 volatility-spike@600 feed-disruption@75 \
  strategy-runaway@50 risk-system-test@100 custodian-offline@1200 settlement-cascade-failure@1800 \
  resilience exchange-disruption@150,disruption_type=latency rolling-restart file-descriptors monkey

.DEFAULT_GOAL := help
.PHONY: help setup demo library test test-long check format docs crash-test bench clean

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

library: setup  ## Run the whole library against the miniature, long scenarios at speed, and print their verdicts
	@BIN=$(BIN) .ci/library $(LIBRARY)

test: setup  ## The tests, but for the long ones (some five minutes)
	@$(BIN)/pytest -n $(JOBS) --dist worksteal -m "not long" $(TESTS)

test-long: setup  ## The long tests: whole runs, real browsers, killed processes (some ten minutes)
	@$(BIN)/pytest -n $(LONG_JOBS) --dist loadgroup -m long $(TESTS)

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

crash-test: setup  ## Kill every actor at every line of the journal, and compare (an hour; COUNT=40 SEED=1: some of them)
	@$(BIN)/python -m tests.crash $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(LANES),--lanes $(LANES)) $(if $(WITHIN),--within $(WITHIN))

bench: setup  ## Latency, throughput and memory, beside Chaos Toolkit; written to benchmarks/latest.json
	@$(BIN)/python -m benchmarks

clean:  ## Remove what the others made
	rm -rf $(VENV) .venv-* .demo .library reports build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
