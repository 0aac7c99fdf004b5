# Two commands: "make run" and "make test". The rest is for developers.

SHELL := /bin/sh
export PATH := $(PATH):/usr/sbin:/sbin

# Root gives its rights away to mail_owner, who must be able to read Python.
PYTHON ?= $(shell sh docs/example/find-python)
VENV := .venv
BIN := $(VENV)/bin
TRIAL := $(BIN)/trial

# Unit tests that run at a time. The long suites measure, kill and fill disks:
# one after the other.
JOBS ?= $(shell nproc)

.PHONY: run test crash interop conformance bench lint docs clean

run: $(VENV)/installed run/main.cf
	@echo "txmta listens on 127.0.0.1:2525 and [::1]:2525; mail for *@example.com goes to run/mail/me/; Ctrl-C ends it."
	$(BIN)/twistd --nodaemon --pidfile= txmta --config run/main.cf

test: $(VENV)/installed-test
	$(TRIAL) -j $(JOBS) txmta

crash: $(VENV)/installed-test
	$(TRIAL) tests.crash

interop: $(VENV)/installed-test
	$(TRIAL) tests.interop

conformance: $(VENV)/installed-test
	$(TRIAL) tests.conformance

bench: $(VENV)/installed-test
	$(BIN)/python -m benchmarks.relay

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy txmta tests benchmarks

docs: $(VENV)/installed
	$(BIN)/python -m txmta.config.reference docs

clean:
	rm -rf $(VENV) build dist *.egg-info run _trial_temp*

# Made once; what you change there stays.
run/main.cf: | $(VENV)/installed
	$(BIN)/txmta init --unprivileged --hostname mail.example.com run

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/installed-test: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@ $(VENV)/installed

$(VENV)/installed-dev: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ $(VENV)/installed $(VENV)/installed-test
