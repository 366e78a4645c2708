# The two commands are `run` and `test`; each does its own set-up. A step of it is skipped while what it made
# is newer than what it was made from.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
# python3, or the system's own where that was compiled as distributions do it and python3 was not: without
# --enable-optimizations, as pyenv compiles it, a page of conversations takes a fifth more time.
PYTHON ?= $(shell python3 -c 'import sys, sysconfig; sys.exit(sys.base_prefix != "/usr" \
	and "--enable-optimizations" not in (sysconfig.get_config_var("CONFIG_ARGS") or ""))' 2>/dev/null \
	|| ! /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo python3 || echo /usr/bin/python3)
BIN := .venv/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
PAGES := $(addprefix server/static/,$(addsuffix /index.html,messenger graphiql))

.PHONY: help run test faults bench setup check format lock
help:
	@echo "make run      install what is needed, then serve; MESSENGER_PORT=9000 make run, or .env, for settings"
	@echo "make test     install what is needed, then run every check and every test"
	@echo "make faults   break things at random for ten minutes; MINUTES=60 make faults for longer"
	@echo "make bench    measure how fast it is, beside others; ARGS=--quick make bench for a short try"
	@echo "make check    only the checks"
	@echo "make format   format the Python code"
	@echo "make lock     write the requirements files from pyproject.toml"

run: setup
	@exec $(BIN)/messenger serve

setup: .venv/project $(PAGES)

# What a failing step tells before it ends the command.
or_say = || { echo "$(1)" >&2; exit 1; }
# Brings a package by Debian's apt, where we may.
apt = { [ "$$(id -u)" = 0 ] && apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends $(1); } >/dev/null
CANNOT_INSTALL := Not installed, see above. With PyPI (or pip's index) in reach, run make again.

.venv/made: requirements.txt requirements-build.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		$(call or_say,Python 3.11 or later is needed; name one with make PYTHON=...)
	@# Debian keeps venv's bootstrap in a package of its own.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(call apt,python3-venv) \
		$(call or_say,Python's venv is missing: apt-get install python3-venv (as root))
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

# The system's Node where Vite runs on it, or else one from PyPI. Asked in a shell of its own, because a shell
# remembers where it found a command.
NODE_FITS := command -v npm && node -e 'const [major, minor] = process.versions.node.split(".").map(Number); \
	process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)'
WITH_NODE = export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	( $(NODE_FITS) ) >/dev/null 2>&1 || $(PIP) install --require-hashes -r requirements-node.txt \
		$(call or_say,Node is missing: install 20.19 or later with npm; or have PyPI in reach. Then run make again.)
NPM_CI = npm ci --loglevel=error --no-audit --no-fund --no-update-notifier >/dev/null \
	$(call or_say,Not installed; see above. With the npm registry in reach run make again.)
# What a page is made from: everything in its folder down to the files, as far as it is not itself made.
SOURCES_OF = $(shell find web/$(1) \( -name node_modules -o -name generated \) -prune -o -print)
server/static/messenger/index.html: $(call SOURCES_OF,messenger) graphql/schema.graphql graphql/client/resuming.ts
server/static/graphiql/index.html: $(call SOURCES_OF,graphiql)
$(PAGES): server/static/%/index.html: | .venv/made
	@echo "Building the page in web/$* ..."
	@$(WITH_NODE); \
	cd web/$*; \
	$(NPM_CI); \
	npm run --silent build -- --logLevel=warn \
		$(call or_say,The page in web/$* does not build: see above.)

# What frontends use, for the tests: packages of theirs, and a generator that does not go with our packages.
CLIENTS := graphql/node_modules/.package-lock.json
$(CLIENTS): graphql/package-lock.json | .venv/made
	@echo "Installing the packages of frontends ..."
	@$(WITH_NODE); cd graphql; $(NPM_CI)
	@touch $@

.venv/ariadne/made: requirements-ariadne.txt .venv/made
	@$(PYTHON) -m venv --clear .venv/ariadne
	@.venv/ariadne/$(subst .venv/,,$(PIP)) install --require-hashes -r requirements-ariadne.txt \
		$(call or_say,$(CANNOT_INSTALL))
	@touch $@

# An OpenID provider that the tests start.
PROVIDER := tests/oidc-provider/node_modules/.package-lock.json
$(PROVIDER): tests/oidc-provider/package-lock.json | .venv/made
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

# A browser for the page, a pooler, proxies, and the oldest PostgreSQL that must work.
CHROMIUM := /usr/bin/chromium
PGBOUNCER := /usr/sbin/pgbouncer
NGINX := /usr/sbin/nginx
CADDY := /usr/bin/caddy
POSTGRES_15 := /usr/lib/postgresql/15/bin
# What a version of PostgreSQL can make a difference to.
TESTS_OF_SQL := tests/db tests/realtime/test_delivery.py tests/realtime/test_relays.py tests/server/limits \
	tests/schema/test_reading.py tests/schema/test_removed_users.py tests/server/auth/test_sessions.py \
	tests/server/endpoints/test_single_connection.py tests/server/sign_in
# Tests wait more than they work, so more processes than cores are of use. The tests of a file share its servers.
IN_PARALLEL := --numprocesses=4 --dist=loadfile
test: setup check $(CLIENTS) $(PROVIDER) .venv/ariadne/made
	@[ -x $(CHROMIUM) ] || $(call apt,chromium) \
		|| echo "Not tested in a browser: apt-get install chromium (as root) for that."
	@[ -x $(PGBOUNCER) ] || $(call apt,pgbouncer) \
		|| echo "Not tested behind a pooler: apt-get install pgbouncer (as root) for that."
	@[ -x $(NGINX) ] && [ -x $(CADDY) ] || $(call apt,nginx caddy) \
		|| echo "Not tested behind proxies: apt-get install nginx caddy (as root) for that."
	$(BIN)/pytest $(IN_PARALLEL)
	@[ -x $(POSTGRES_15)/postgres ] || $(call apt,postgresql-15) \
		|| echo "Not tested on PostgreSQL 15: apt-get install postgresql-15 (as root) for that."
	@[ ! -x $(POSTGRES_15)/postgres ] || $(BIN)/pytest $(IN_PARALLEL) --postgres=$(POSTGRES_15) $(TESTS_OF_SQL)

MINUTES ?= 10
faults: .venv/dev .venv/project
	$(BIN)/python -m tests.faults --minutes $(MINUTES)

# What we are measured beside.
PEERS := bench/peers/node_modules/.package-lock.json
$(PEERS): bench/peers/package-lock.json | .venv/made
	@echo "Installing the servers to compare with ..."
	@$(WITH_NODE); cd bench/peers; $(NPM_CI)
	@touch $@

ARGS ?=
bench: .venv/dev .venv/project $(PEERS)
	@exec $(BIN)/python -m bench $(ARGS)

# Versions stay as they are where they may; for the newest, remove requirements-dev.txt first.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url
lock:
	@command -v uv >/dev/null $(call or_say,uv is missing: pip install uv)
	$(LOCK) pyproject.toml --group dev -o requirements-dev.txt
	$(LOCK) pyproject.toml -c requirements-dev.txt -o requirements.txt
	$(LOCK) --group build -c requirements-dev.txt -o requirements-build.txt
	$(LOCK) --group node -c requirements-dev.txt -o requirements-node.txt
	$(LOCK) --group ariadne -o requirements-ariadne.txt
