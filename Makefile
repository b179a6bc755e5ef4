# make run | test | lint | fix | docs | bench    Each sets up .venv by itself on first use.
#
# Python 3.11 or newer; choose another with  make PYTHON=python3.12 run
# On Linux without a GPU, put the CPU build of torch in .venv first if you want to spare the download
# of the CUDA libraries; the pinned version number is the same.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
DEV    := $(VENV)/.ready-dev
JOBS   ?= 2
# 20,000 files would be compiled, of which few are ever imported; Python compiles those when they are.
INSTALL := $(PY) -m pip install --quiet --no-compile

.DEFAULT_GOAL := help
.PHONY: help run test lint fix docs bench audit lock docker-steps

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

run: $(READY)  ## serve the page on http://127.0.0.1:7860
	@echo "Starting, half a minute or so. Then open http://127.0.0.1:7860 in a browser; Ctrl+C ends it."
	@$(PY) app.py

test: $(DEV)  ## run every test; the browser tests need a Chromium
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(PY) -m pytest -n $(JOBS) --dist worksteal

lint: $(DEV)  ## check style and types (Gradio's generated stubs would hide our own)
	@rm -f components/*.pyi app.pyi
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

fix: $(DEV)  ## put style in order
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

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
