# Everything starts here: `make help`. Needs GNU make and Python 3.11 or later with venv, nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup run test fmt lint types imports cover fuzz attack slow slowhttptest soak bench count profile lock ci clean \
  authorization-server compiled test-compiled

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
# Tests start hundreds of processes, and none should compile the program anew
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
ARGS ?=
LOCKING := --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
COMPILED ?= build/compiled
REACHED := conversation wire contract fuzz unit/decision unit/domain unit/forward unit/http1 unit/identity \
  unit/routing unit/wire unit/test_compiled_modules.py unit/test_cors_policy.py unit/test_deadlines.py unit/test_protected_resource.py
PURELIB := import sysconfig; print(sysconfig.get_path("purelib"))
DEV_GROUP := import tomllib; \
  print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")

OIDC := tests/oidc
OIDC_STAMP := $(OIDC)/node_modules/.package-lock.json
NO_ADDRESSES := import json, pathlib; \
  lock = pathlib.Path("$(OIDC)/package-lock.json"); \
  told = json.loads(lock.read_text()); \
  [package.pop("funding", None) for package in told["packages"].values()]; \
  lock.write_text(json.dumps(told, indent=2) + "\n")

help: ## List every task
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv from the lock, hashes checked; does nothing when it is up to date

$(STAMP): pyproject.toml requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed, and $(PYTHON) is older; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable .
	@touch $@

run: setup ## Sample feed, gateway, scopes and keys, with curl lines to try; options in ARGS
	exec $(BIN)/gateway demo $(ARGS)

test: setup authorization-server ## Every test but the slow ones; ARGS go to pytest
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" $(ARGS) || { test -n "$$CI" \
	  && echo "Once more, alone: what failed beside all the others on a busy machine." \
	  && $(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(ARGS); }

authorization-server: $(OIDC_STAMP)

$(OIDC_STAMP): $(OIDC)/package.json $(OIDC)/package-lock.json
	@{ command -v npm >/dev/null && node -e "process.exit(+(parseInt(process.versions.node) < 20))" \
	  && (cd $(OIDC) && npm ci --ignore-scripts --loglevel error) && touch $@; } \
	  || echo "oidc-provider cannot be installed: it needs Node.js 20 with npm; the tests with it are skipped" >&2

fmt: setup ## Lay the code out
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

lint: setup ## Style of the code, and of the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile

types: setup ## Strict types
	$(BIN)/mypy

imports: setup ## Who may import whom
	$(BIN)/lint-imports

cover: setup authorization-server ## Every test, with branch coverage of all processes; the pages go to htmlcov/
	$(BIN)/coverage erase
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-branch --cov-report=term --cov-report=html $(ARGS)

compiled: setup ## The gateway with its hot rooms compiled, in build/compiled/env; elsewhere with COMPILED=DIR
	rm -rf build/lib.* $(COMPILED)/wheel
	SCOPEGATE_COMPILE=1 $(BIN)/python -m pip wheel --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --wheel-dir $(COMPILED)/wheel .
	test -x $(COMPILED)/env/bin/python || $(BIN)/python -m venv --without-pip $(COMPILED)/env
	$(BIN)/python -c '$(PURELIB)' > "$$($(COMPILED)/env/bin/python -c '$(PURELIB)')/dependencies.pth"
	$(BIN)/python -m pip --python $(COMPILED)/env/bin/python install --quiet --disable-pip-version-check \
	  --no-deps --force-reinstall $(COMPILED)/wheel/*.whl
	@$(COMPILED)/env/bin/python -P -c 'import gateway; print(len(gateway.compiled), "modules run compiled")'

test-compiled: compiled ## What reaches the data plane, against its compiled form; ARGS go to pytest
	PYTHONSAFEPATH=1 $(COMPILED)/env/bin/python -m pytest -n auto --dist worksteal -m "not slow" \
	  --override-ini pythonpath=tests/support $(wildcard $(addprefix tests/,$(REACHED))) $(ARGS)

fuzz: setup ## Damaged requests, answers and tokens, beside second readers; minutes
	SCOPEGATE_FUZZ_EXAMPLES=$(or $(EXAMPLES),400) $(BIN)/python -m pytest tests/fuzz --timeout 1200 $(ARGS)

attack: setup ## What attacks cost the gateway, as multiples of what they cost the attacker
	SCOPEGATE_ATTACK_SECONDS=1 SCOPEGATE_ATTACK_EVERY_ROW=1 \
	  $(BIN)/python -m pytest tests/attack --capture no --timeout 1200 $(ARGS)

slow: setup slowhttptest ## Clients that are slow on purpose, while another is served
	$(BIN)/python -m pytest tests/slow $(ARGS)

slowhttptest:
	@command -v slowhttptest >/dev/null \
	  || { test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install -y slowhttptest >/dev/null; } \
	  || echo "slowhttptest is not here and cannot be installed; the tests of slow clients are skipped" >&2

soak: setup ## A million requests of mixed kinds, broken ones among them; minutes. ARGS="--requests N"
	$(BIN)/python tests/soak/run.py $(ARGS)

bench: setup ## The gateway beside its peers, or with ARGS="--beside COMMIT" beside itself
	$(BIN)/python -m bench.run $(ARGS)

count: setup ## Instructions of a request, whatever else the machine does; ARGS="--beside COMMIT"
	$(BIN)/python -m bench.count $(ARGS)

profile: setup ## Where the gateway's own time goes, stage by stage; ARGS="--load refused"
	$(BIN)/python -m bench.profile $(ARGS)

lock: setup ## Pin every dependency anew, by name, version and hash alone
	$(BIN)/pip-compile $(LOCKING) --output-file=requirements.lock pyproject.toml
	$(BIN)/python -c '$(DEV_GROUP)' | $(BIN)/pip-compile $(LOCKING) \
	  --constraint=requirements.lock --output-file=requirements-dev.lock pyproject.toml -
	$(BIN)/pip-compile $(LOCKING) --only-build-deps --build-deps-for=wheel \
	  --output-file=requirements-build.lock pyproject.toml
	@if command -v npm >/dev/null; then cd $(OIDC) && npm install --package-lock-only --ignore-scripts --loglevel error; \
	  else echo "$(OIDC)/package-lock.json is left as it is: npm is not here" >&2; fi
	$(BIN)/python -c '$(NO_ADDRESSES)'
	@! grep -nE '://|^-|@ ' requirements*.lock && ! grep -n '://' $(OIDC)/package-lock.json \
	  || { echo "The lock names a place; it may hold names, versions and hashes alone." >&2; exit 1; }

ci: lint types imports slowhttptest test ## What a change must pass

clean: ## Remove what the tasks made, .venv included
	rm -rf $(VENV) $(OIDC)/node_modules build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	rm -rf scopegate.egg-info
