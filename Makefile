# Two commands do everything: `make demo` and `make test`. Each makes its own virtual environment in .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types tables bench clean

demo: .venv/demo
	$(BIN)/simdnn demo -o demo

test: .venv/dev lint types
	$(BIN)/python -m pytest

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/dev
	$(BIN)/mypy

# The tables of the documentation, made from the committed records.
tables: .venv/dev
	rm -rf build/report docs/tables
	$(BIN)/simdnn bench report -o build/report
	mkdir -p docs/tables
	cp build/report/*.md docs/tables/
	PYTHONPATH=experiments/scripts $(BIN)/python experiments/scripts/adaptive_attack_tables.py
	PYTHONPATH=experiments/scripts $(BIN)/python experiments/scripts/opinion_tables.py
	$(BIN)/python experiments/scripts/reproduction_figure.py
	PYTHONPATH=experiments/scripts $(BIN)/python experiments/scripts/speed_tables.py

# Ratios of speed beside those of the last record; what became slower is marked. Needs SIMDNN_DATA.
bench: .venv/dev
	$(BIN)/python experiments/scripts/speed.py

clean:
	rm -rf .venv demo

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "simdnn needs Python 3.11 or newer; try make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/demo: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[lab]'
	touch $@

.venv/dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@
