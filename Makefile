# Posthouse. `make` alone prints what can be made.

SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTHON := $(BIN)/python
SETUP := .venv/.ready
TOOLS := .venv/.ready-for-tests
DESKTOP := .venv/.ready-for-clients
# Tests on servers wait a third of their time: more workers than two cores.
WORKERS ?= 3
PROFILE := check
PORTS := SMTP_PORT SUBMISSION_PORT SMTPS_PORT IMAP_PORT IMAPS_PORT POP3_PORT POP3S_PORT POSTMASTER_PORT
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
UNKNOWN = $(filter-out STORE COPIES WORKERS BENCH STORM_% POSTHOUSE_% $(PORTS) MAKE%,$(GIVEN))
# A clone runs its own code also where its .venv was made for another.
OURS := $(CURDIR)/deploy/local:$(CURDIR)/shared:$(CURDIR)/services
ONEMACHINE := PYTHONPATH=$(OURS) $(PYTHON) -m onemachine
WITH_SERVERS := $(ONEMACHINE).testservers --
PYTEST := env -u MAKEFLAGS $(PYTHON) -m pytest -q
CLIENTS := $(addprefix tests/journeys/test_,$(addsuffix .py,readers mirrors thunderbird))
CODE := shared services tests deploy bench

# Without bytecode each process compiles everything anew: a third of the time of a check.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: clients soak help setup run check format lint types imports fmt test unit integration journeys bench fuzz storm image clean

help: ## print this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run also takes STORE=s3, COPIES=2 and ports, as SMTP_PORT=2626:"
	@echo "    $(wordlist 1,5,$(PORTS))"
	@echo "    $(wordlist 6,9,$(PORTS))"

setup: $(SETUP) ## install what is missing: .venv and Debian's servers

$(SETUP): requirements-dev.lock pyproject.toml deploy/local/setup.sh
	@deploy/local/setup.sh
	@touch $@

$(TOOLS): $(SETUP) tests/journeys/nodemailer/package-lock.json tests/journeys/imapflow/package-lock.json
	@deploy/local/setup.sh tests
	@touch $@

$(DESKTOP): $(TOOLS)
	@deploy/local/setup.sh clients
	@touch $@

run: $(SETUP) ## the whole system here, with a demo domain, until Ctrl-C
	$(if $(UNKNOWN),$(error there is no setting $(UNKNOWN); `make help` names them))
	@STORE=$(STORE) COPIES=$(COPIES) \
	  $(foreach port,$(PORTS),$(if $($(port)),POSTHOUSE_$(port)=$($(port)))) $(ONEMACHINE)

check: $(SETUP) ## format, lint, types, imports, pure tests: under a minute
	@$(MAKE) --no-print-directory -j5 -k -O PROFILE=$(PROFILE) format lint types imports unit

format: $(SETUP)
	$(BIN)/ruff format --check $(CODE)

lint: $(SETUP)
	$(BIN)/ruff check $(CODE)

types: $(SETUP)
	$(BIN)/mypy

imports: $(SETUP)
	$(BIN)/lint-imports

fmt: $(SETUP) ## format the code and repair what the linter can repair
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

test: PROFILE := $(if $(CI),ci,local)  # more examples of each property than a check has time for
test: $(TOOLS) check ## check, then all tests on real servers started here
	$(WITH_SERVERS) $(PYTEST) -n $(WORKERS) -m "integration or journey"

unit: $(SETUP) ## pure tests only
	$(PYTEST) -n auto --hypothesis-profile $(PROFILE)

integration: $(TOOLS) ## tests of parts on real servers
	$(WITH_SERVERS) $(PYTEST) -n $(WORKERS) -m integration

journeys: $(TOOLS) ## tests of the whole system: real clients, and faults
	$(WITH_SERVERS) $(PYTEST) -n $(WORKERS) -m journey

clients: $(DESKTOP) ## every mail program, Thunderbird too, and 5,000 letters
	POSTHOUSE_TEST_LETTERS=5000 $(WITH_SERVERS) $(PYTEST) -m "journey or desktop" --durations 25 --timeout 3600 $(CLIENTS)

soak: $(TOOLS) ## 100,000 mails for a dead site and one for a live one
	@POSTHOUSE_SOAK_DEAD=100000 POSTHOUSE_SOAK_SLOW=5000 POSTHOUSE_SOAK_BURST=5000 $(WITH_SERVERS) $(PYTEST) -s -m integration --timeout 3600 tests/integration/remote/test_fairness.py tests/integration/remote/test_bursts.py

bench: $(TOOLS) ## mail a second and its CPU, beside Postfix (--imap, --policy)
	@PYTHONPATH=$(OURS):. $(PYTHON) -m bench $(BENCH)

fuzz: $(SETUP) ## any octets into parsers and SMTP sessions: minutes
	$(PYTEST) -n auto --hypothesis-profile fuzz --timeout 1800 tests/properties tests/fuzz

storm: $(TOOLS) ## kill anything at random under load: STORM_SECONDS=300
	$(WITH_SERVERS) $(PYTEST) -s -m storm tests/storm

image: ## the container image of all services
	docker build -t posthouse .

clean: ## remove the data of make run, .venv and caches
	@if [ -x $(PYTHON) ]; then $(ONEMACHINE) clean; fi
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov dist
	find . -name __pycache__ -prune -exec rm -rf {} +
