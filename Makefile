# make run | check | test | lint | fix | docs | bench    Each sets up .venv by itself on first use.
#
# Python 3.11 or newer; choose another with  make PYTHON=python3.12 run
# On Linux without a GPU, put the CPU build of torch in .venv first if you want to spare the download
# of the CUDA libraries; the pinned version number is the same.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
DEV    := $(VENV)/.ready-dev
# One more than the two cores that this is meant for: tests wait for servers and pages half of the time.
JOBS   ?= 3
# Biome and tsc look at assets/js; the page itself needs no node.
NODE_READY := node_modules/.ready
# 20,000 files would be compiled, of which few are ever imported; Python compiles those when they are,
# and must be allowed to keep the result: otherwise every process compiles gradio and torch again.
export PYTHONDONTWRITEBYTECODE :=
INSTALL := $(PY) -m pip install --quiet --no-compile

.DEFAULT_GOAL := help
.PHONY: help setup run check quick-tests test test-all lint fix lint-js fix-js docs bench audit lock docker-steps
PYTEST := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m pytest --dist worksteal

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

setup: $(DEV)  ## set up .venv with everything that tests need

run: $(READY)  ## serve the page on http://127.0.0.1:7860
	@echo "Starting, half a minute or so. Then open http://127.0.0.1:7860 in a browser; Ctrl+C ends it."
	@$(PY) app.py

test: $(DEV)  ## run the tests but the weekly ones; those of the browser need a Chromium
	$(PYTEST) -n $(JOBS)

check: $(DEV)  ## the quick loop: style, types, and the tests without browser and large matrices
	@$(MAKE) --no-print-directory -j2 --output-sync=line lint quick-tests

quick-tests:
	$(PYTEST) -n 2 -q -m "not browser and not slow and not matrix and not weekly"

test-all: $(DEV)  ## every test, the weekly ones too, which takes much longer
	$(PYTEST) -n $(JOBS) -m ""

lint: $(DEV)  ## check style and types (Gradio's generated stubs would hide our own)
	@find components app.pyi -name "*.pyi" -delete 2>/dev/null || true
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	@$(MAKE) --no-print-directory lint-js

fix: $(DEV)  ## put style in order
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	@$(MAKE) --no-print-directory fix-js

ifneq ($(shell command -v npm 2>/dev/null),)
lint-js: $(NODE_READY)
	npm run --silent lint

fix-js: $(NODE_READY)
	npm run --silent fix
else
lint-js fix-js:
	@echo "npm is not installed: the JavaScript in assets/js was not checked."
endif

docs: $(DEV)  ## rewrite the generated lists and pages, and build the site into site/
	$(PY) -m scripts.write_docs
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict

bench: $(DEV)  ## measure capture, lanes and page; prints one table
	$(PY) -m benchmarks

audit: $(DEV)  ## look every package of requirements.lock up in the list of known weaknesses
	$(PY) -m scripts.audit

lock: $(DEV)  ## write requirements.lock anew, after requirements.txt has changed
	$(PY) -m scripts.write_lock

docker-steps: $(READY)  ## carry out the Dockerfile's steps without Docker
	$(PY) -m scripts.check_docker_steps

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("tokviz needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(READY): requirements.txt | $(VENV)/bin/python
	$(INSTALL) -r requirements.txt
	@touch $@

$(DEV): requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(INSTALL) -r requirements-dev.txt
	@touch $@ $(READY)

$(NODE_READY): package.json package-lock.json
	npm ci --silent --no-audit --no-fund
	@touch $@
