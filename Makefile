# `make test` and `make song` work on a fresh machine with only Python (3.11 or later) and make.
PYTHON ?= python3
VENV ?= .venv
SONG ?= song
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: song test test-all lint format parity bench clean

# One process per core, each on one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto

# Ten seconds by the model that is part of the package; made again, it says where they are.
song: $(VENV)/installed
	$(BIN)/jukebox generate --seconds 10 --output $(SONG)

test: $(VENV)/ready
	$(PYTEST) -m "not slow"

test-all: $(VENV)/ready
	$(PYTEST)

lint: $(VENV)/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright

format: $(VENV)/ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Every recorded number of the original in the repository, with its error beside its tolerance.
parity: $(VENV)/ready
	$(BIN)/python -m tests.parity tests/golden

bench: $(VENV)/ready
	$(PIP) --editable '.[bench]'
	$(BIN)/python bench/vqvae.py
	$(BIN)/python bench/attention.py
	$(BIN)/python bench/prior.py
	$(BIN)/python bench/train.py

clean:
	rm -rf $(VENV)

$(VENV)/ready: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	touch $@

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed; name one, as in: make song PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@
