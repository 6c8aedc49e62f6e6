# `make demo`: the whole pipeline on photographs that come with libraries. `make test`: the tests.
# Both install what they need into .venv first. Nothing else is needed but Python 3.10+ and make.

PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

# The address of PyTorch's index for the CPU, to install without CUDA (docs/install.md).
TORCH_INDEX ?=

.PHONY: demo test faults bench lint docs install lock clean

demo: install
	$(RUN) dvc repro
	@echo
	@cat outputs/demo/evaluation/own/table.md
	@echo "Open outputs/demo/evaluation/own/index.html in a browser: the table with pictures."
	@echo "Also: outputs/demo/dataset/contact_sheet.png and outputs/demo/super_resolved.png"

test: install
	$(RUN) OMP_NUM_THREADS=1 python -m pytest -n 2

# Every command into a full disk, killed, stopped and started twice, twenty times each, and thousands
# of spoilt files (eight times each took nine minutes). Prints the table of docs/reliability.md.
faults: install
	$(RUN) OMP_NUM_THREADS=1 SRNTT_TEST_FAULTS=20 SRNTT_TEST_FUZZ=2000 \
	  python -m pytest -n 2 --timeout 3600 tests/faults

# Hot paths against what one would use otherwise, and the builder's memory: ten minutes or so.
bench: install
	@for name in counts correspondence swap precompute loader train networks memory; do \
	  $(RUN) OMP_NUM_THREADS=1 python benchmarks/$$name.py 2>/dev/null || exit 1; done

lint: install
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy

# The documentation as a site, from README.md and docs/; what is wrong with it, broken links too, is
# an error. Opens without a server: outputs/site/index.html
docs: install
	$(RUN) python -m sphinx --quiet --fail-on-warning --keep-going docs outputs/site

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or later is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
ifneq ($(TORCH_INDEX),)
	$(BIN)/python -m pip install --quiet --no-deps --index-url "$(TORCH_INDEX)" \
	  --constraint requirements.lock torch torchvision
endif
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	@touch $@

# Exact versions for every supported Python, from the ranges in pyproject.toml (needs uv).
lock:
	uv pip compile --universal --python-version 3.10 --extra dev --no-header --no-annotate \
	  pyproject.toml --output-file requirements.lock

clean:
	rm -rf outputs .venv
