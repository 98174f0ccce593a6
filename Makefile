# Everything a contributor needs. `make` alone prints this help.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
SDK_VENV := .cache/sdk-venv
SDK_INSTALLED := $(SDK_VENV)/.installed
SDK3_INSTALLED := .cache/sdk3-venv/.installed
AIRFLOW_VENV := .cache/airflow-venv
AIRFLOW_INSTALLED := $(AIRFLOW_VENV)/.installed
SUPPLY_CHAIN_VENV := .cache/supply-chain-venv
SUPPLY_CHAIN_INSTALLED := $(SUPPLY_CHAIN_VENV)/.installed

DOCKER ?= docker
# Any image with Python >= 3.12 and its venv module as `python3` will do.
BASE_IMAGE ?= python:3.13-slim-trixie
IMAGE_PREFIX ?= model-monitor
IMAGE_TAG ?= latest
# What the manifests name.
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' contract/__init__.py)
# More words for `docker build`, for example --network=host.
DOCKER_BUILD_FLAGS ?=
# The monitors, what one's own are built from, and what receives captures.
IMAGES := data-quality model-quality bias feature-attribution base capture

VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' contract/__init__.py)
REVISION := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# The one time that what is built bears: the commit's, so that building it again gives the same.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
BUILD_ARGUMENTS = $(INDEX_ARGUMENTS) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION)
# Docker's own builder cannot set it.
BUILD_TIME := $(if $(findstring podman,$(DOCKER)),--timestamp $(SOURCE_DATE_EPOCH))
# A package index of one's own reaches the build only when the environment names one.
INDEX_ARGUMENTS := $(foreach name,PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST,$(if $($(name)),--build-arg $(name)))

AXE := .cache/axe/node_modules/axe-core/axe.min.js

.PHONY: help demo test test-long test-report screenshots lint images test-images repeat-images audit bench simulate fuzz lock clean \
  $(IMAGES)

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## watch a monitor find real changes in a small dataset
	@$(PYTHON) -m demo

# Tests share nothing but the machine; files stay whole, as their fixtures are. PARALLEL= runs one after another.
PARALLEL ?= --numprocesses=auto --maxprocesses=4 --dist=loadfile
test: $(INSTALLED) ## run the tests (everything that needs no image, no browser and no patience)
	$(PYTHON) -m pytest $(PARALLEL) -m "not image and not browser and not long" $(PYTEST_FLAGS)

# A new seed each time; SEED=... repeats a run.
test-long: $(INSTALLED) ## run the tests that take long, and those of properties with 2,000 examples
	@seed=$${SEED:-$$RANDOM$$RANDOM} && echo "examples are drawn with SEED=$$seed" && \
	  $(PYTHON) -m pytest $(PARALLEL) -o faulthandler_timeout=2400 \
	  -m "(property or long) and not image and not browser" --hypothesis-profile=long --hypothesis-seed=$$seed $(PYTEST_FLAGS)

test-report: $(INSTALLED) $(AXE) ## look at reports in a real browser (Chromium, its driver and npm)
	REPORT_BROWSER=required $(PYTHON) -m pytest -m browser tests/report $(PYTEST_FLAGS)

screenshots: $(INSTALLED) ## take the pictures of the demo's reports for the documentation
	PYTHONPATH=tests $(PYTHON) -m report.screenshots demo-output docs/images

lint: $(INSTALLED) ## check style, types and the direction of imports
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

images: $(IMAGES) ## build the container images, and list what is in them below dist

$(IMAGES): $(SUPPLY_CHAIN_INSTALLED)
	$(DOCKER) build $(DOCKER_BUILD_FLAGS) $(BUILD_ARGUMENTS) $(BUILD_TIME) --build-arg BASE_IMAGE=$(BASE_IMAGE) \
	  --file containers/Dockerfile --target $@ --tag $(IMAGE_PREFIX)/$@:$(IMAGE_TAG) \
	  --tag $(IMAGE_PREFIX)/$@:$(VERSION) .
	@SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(SUPPLY_CHAIN_VENV)/bin/python -m supply_chain.describe \
	  --docker $(DOCKER) $(IMAGE_PREFIX)/$@:$(IMAGE_TAG) dist/$@

test-images: $(INSTALLED) $(SDK_INSTALLED) $(SDK3_INSTALLED) $(AIRFLOW_INSTALLED) $(SUPPLY_CHAIN_INSTALLED) ## run the built images as Docker, Podman, the SageMaker SDK and Airflow do
	BASE_IMAGE=$(BASE_IMAGE) IMAGE_PREFIX=$(IMAGE_PREFIX) IMAGE_TAG=$(IMAGE_TAG) $(PYTHON) -m pytest $(PARALLEL) -m image tests/images $(PYTEST_FLAGS)

repeat-images: ## build the images twice from nothing with Podman, and compare their digests
	DOCKER=$(DOCKER) SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) BUILD_FLAGS="$(DOCKER_BUILD_FLAGS) $(BUILD_ARGUMENTS)" \
	  supply_chain/repeat.sh $(BASE_IMAGE) $(IMAGES)

audit: $(SUPPLY_CHAIN_INSTALLED) ## look for known vulnerabilities in what the images install
	@$(SUPPLY_CHAIN_VENV)/bin/python -m supply_chain.audit $(wildcard containers/requirements*.txt)

# What is measured by itself, after the tables of data quality.
BENCH_PARTS ?= model_quality merge segments bias shapley endpoint cluster capture
bench: $(INSTALLED) ## measure time and memory beside the read floor and peers
	@$(PYTHON) -m benchmarks $(BENCH_FLAGS)
	@for part in $(BENCH_PARTS); do echo && $(PYTHON) -m benchmarks.$$part || exit; done

simulate: $(INSTALLED) ## measure false alarms and detection power of both sets of rules
	@OPENBLAS_NUM_THREADS=1 $(PYTHON) -m benchmarks.simulate $(SIMULATE_FLAGS)

fuzz: $(INSTALLED) ## throw damaged inputs at every reader, kill jobs, uploads and services, run jobs side by side
	@$(PYTHON) -m benchmarks.fuzz --inputs 10000 --kills 100 --pairs 40 --uploads 50 --faults 20 $(FUZZ_FLAGS)
	@$(PYTHON) -m benchmarks.capture_losses

# The newest versions allowed by pyproject.toml, for Python 3.12 and later on every platform at once. The
# image with the most packages comes first: the others have the same versions, and so share its layers.
COMPILE := $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.12 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-config --custom-compile-command "make lock"
# What every image has besides its own.
EVERYWHERE := --extra dataframe --extra aws --extra cluster
lock: $(INSTALLED) ## write the locked requirements anew
	$(COMPILE) pyproject.toml $(EVERYWHERE) --extra feature-attribution \
	  --output-file containers/requirements-feature-attribution.txt
	$(COMPILE) pyproject.toml $(EVERYWHERE) --extra bias --output-file containers/requirements-bias.txt \
	  --constraints containers/requirements-feature-attribution.txt
	$(COMPILE) pyproject.toml $(EVERYWHERE) --output-file containers/requirements.txt \
	  --constraints containers/requirements-feature-attribution.txt
	$(COMPILE) capture/pyproject.toml --extra aws --extra receiver --output-file containers/requirements-capture.txt \
	  --constraints containers/requirements-feature-attribution.txt
	$(COMPILE) requirements/build.in --output-file requirements/build.txt
	$(COMPILE) pyproject.toml requirements/build.in --all-extras --group dev --output-file requirements/dev.txt \
	  --constraints containers/requirements-feature-attribution.txt --constraints requirements/build.txt
	for apart in sdk sdk3 airflow supply-chain; do $(COMPILE) requirements/$$apart.in --output-file requirements/$$apart.txt || exit; done

clean: ## remove everything that make has made, images apart
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist demo-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: installed once, and again only when a lock or the project's own metadata changes. The
# locked build tools come first, so that building a source distribution downloads nothing unchecked.
INSTALL := -m pip install --quiet --disable-pip-version-check --no-build-isolation
$(INSTALLED): requirements/build.txt requirements/dev.txt pyproject.toml
	@python=$$(requirements/find-python) && echo "Setting up $(VENV) with $$python, once" && "$$python" -m venv $(VENV)
	@$(PYTHON) $(INSTALL) --require-hashes --requirement requirements/build.txt
	@$(PYTHON) $(INSTALL) --require-hashes --requirement requirements/dev.txt
	@$(PYTHON) $(INSTALL) --no-deps --no-index --editable .
	@touch $@

# Environments apart from the tests' own, for tools with requirements that clash with ours.
.cache/%-venv/.installed: requirements/build.txt requirements/%.txt
	@python=$$(requirements/find-python) && echo "Setting up $(@D) with $$python, once" && "$$python" -m venv $(@D)
	@$(@D)/bin/python $(INSTALL) --require-hashes --requirement requirements/build.txt
	@$(@D)/bin/python $(INSTALL) --require-hashes --requirement requirements/$*.txt
	@touch $@

$(AXE):
	npm install --silent --no-audit --no-fund --no-save --prefix .cache/axe axe-core@4.14.1
