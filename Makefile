# The one task runner.  `make run` starts the gateway, `make test` runs the whole suite; both make .venv first.

PYTHON ?= python3
CONFIG ?= etc/wsgate.ini
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/lock.txt
SUITE := .venv-conformance
SUITE_LOCK := requirements/conformance.txt
RIVALS := .venv-bench
RIVALS_LOCK := requirements/bench.txt
RELAYS := frames messages tunnel
WITHOUT = $$([ $$mode-$$relay != server-messages ] || echo "--exclude 12.*,13.*")
CONFORMANCE := $(SUITE)/bin/python tests/conformance/abts/run_abts.py --strict

# Nothing about where packages come from belongs in a lock file.
COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host $(ARGS)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv run test check format conformance conformance-core bench lock docs dist clean distclean

help:
	@echo "make run          start the gateway in the foreground (CONFIG=$(CONFIG))"
	@echo "make test         run the whole suite (ARGS='-k tls' for a part)"
	@echo "make check        ruff, formatting and types"
	@echo "make format       apply ruff's fixes and formatting"
	@echo "make conformance  the Autobahn Testsuite through every relay; conformance-core: the quick part"
	@echo "make bench        the gateway beside nginx, HAProxy and others, into docs/performance.rst (about 15 minutes;"
	@echo "                  ARGS=--quick for a look, ARGS=--help for the choices)"
	@echo "make lock         pin the requirements again (ARGS=--upgrade for newer ones)"
	@echo "make docs         write the reference of options again"
	@echo "make dist         build the sdist and the wheel"
	@echo "make clean        remove what was built; distclean: the environments too"

# ---- environments ---------------------------------------------------------------------------------------------------

venv: $(VENV)/.installed

$(VENV)/.installed: $(LOCK) setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "wsgate needs Python 3.11 or later; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(SUITE)/.installed: $(SUITE_LOCK)
	$(PYTHON) -m venv $(SUITE)
	$(SUITE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(SUITE_LOCK)
	@touch $@

$(RIVALS)/.installed: $(RIVALS_LOCK)
	$(PYTHON) -m venv $(RIVALS)
	$(RIVALS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(RIVALS_LOCK)
	@touch $@

lock: $(VENV)/.installed
	$(COMPILE) --extra test --extra dev --output-file $(LOCK) setup.cfg
	$(COMPILE) --output-file $(SUITE_LOCK) requirements/conformance.in
	$(COMPILE) --output-file $(RIVALS_LOCK) requirements/bench.in

# ---- use ------------------------------------------------------------------------------------------------------------

run: venv
	@exec $(BIN)/twistd --nodaemon --pidfile= wsgate --config $(CONFIG)

# ---- checks ---------------------------------------------------------------------------------------------------------

test: venv
	$(BIN)/python -m pytest $(ARGS)

check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The fuzzing client in front and the fuzzing server behind: each alone, and through each relay and Layer 4, plain and
# under TLS. The relay messages speaks without compression to servers: the server's compression cases are not its.
conformance: venv $(SUITE)/.installed
	@set -e; export WSGATE_PYTHON=$(CURDIR)/$(BIN)/python; \
	run() { echo "== $$*"; $(CONFORMANCE) --preset full --scale 0.1 "$$@" $(ARGS); }; \
	for mode in client server; do \
		run --direct --mode $$mode; \
		for tls in "" --tls; do \
			for relay in $(RELAYS); do \
				export WSGATE_RELAY=$$relay; \
				run --proxy wsgate --mode $$mode $$tls $(WITHOUT); \
			done; \
			run --proxy wsgate --mode $$mode $$tls --l4; \
		done; \
	done

conformance-core: venv $(SUITE)/.installed
	@set -e; export WSGATE_PYTHON=$(CURDIR)/$(BIN)/python; \
	for relay in $(RELAYS); do \
		export WSGATE_RELAY=$$relay; \
		for mode in client server; do \
			echo "== relay $$relay, fuzzing $$mode"; \
			$(CONFORMANCE) --proxy wsgate --preset core --mode $$mode $(ARGS); \
		done; \
	done

bench: venv $(RIVALS)/.installed
	@$(BIN)/python -m bench $(ARGS)

# ---- products -------------------------------------------------------------------------------------------------------

docs: venv
	$(BIN)/wsgate options --page > docs/configuration.rst

dist: venv
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:
	rm -rf build dist *.egg-info bench/build bench/results htmlcov .coverage .coverage.* \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis twisted/plugins/dropin.cache
	find wsgate tests bench twisted -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV) $(SUITE) $(RIVALS)
