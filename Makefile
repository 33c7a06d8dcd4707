# Two commands for a fresh machine: `make example` and `make test`. Needs Python 3.11 or newer with venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXAMPLE ?= example
# The CPU build keeps gigabytes of CUDA libraries away; for a GPU: make TORCH=torch TORCH_INDEX_URL=
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX_URL ?= https://download.pytorch.org/whl/cpu
TORCH_INDEX := $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL))

# The viewer of maps within the page, from npm; without npm the page has its pictures.
NIIVUE_VERSION := 0.69.0
NIIVUE_SHA256 := 47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af
VIEWER := bids_t1/report/viewer/niivue.umd.js

.PHONY: viewer example test container-test lint docs figures benchmark audit lock corpus fuzz describe clean

viewer: $(VIEWER)

$(VIEWER):
	mkdir -p build/viewer $(@D)
	cd build/viewer && npm pack --silent @niivue/niivue@$(NIIVUE_VERSION) && tar -xzf niivue-niivue-$(NIIVUE_VERSION).tgz
	echo "$(NIIVUE_SHA256)  build/viewer/package/dist/$(@F)" | sha256sum --check --quiet
	cp build/viewer/package/dist/$(@F) $@

example: $(VENV)/.installed $(if $(shell command -v npm),$(VIEWER))
	rm -rf $(EXAMPLE)
	$(BIN)/bids_t1_phantom $(EXAMPLE)/dicom --format dicom --resolution 3 --sequences IRT1 MP2RAGE
	$(BIN)/bids_t1 $(EXAMPLE)/dicom $(EXAMPLE)/derivatives participant --protocol $(EXAMPLE)/dicom_truth/protocol.toml
	@echo "The page: $(EXAMPLE)/derivatives/sub-01.html"

test: $(VENV)/.installed-test
	$(BIN)/pytest --cov -n auto

# As root on Debian: docs/hpc.md tells what it installs, and how long it takes.
container-test: $(VENV)/.installed-test
	tests/container/prepare.sh
	$(BIN)/pytest -m container -v tests/container

lint: $(VENV)/.installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -p no:cacheprovider tests/test_shape.py
	$(BIN)/codespell
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive bids_t1 bids_t1_phantom containers

# The documentation site, from docs/*.md and the docstrings, into build/docs; any warning, such as a dead link, is an error.
docs: $(VENV)/.installed-test
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env docs build/docs
	@echo "The documentation: build/docs/index.html"

# The figures of docs/validation.md.
figures: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.figures

# This engine beside that of 0.1.0 and others, into build/benchmark; ten minutes. SIZES="--voxels 1e7" and more: benchmarks/README.md
benchmark: $(VENV)/.installed-test build/peers/.installed
	$(BIN)/python -m benchmarks.compare $(SIZES)

build/peers/.installed: $(VENV)/.torch constraints.txt
	$(BIN)/python -m venv build/peers
	build/peers/bin/pip install --quiet --retries 1 $(TORCH_INDEX) --no-deps "$(TORCH)"
	build/peers/bin/pip install --quiet --constraint constraints.txt mrpro==0.261015 qmrpy==2.0.0
	touch $@

# The Boutiques descriptor and the table of options in docs/usage.md, from bids_t1/data/options.py.
describe: $(VENV)/.installed
	$(BIN)/python containers/describe.py

# Known vulnerabilities of what the containers install; says so where the advisories cannot be reached.
audit: $(VENV)/.installed-test
	$(BIN)/python containers/audit.py $(BIN)/pip-audit

# What the containers install, with hashes: the versions of constraints.txt, for their Python and processors.
LOCK = $(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes \
	--no-annotate --constraint constraints.txt --custom-compile-command "make lock" --no-emit-index-url --no-emit-find-links
lock: $(VENV)/.installed-test
	echo "torch==2.13.0+cpu" | $(LOCK) $(if $(TORCH_INDEX_URL),--torch-backend cpu) pyproject.toml - -o containers/locks/cpu.txt
	$(LOCK) pyproject.toml -o containers/locks/gpu.txt
	printf '%s\n' hatchling setuptools | $(LOCK) - -o containers/locks/build.txt

$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --retries 1 $(TORCH_INDEX) --no-deps "$(TORCH)"
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.torch pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@ $(VENV)/.installed

# All cases of broken and odd data; about twenty minutes of one processor. docs/reliability.md
corpus: $(VENV)/.installed-test
	$(BIN)/python -m tests.corpus -n 2 --quiet

# Coverage-guided fuzzing, ten minutes for each target. docs/reliability.md
fuzz: $(VENV)/.installed-test
	$(BIN)/pip install --quiet atheris==3.0.0
	for target in sidecars headers files protocol; do nice $(BIN)/python -m tests.fuzz $$target --minutes 10 || exit; done

clean:
	rm -rf $(VENV) $(EXAMPLE) build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
