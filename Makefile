# Every task of the project. `make run` and `make test` need nothing set up before them.
VENV ?= .venv
BIN := $(VENV)/bin
# Tests with a real Asterisk mostly wait for phones, so two run side by side, each with labs of its own.
TEST_PROCESSES ?= 2
# Tests start a process for each phone, command and server; without this each would compile the source anew.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help run down status test check lint unit bench docs format clean distclean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/.ready: pyproject.toml .ci/constraints.txt .ci/venv
	@.ci/venv $(VENV)
	@touch $@

run: $(BIN)/.ready ## Start the lab, say what to do next, then follow its log (Ctrl-C stops following only)
	@$(BIN)/wirechief lab up
	@$(BIN)/wirechief lab log

down: $(BIN)/.ready ## Stop the lab; everything kept stays
	@$(BIN)/wirechief lab down

status: $(BIN)/.ready ## How the lab stands
	@$(BIN)/wirechief lab status || test $$? = 3

check: lint unit ## Format, lint, types, import contracts, unit tests (about a minute)

lint: $(BIN)/.ready ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(BIN)/.ready ## The unit tests alone, on every core
	$(BIN)/pytest -q -n auto tests/unit

test: unit ## Every tier, real calls included; gets the machine ready by itself
	$(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile tests --ignore=tests/unit

bench: $(BIN)/.ready ## Every figure, one JSON line each (6 minutes on two idle cores)
	$(BIN)/python -m tests.bench

docs: $(BIN)/.ready ## Write the generated parts of the documents anew
	$(BIN)/python -m tests.documents

format: $(BIN)/.ready ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove caches
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## Remove caches and the virtual environment
	rm -rf $(VENV)
