# The two commands of the README: `make demo` and `make test`. `make check` is what CI calls first.
# Everything happens in .venv, with the tested versions of constraints.txt.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SEED   ?= 7

.PHONY: help demo test storms soak bringup bench check format train schemas docs clean
.DEFAULT_GOAL := help

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.demo  ## render a scene, watch it, compare events with the truth (SEED=7)
	$(BIN)/python -m xclip_stream.demo.play --seed $(SEED)

# They wait more than they compute: three processes use two cores. Tests of one file share what it has set up.
test: $(VENV)/.dev $(VENV)/.system  ## all tests, on real servers (ARGS="tests/test_rules.py -n 0")
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

storms: $(VENV)/.dev $(VENV)/.system  ## every storm in its short form, under 25 minutes (ARGS="worker_kills --seed 3")
	$(BIN)/python -m tests.faults $(ARGS)

soak: $(VENV)/.dev $(VENV)/.system  ## every storm in its long form, some hours
	$(BIN)/python -m tests.faults --long $(ARGS)

bringup: $(VENV)/.dev  ## build the images and bring docker-compose.yml up, as root and without a registry; half an hour
	$(BIN)/python -m tests.deploy $(ARGS)

bench: $(VENV)/.dev  ## all benchmarks into benchmarks/results.json, under 40 minutes (ARGS="--only linear --quick")
	$(BIN)/python -m benchmarks $(ARGS)

check: $(VENV)/.dev  ## lint, format, types, pages made from code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m xclip_stream.cli.reference --check

format: $(VENV)/.dev  ## let ruff format and sort
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

train: $(VENV)/.demo  ## make the demo checkpoint anew (HOURS=1)
	$(BIN)/python -m xclip_stream.demo.train --hours $(or $(HOURS),1) --out demo-out/train

schemas: $(VENV)/.dev  ## write what docs/ has from the code: events, commands, configuration
	$(BIN)/python -m xclip_stream.events
	$(BIN)/python -m xclip_stream.cli.reference

docs: $(VENV)/.dev  ## build the documentation site into site/, for any web server
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:  ## remove what the commands above made
	rm -rf $(VENV) build dist demo-out site *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

# The constraints matter: torch's open range would take the newest build, with gigabytes of GPU libraries.
$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (a few minutes the first time)…"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[demo,openvino,amx]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing into $(VENV) (a few minutes the first time)…"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.demo

# redis-server 7 and GStreamer's RTSP server: tests that lack them skip on a laptop and fail in CI.
$(VENV)/.system: tests/system-packages.sh | $(VENV)/bin/python
	sh tests/system-packages.sh
	@touch $@
