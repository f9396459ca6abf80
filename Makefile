# install  environment in .venv (CPU build of torch)      demo   phantoms in, report out, about 10 minutes on 2 cores
# test     all tests        test-fast  without slow ones  check  format, lint, types, floors
# fix      what can be mended by itself                   bench  the benchmarks behind docs/results.md
PYTHON ?= python3
BIN := .venv/bin
OUT ?= out/demo
# Where pip takes torch from is pip's configuration. The CPU build is a tenth of the CUDA build's size; PyTorch's own
# installation page names its index:  make install PIP_FLAGS="--extra-index-url <that index>"
PIP_FLAGS ?=

.PHONY: install demo test test-fast check fix bench dist
install: .venv/installed
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	@echo "Installing into .venv: about 1.8 GB, one to three minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	touch $@

demo: install
	$(BIN)/python scripts/demo.py --out $(OUT)

test: install
	$(BIN)/python -m pytest -n 2

test-fast: install
	$(BIN)/python -m pytest -n 2 -m "not slow"

check: install
	$(BIN)/ruff format --check src tests benchmarks scripts
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: install
	$(BIN)/ruff check --fix src tests benchmarks scripts
	$(BIN)/ruff format src tests benchmarks scripts

bench: install
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/preprocess.py
	$(BIN)/python benchmarks/dicom_corpus.py
	$(BIN)/python benchmarks/tag_matrix.py
	$(BIN)/python benchmarks/phantom_targets.py

dist: install
	$(BIN)/python -m build
