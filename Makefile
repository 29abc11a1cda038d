# Everything made here lies in .venv, caches included; `make clean` removes it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
CACHE := $(CURDIR)/$(VENV)/cache
# One more than the cores of a small machine: a quarter of the tests' time is waiting for processes.
WORKERS ?= 3

export PYTHONDONTWRITEBYTECODE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export NUMBA_CACHE_DIR := $(CACHE)/numba
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis

# The first interpreter on the path that runs and is new enough; `make PYTHON=...` overrides it.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then command -v $$python; break; fi; done)

# Install this checkout, editable, with the extras $(1). The build leaves an egg-info that nothing
# needs once the install is done.
define install
$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[$(1)]'
rm -rf build uih_lake.egg-info
endef

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: $(VENV)/installed ## Install the package and its test tools into .venv.

$(VENV)/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer on the path; give one: make PYTHON=..." >&2; exit 1; }
	@echo "installing into $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(call install,test)
	@touch $@

.PHONY: demo
demo: venv ## From nothing to tensors on a made-up lake, in a temporary folder or in DIR.
	@$(BIN)/uihlake demo $(if $(DIR),"$(DIR)")

.PHONY: test
test: venv lint types ## Lint, check types, run all tests.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: lint
lint: venv ## Check style and formatting rules.
	@$(BIN)/ruff check .

# mypy knows no mapping of folders: it is shown the package as it ships, put together from links.
.PHONY: types
types: venv ## Check types, strictly.
	@rm -rf $(VENV)/typed && mkdir -p $(VENV)/typed/uih_lake
	@ln -s $(CURDIR)/uih_lake/* $(CURDIR)/cli $(CURDIR)/sql $(VENV)/typed/uih_lake/
	@$(BIN)/mypy $(VENV)/typed/uih_lake

.PHONY: soak
soak: venv ## Run the tests that take minutes.
	@UIH_SOAK=1 $(BIN)/python -m pytest -m soak

.PHONY: bench
bench: venv ## Measure speed and bytes against fat rows.
	@$(BIN)/python -m benchmarks $(ARGS)

# MosaicML Streaming and Feast are measured where they are installed, too; what they pin keeps them
# out of one environment with this package.
.PHONY: rivals
rivals: venv ## Install Lance, HF datasets and Ray, for `make bench` to measure.
	@$(call install,bench)

# torchrec asks for the fbgemm of a torch with CUDA. Beside a CPU's, both would go into one folder, so
# that everything it needs is installed by name.
.PHONY: torchrec
torchrec: venv ## Install torchrec for a torch without CUDA, to be tested, too.
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --no-deps torchrec fbgemm-gpu-cpu \
		cloudpickle iopath lightning-utilities orjson portalocker pyre-extensions pyvers tensordict \
		torchmetrics tqdm typing-inspect

$(VENV)/installed-docs: $(VENV)/installed
	@$(call install,docs)
	@touch $@

.PHONY: docs
docs: $(VENV)/installed-docs ## Build the pages into .venv/site.
	@$(BIN)/mkdocs build --strict --quiet --site-dir $(VENV)/site
	@echo "$(VENV)/site/index.html"

.PHONY: clean
clean: ## Remove .venv and whatever tools left behind.
	@rm -rf $(VENV) build dist uih_lake.egg-info .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
