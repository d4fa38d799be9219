# Two commands matter: `make demo` and `make test`. Both set everything up first, into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --disable-pip-version-check -c constraints.txt

define torch
echo "Setting up $(VENV), 2 of 3: torch and torchvision (minutes; 5.4 GB on disk with the GPU libraries that Linux gets)" && $(PIP) torch torchvision
endef

.PHONY: demo test check lessons site bench browser audit clean

demo: $(VENV)/.train
	$(BIN)/reslab demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --typed tests/nn tests/pixels tests/metrics tests/test_typed.py -q
	$(BIN)/python -m pytest -n 2 --rest

check: $(VENV)/.dev
	$(BIN)/ruff format --check src tests benchmarks reproduce docs examples
	$(BIN)/ruff check src tests benchmarks reproduce docs examples
	$(BIN)/lint-imports
	$(BIN)/pyrefly check

lessons: $(VENV)/.train
	$(BIN)/python -m reslab.learn.lesson lessons

# The documentation, into site/: open site/index.html, or serve the folder.
site: $(VENV)/.dev
	$(BIN)/python docs/build.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/training.py $(DATA)

browser: $(VENV)/.dev
	$(BIN)/python -m pytest -m browser

# Known vulnerabilities of what is installed, by pip-audit in an environment of its own.
audit: $(VENV)/.dev
	@$(PYTHON) -m venv .audit && .audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	@$(BIN)/pip freeze --disable-pip-version-check --exclude-editable > .audit/installed.txt
	@.audit/bin/pip-audit --no-deps --disable-pip --progress-spinner off -r .audit/installed.txt > .audit/found.txt 2>&1; code=$$?; \
	  grep -v 'could not be audited' .audit/found.txt; skipped=$$(grep -c 'could not be audited' .audit/found.txt); \
	  if [ $$code != 0 ] && ! grep -q '^Found' .audit/found.txt; then echo "nothing was audited: no advisories can be reached from here"; \
	  else echo "$$skipped of $$(wc -l < .audit/installed.txt) packages could not be audited: this index has no advisories on them"; exit $$code; fi

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ResLab needs Python 3.11 or newer")'
	@echo "Setting up $(VENV), 1 of 3: an empty Python environment (seconds)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(torch)
	@echo "Setting up $(VENV), 3 of 3: ResLab and the other packages for training and serving (about 0.5 GB)"
	@$(PIP) -e '.[train,serve]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@$(torch)
	@echo "Setting up $(VENV), 3 of 3: ResLab and the other packages, those for its tests too (about 1 GB)"
	@$(PIP) -e '.[train,track,search,serve,openvino,docs,dev]'
	@touch $@ $(VENV)/.train

clean:
	rm -rf $(VENV) .audit site .pytest_cache .ruff_cache .hypothesis
