# The set-up that the commands share. Every step is skipped while what it made is newer than what it was
# made from.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help test check format
help:
	@echo "make test   install what is needed, then run every check and every test"

.venv/made: pyproject.toml requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name one with make PYTHON=..."; exit 1; }
	@# Debian keeps venv's bootstrap in a package of its own.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] \
		&& apt-get update -q && apt-get install -qy python3-venv; } \
		|| { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: .venv/made
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: .venv/made
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# PostgreSQL 15 is the oldest that must work: Debian's, brought by apt where we may.
POSTGRES_15 := /usr/lib/postgresql/15/bin
test: check
	$(BIN)/pytest
	@[ -x $(POSTGRES_15)/postgres ] || [ "$$(id -u)" != 0 ] \
		|| { apt-get update -q && apt-get install -qy postgresql-15; }
	@if [ -x $(POSTGRES_15)/postgres ]; then $(BIN)/pytest --postgres=$(POSTGRES_15); \
	else echo "Not tested on PostgreSQL 15: install Debian's postgresql-15 for that."; fi
