# Every target works on a fresh machine with Python 3.11, pip and make: it makes its own .venv.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= out

.PHONY: check test demo bench clean

.venv/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py

test: .venv/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

demo: .venv/ready
	$(BIN)/calipers demo --out $(OUT)/demo --overwrite

bench: .venv/ready
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv $(OUT)
