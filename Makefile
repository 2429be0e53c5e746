# Every command of the project. A fresh clone needs python3, make and git; the rest is fetched.
#
#   make demo     a demo company on http://127.0.0.1:8000      make check   linters, types, import rules
#   make test     the whole test suite                         make bench   ratios against floors, of a million
#   make docs     the manual, in docs/_build/html              make lock    regenerate the two lock files
#   make install  only the environment in .venv                make clean   remove what make made
#   make translations  new texts into the catalogues           (then fill in what is empty)
#   make test-kernel   the kernel's tests where no plugin is installed
#   make fuzz N=1000   so many scenarios of requests that follow from each other, other ones each time
#   make real DATA=../shared/data/crm_sales        import real sales data, print the report
#   make real DATA=../shared/data/online_retail    the same with a shop's 541,909 invoice lines
#
# PY=python3.12 chooses another Python, JOBS=4 the number of test processes, PORT=9000 the port of the demo.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PY ?= python3
JOBS ?= 2
PORT ?= 8000
DATA ?= ../shared/data/crm_sales
TESTS ?=
N ?= 200

BIN := .venv/bin
CRM := $(abspath $(BIN)/crm)
UV := $(or $(shell command -v uv 2>/dev/null),.tools/bin/uv)
# Without compiled bytecode every start takes two to four times as long.
export UV_COMPILE_BYTECODE := 1

PROJECTS := . cli $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml plugins/verticals/*/pyproject.toml))
STAMP := .venv/.installed
CATALOGUES := $(wildcard $(addsuffix /translations,crm_kernel plugins/*/crm_* plugins/verticals/*/crm_*))
COMPILED := $(patsubst %.po,%.mo,$(wildcard $(addsuffix /*/LC_MESSAGES/messages.po,$(CATALOGUES))))
KERNEL_STAMP := .venv-kernel/.installed

.PHONY: help install demo test test-kernel check bench docs lock fuzz real clean

help:
	@sed -n 's/^#   //p' Makefile

install: $(STAMP) $(COMPILED)

# A virtual environment is the clean way; Debian without python3-venv has no ensurepip, so pip alone is the second.
.tools/bin/uv:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || { \
		echo "make: $(PY) was not found or is older than 3.9. Install Python 3.11, or: make PY=/path/to/python3" >&2; exit 1; }
	@if $(PY) -c 'import ensurepip, venv' 2>/dev/null; then \
		$(PY) -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'; \
	elif $(PY) -m pip --version >/dev/null 2>&1; then \
		$(PY) -m pip install --quiet --disable-pip-version-check --target .tools 'uv>=0.9,<1'; \
	else \
		echo "make: $(PY) has neither venv (ensurepip) nor pip, and uv is not installed. Install one of them" >&2; \
		echo "      (Debian: apt-get install python3-venv), then run make again." >&2; exit 1; \
	fi

# Hashes are checked for every library; our own distributions are linked, so that editing a file is enough.
$(STAMP): requirements.lock hatch_build.py $(addsuffix /pyproject.toml,$(PROJECTS)) $(wildcard crm_kernel/web/assets/*) | $(filter .tools/bin/uv,$(UV))
	@test -x $(BIN)/python || $(UV) venv --quiet --python '>=3.11' .venv
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps $(addprefix -e ,$(PROJECTS))
	@touch $@

$(KERNEL_STAMP): requirements.lock pyproject.toml cli/pyproject.toml | $(filter .tools/bin/uv,$(UV))
	@test -x .venv-kernel/bin/python || $(UV) venv --quiet --python '>=3.11' .venv-kernel
	$(UV) pip sync --quiet --python .venv-kernel/bin/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python .venv-kernel/bin/python --no-deps -e . -e cli
	@touch $@

# The build hooks compile too; an editable installation is built once only and must see a changed text as well.
%.mo: %.po | $(STAMP)
	@$(BIN)/pybabel --quiet compile --locale $(notdir $(patsubst %/LC_MESSAGES/,%,$(dir $@))) --input-file $< --output-file $@

# As JSON, init does not ask for the administrator whom the demo data bring.
demo: install
	@test -f var/demo/.loaded || { rm -rf var/demo && mkdir -p var \
		&& $(CRM) init var/demo --modules sfa --base-url http://127.0.0.1:$(PORT) --company-name "Demo company" --yes --json >/dev/null && cd var/demo && $(CRM) demo load --yes && touch .loaded; }
	@cd var/demo && $(CRM) demo show
	@cd var/demo && exec $(CRM) serve --port $(PORT)

test: install
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile $(TESTS)

# The kernel stands alone: its tests run in an environment that has no plugin.
test-kernel: $(KERNEL_STAMP)
	.venv-kernel/bin/python -m pytest -q -n $(JOBS) --dist loadfile --crm-databases sqlite tests/kernel

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m bench

docs: install
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# uv.lock names the registry it was made with and stays out of git; the two files have hashes and no address.
# requirements.lock has the developers' tools too; requirements-runtime.lock what an instance runs on, and no more.
EXPORT = $(UV) export --quiet --no-emit-workspace --all-packages --no-annotate --no-header
lock: | $(filter .tools/bin/uv,$(UV))
	$(EXPORT) --output-file requirements.lock.new
	$(EXPORT) --no-dev --extra pg --output-file requirements-runtime.lock.new
	@if grep -n '://' requirements.lock.new requirements-runtime.lock.new; then \
		rm requirements.lock.new requirements-runtime.lock.new; \
		echo "make lock: the lines above hold an address; the lock files are unchanged" >&2; exit 1; fi
	@mv requirements.lock.new requirements.lock
	@mv requirements-runtime.lock.new requirements-runtime.lock

# The suite runs a few scenarios, the same every time: this looks for what they miss.
fuzz: install
	@CRM_TEST_FUZZ='$(N)' $(BIN)/python -m pytest -q -n0 -m slow tests/services/test_stateful_api.py tests/services/test_fuzzed_api.py

# The folder's name is that of the mapping; what its instance needs and which figures are read back is said here.
REAL = $(notdir $(patsubst %/,%,$(DATA)))
REAL_INIT_crm_sales = --modules sfa
REAL_REPORT_crm_sales = $(CRM) sfa report --json
REAL_INIT_online_retail = --modules "" --base-currency GBP
REAL_REPORT_online_retail = $(CRM) sales report --json && echo "cancellations (InvoiceNo C...):" >&2 && $(CRM) sales report --reference C --json

real: install
	@test -d '$(DATA)' || { echo "make real: no folder $(DATA). Say where it is: make real DATA=/path/to/crm_sales" >&2; exit 1; }
	@test -n '$(REAL_REPORT_$(REAL))' || { echo "make real: no figures are known of $(REAL). DATA is a folder crm_sales or online_retail" >&2; exit 1; }
	@rm -rf var/real && mkdir -p var && $(CRM) init var/real $(REAL_INIT_$(REAL)) --yes >&2
	@data="$$(cd '$(DATA)' && pwd)" && cd var/real && $(CRM) import "$$data" --mapping $(REAL) --yes >&2 && $(REAL_REPORT_$(REAL))

# Brings the catalogues to the texts of code and templates. Nothing is guessed: a new or changed text comes in empty,
# and tests/kernel/i18n fails until it is translated.
translations: install
	@for folder in $(CATALOGUES); do \
		$(BIN)/pybabel --quiet extract --mapping-file babel.cfg --no-location --sort-output --width 120 --omit-header \
			-k _l -k lazy_gettext -k lazy_ngettext:1,2 -k lazy_pgettext:1c,2 -k ValueProblem \
			--output-file .venv/messages.pot "$$(dirname "$$folder")" && \
		$(BIN)/pybabel --quiet update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 120 \
			--input-file .venv/messages.pot --output-dir "$$folder" || exit 1; done

clean:
	rm -rf .venv .venv-kernel .tools var build dist docs/_build docs/reference/generated test-results
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
