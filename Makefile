# Everything starts here: `make help`. Needs make and Python 3.11 or newer; makes its own virtual environment.
# Set-up speaks on standard error only, so what a command prints on standard output is the command's alone.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV  ?= .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready
PIP   := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
JOBS  ?= 2
N     ?= 50
ARGS  ?=

# PYTHON=/path/to/python overrides the search.
PYTHON ?=
CANDIDATES := $(PYTHON) python3 python3.13 python3.12 python3.11 python

define find_python
	python=; for candidate in $(CANDIDATES); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    python=$$candidate; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "ix needs Python 3.11 or newer, and none of these is one: $(CANDIDATES)." >&2; \
	  echo "Install it, or name it: make PYTHON=/path/to/python3.13 ..." >&2; exit 1; fi; \
	if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "$$python cannot make virtual environments: its venv module is missing." >&2; \
	  echo "On Debian and Ubuntu, install the package python3-venv." >&2; exit 1; fi
endef

.PHONY: help
help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  make demo ARGS=--json    pass arguments on; also for bench and test"

.PHONY: setup
setup: $(READY) ## make the virtual environment and install the locked dependencies

$(READY): requirements-dev.txt pyproject.toml
	@{ $(find_python); \
	  echo "setting up $(VENV) with $$("$$python" --version) (once; about a minute)"; \
	  if ! "$(BIN)/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    "$$python" -m venv --clear "$(VENV)" || exit 1; fi; \
	  $(PIP) install --require-hashes -r requirements-dev.txt && \
	  $(PIP) install --no-deps --no-build-isolation -e . && \
	  touch "$(READY)"; } >&2

.PHONY: demo
demo: $(READY) ## run the story on real processes over real HTTP (ARGS=--json for one JSON document)
	@$(BIN)/ix demo $(ARGS)

.PHONY: test
test: lint ## check style, types and import rules, then run every test
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)

.PHONY: lint
lint: $(READY) ## style, types and import rules alone
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: crash
crash: $(READY) ## kill the broker N times under load, fail N of its writes, and audit the books after each (N=50)
	@CRASH_N=$(N) $(BIN)/python -m pytest -q -p no:randomly -s tests/exchange/broker/test_crash.py \
	  tests/exchange/broker/test_faults.py $(ARGS)

.PHONY: bench
bench: $(READY) ## measure, side by side in one run, and print one JSON document
	@$(BIN)/ix bench $(ARGS)

.PHONY: format
format: $(READY) ## rewrite the source in the house style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

.PHONY: lock
lock: ## write requirements.txt and requirements-dev.txt anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs the tool uv" >&2; exit 1; }
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --extra build pyproject.toml -o requirements.txt $(ARGS)
	@uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --extra build --extra dev pyproject.toml -c requirements.txt -o requirements-dev.txt $(ARGS)

.PHONY: clean
clean: ## remove what was made here: environment, caches, demo output
	@rm -rf "$(VENV)" build demo-out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
