# The two main commands are `run` and `test`; each does its own set-up. A step is skipped while its result is
# newer than its sources.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# `test` runs independent steps side by side, in a make of its own.
ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif
# The first of these that is complete, recent and optimized; without optimizations, as pyenv compiles it by
# default, a page of conversations takes a fifth more time. If there is none, python3.
PYTHONS := python3 /usr/bin/python3
IS_FAST := import ensurepip, sys, sysconfig; sys.exit(sys.version_info < (3, 11) or sys.base_prefix != "/usr" \
	and "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))
PYTHON ?= $(or $(firstword $(foreach each,$(PYTHONS),$(shell $(each) -c '$(IS_FAST)' 2>/dev/null \
	&& echo $(each)))),python3)
BIN := .venv/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
PAGES := $(addprefix server/static/,$(addsuffix /index.html,messenger graphiql))

.PHONY: help run prepare test coverage faults bench setup check format lock programs
help:
	@echo "make run      install the dependencies and start the server; settings: MESSENGER_PORT=9000 make run, or .env"
	@echo "make test     install the dependencies, and run all checks and tests"
	@echo "make setup    install the dependencies and build the web pages"
	@echo "make prepare  install what the tests need, to run single ones with pytest"
	@echo "make coverage run the tests and print which lines they do not execute"
	@echo "make faults   inject random faults for ten minutes; for longer: make faults MINUTES=60,"
	@echo "              or OPERATIONS=100000. Then migrate a million messages while others send"
	@echo "make bench    compare the speed with other servers; for a short run: ARGS=--quick make bench"
	@echo "make check    run only the checks"
	@echo "make format   format the Python code"
	@echo "make lock     update the requirements files from pyproject.toml"

run: setup
	@exec $(BIN)/messenger serve

setup: .venv/project $(PAGES)

# Appended to a step: prints a message and ends the command if the step fails.
or_say = || { echo "$(1)" >&2; exit 1; }
# Installs a package with Debian's apt, if we are root. Its lists are updated once.
apt = { [ "$$(id -u)" = 0 ] && { [ -n "$$updated" ] || apt-get update -qq; } && updated=yes \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends $(1); } >/dev/null
CANNOT_INSTALL := The installation failed, see above. Check that PyPI (or pip's index) is reachable, and run make again.

.venv/made: requirements.txt requirements-build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		$(call or_say,Python 3.11 or later is required. Choose one with make PYTHON=...)
	@# Debian has venv's bootstrap in a separate package.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call apt,python3-venv) \
		$(call or_say,Python's venv is missing. Install it with apt-get install python3-venv (as root).)
	@echo "Installing the Python packages, for $$($(PYTHON) -c 'import sys; print(sys.executable)') ..."
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) install --require-hashes -r requirements.txt -r requirements-build.txt $(call or_say,$(CANNOT_INSTALL))
	@touch $@

.venv/dev: requirements-dev.txt .venv/made
	@echo "Installing the Python packages for development ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt $(call or_say,$(CANNOT_INSTALL))
	@touch $@

.venv/project: pyproject.toml .venv/made
	@$(PIP) install --no-deps --no-build-isolation --editable . $(call or_say,$(CANNOT_INSTALL))
	@touch $@

# The system's Node if the packages support it (`engines` in each package.json), otherwise one from PyPI. The check
# runs in a subshell, because a shell remembers where it found a command.
NODE_FITS := command -v npm && node -e 'const [major, minor] = process.versions.node.split(".").map(Number); \
	process.exit(major >= 26 || (major === 24 && minor >= 11) || (major === 22 && minor >= 18) ? 0 : 1)'
NODE_MISSING := Node is missing. Install 22.18 or later, 24.11 or later, or 26 with npm or make PyPI reachable. \
	Then run make again.
WITH_NODE = export PATH="$(CURDIR)/$(BIN):$$PATH"
.venv/node: requirements-node.txt .venv/made
	@$(WITH_NODE); \
	( $(NODE_FITS) ) >/dev/null 2>&1 || $(PIP) install --require-hashes -r requirements-node.txt \
		$(call or_say,$(NODE_MISSING))
	@touch $@

NPM_CI = npm ci --loglevel=error --no-audit --no-fund --no-update-notifier >/dev/null \
	$(call or_say,The installation failed: see above. Check that the npm registry is reachable. Then run make again.)
# The sources of a page: everything in its folder that is not generated.
SOURCES_OF = $(shell find web/$(1) \( -name node_modules -o -name generated \) -prune -o -print)
server/static/messenger/index.html: $(call SOURCES_OF,messenger) graphql/schema.graphql graphql/client/resuming.ts
server/static/graphiql/index.html: $(call SOURCES_OF,graphiql)
$(PAGES): server/static/%/index.html: | .venv/node
	@echo "Building the page in web/$* ..."
	@$(WITH_NODE); \
	cd web/$*; \
	$(NPM_CI); \
	npm run --silent build -- --logLevel=warn \
		$(call or_say,The build of the page in web/$* failed: see above.)

# For the tests: packages that frontends use, and a generator that is incompatible with our packages.
CLIENTS := graphql/node_modules/.package-lock.json
$(CLIENTS): graphql/package-lock.json | .venv/node
	@echo "Installing the packages of the frontends ..."
	@$(WITH_NODE); cd graphql; $(NPM_CI)
	@touch $@

.venv/ariadne/made: requirements-ariadne.txt .venv/made
	@$(PYTHON) -m venv --clear .venv/ariadne
	@.venv/ariadne/$(subst .venv/,,$(PIP)) install --require-hashes -r requirements-ariadne.txt \
		$(call or_say,$(CANNOT_INSTALL))
	@touch $@

# The OpenID provider for the tests.
PROVIDER := tests/oidc-provider/node_modules/.package-lock.json
$(PROVIDER): tests/oidc-provider/package-lock.json | .venv/node
	@echo "Installing an OpenID provider for the tests ..."
	@$(WITH_NODE); cd tests/oidc-provider; $(NPM_CI)
	@touch $@

check: .venv/dev .venv/project
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A browser for the pages, a pooler, proxies, and the oldest supported PostgreSQL.
CHROMIUM := /usr/bin/chromium
PGBOUNCER := /usr/sbin/pgbouncer
NGINX := /usr/sbin/nginx
CADDY := /usr/bin/caddy
POSTGRES_15 := /usr/lib/postgresql/15/bin
programs:
	@updated=; \
	[ -x $(CHROMIUM) ] || $(call apt,chromium) \
		|| echo "Skipping the tests in a browser. To run them, apt-get install chromium (as root)."; \
	[ -x $(CHROMIUM)-headless-shell ] || $(call apt,chromium-headless-shell) \
		|| echo "The tests in a browser take longer without chromium-headless-shell."; \
	[ -x $(PGBOUNCER) ] || $(call apt,pgbouncer) \
		|| echo "Skipping the tests with a pooler. To run them, apt-get install pgbouncer (as root)."; \
	[ -x $(NGINX) ] && [ -x $(CADDY) ] || $(call apt,nginx caddy) \
		|| echo "Skipping the tests behind proxies. To run them, apt-get install nginx caddy (as root)."; \
	[ -x $(POSTGRES_15)/postgres ] || $(call apt,postgresql-15) \
		|| echo "Skipping the tests on PostgreSQL 15. To run them, apt-get install postgresql-15 (as root)."

# Our statements and the outages of a database; the rest does not depend on its version.
TESTS_OF_SQL := tests/db tests/realtime/test_delivery.py tests/realtime/test_relays.py \
	tests/schema/test_reading.py tests/schema/test_removed_users.py tests/server/auth/test_sessions.py \
	tests/server/auth/test_session_times.py tests/server/endpoints/test_single_connection.py \
	tests/server/limits/test_counts.py \
	tests/server/sign_in/test_by_name.py tests/server/sign_in/test_tokens.py \
	tests/server/sign_in/by_provider/test_identities.py
# Tests mostly wait, so more processes than cores are useful. The tests of a file share its servers.
IN_PARALLEL := --numprocesses=4 --dist=loadfile
PREPARED := $(PAGES) $(CLIENTS) $(PROVIDER) .venv/ariadne/made
prepare: setup .venv/dev $(PREPARED)

test: .venv/dev .venv/project .venv/node
	@$(MAKE) --no-print-directory --jobs=3 $(if $(filter output-sync,$(.FEATURES)),--output-sync=line) \
		SIDE_BY_SIDE=yes check $(PREPARED) programs
	$(BIN)/pytest $(IN_PARALLEL)
	@[ ! -x $(POSTGRES_15)/postgres ] || $(BIN)/pytest $(IN_PARALLEL) --postgres=$(POSTGRES_15) $(TESTS_OF_SQL)

PACKAGES := db realtime resolvers plans schema execution server
coverage: prepare programs
	$(BIN)/pytest $(IN_PARALLEL) --timeout=600 --cov --cov-report=term-missing:skip-covered
	@for package in $(PACKAGES); do \
		echo "$$package: $$($(BIN)/coverage report --include="$$package/*" --format=total) %"; \
	done

MINUTES ?= 10
faults: .venv/dev .venv/project
	$(BIN)/python -m tests.faults $(if $(OPERATIONS),--operations $(OPERATIONS),--minutes $(MINUTES))
	$(BIN)/python -m tests.faults.upgrading

# The servers to compare with.
PEERS := bench/peers/node_modules/.package-lock.json
$(PEERS): bench/peers/package-lock.json | .venv/node
	@echo "Installing the servers to compare with ..."
	@$(WITH_NODE); cd bench/peers; $(NPM_CI)
	@touch $@

ARGS ?=
bench: .venv/dev .venv/project $(PEERS)
	@exec $(BIN)/python -m bench $(ARGS)

# Keeps the current versions where possible. For the newest ones, remove requirements-dev.txt first.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url
lock:
	@command -v uv >/dev/null $(call or_say,uv is missing: pip install uv)
	$(LOCK) pyproject.toml --group dev -o requirements-dev.txt
	$(LOCK) pyproject.toml -c requirements-dev.txt -o requirements.txt
	$(LOCK) --group build -c requirements-dev.txt -o requirements-build.txt
	$(LOCK) --group node -c requirements-dev.txt -o requirements-node.txt
	$(LOCK) --group ariadne -o requirements-ariadne.txt
