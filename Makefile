# Every target sets up its environment by itself; `make PYTHON=python3.12 ...` picks the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch is installed first and by its exact version: a range may pull another build of several gigabytes.
TORCH := $(shell grep '^torch==' constraints.txt)
DEMO ?= demo

.PHONY: demo test lint type bench clean

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(BIN)/.installed ## raw video, sound and words -> trained model, score table, prediction
	$(BIN)/python -m mme2e.demo $(DEMO)

test: $(BIN)/.installed lint type ## lint, types and the whole test suite
	$(BIN)/pytest

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(BIN)/.installed
	$(BIN)/mypy

bench: $(BIN)/.installed ## every benchmark; results land in benchmarks/results
	for benchmark in benchmarks/*.py; do $(BIN)/python $$benchmark || exit 1; done

clean:
	rm -rf $(VENV) $(DEMO)
