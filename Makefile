# Everything installs into .venv (benchmarks into .venv-bench), made when missing or out of date.
PYTHON ?= python3
BIN := .venv/bin
BENCH := .venv-bench/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check format bench docs clean

demo: .venv/installed
	@mkdir -p build/demo
	$(BIN)/gridcli raster sample_data --overwrite \
		-o build/demo/hubs.geojson --clusters build/demo/clusters.geojson --tiles build/demo/tiles.parquet
	@echo "Hubs, their outlines and their tiles are in build/demo."

test: .venv/installed-dev
	$(BIN)/python -m pytest $(TESTS)

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed-dev
	$(BIN)/python docs/build_commands.py

bench: .venv-bench/installed
	$(BENCH)/python -m benchmarks $(or $(SUITES),all)

clean:
	rm -rf .venv .venv-bench build

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python $(INSTALL) --editable ".[test,check]"
	@touch $@

.venv-bench/installed: pyproject.toml constraints.txt
	test -x $(BENCH)/python || $(PYTHON) -m venv .venv-bench
	$(BENCH)/python $(INSTALL) --editable ".[bench]"
	@touch $@
