# Two commands on a machine with only Python 3.11+ and make: `make quickstart` and `make test`.
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
  if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; \
  then echo $$p; break; fi; done)
VENV ?= .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/quickstart
TEST_WORKERS ?= 2
export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
# Stages and test workers share small programs too, which are most of what they compile.
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.1

.PHONY: quickstart test lint format types setup clean

quickstart: setup
	$(BIN)/python -m launch.pipeline --config=configs/quickstart.py --workdir=$(WORKDIR)

# A worker has a core for itself, so BLAS gets no threads of its own. Most of the tests' time is
# compilation, hence the quick compiler; `make test JAX_DISABLE_MOST_OPTIMIZATIONS=0` has the full one.
test: export OPENBLAS_NUM_THREADS = 1
test: export JAX_DISABLE_MOST_OPTIMIZATIONS ?= 1
test: setup
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "ppt_jax needs Python 3.11 or 3.12 on the PATH (or: make PYTHON=/path/to/python ...)"; exit 2; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) runs .cache build dist *.egg-info
