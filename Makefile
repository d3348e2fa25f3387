# Every task of the project. `make run` and `make test` need nothing set up before them.
VENV ?= .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help run test check bench golden-update clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(BIN)/.ready: pyproject.toml .ci/constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[phones,dev]'
	@touch $@

check: $(BIN)/.ready ## Format, lint, types, import contracts, unit tests (under a minute)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/unit

test: $(BIN)/.ready ## Every tier, real calls included
	$(BIN)/pytest tests

bench: $(BIN)/.ready ## Every figure, one JSON line each (about 6 minutes)
	$(BIN)/python -m tests.bench
