# make demo   installs into .venv, runs examples/quickstart.ipynb in a real kernel, writes examples/quickstart.html
# make test   installs with the test extras, then runs the whole suite
# make docs   builds docs/_build/html without a network, the example notebooks executed
# make lint   ruff (rules and format), prettier, tsc
# make test-lowest, test-latest   the suite without browser tests on the oldest and the newest versions allowed

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Threads that spin while they wait slow everything beside them down many times over.
export OMP_WAIT_POLICY := passive
# The suite runs in so many processes, each with one thread for torch.
WORKERS ?= 2
NPM := widgets/node_modules/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: demo test test-lowest test-latest docs lint clean

demo: $(VENV)/.demo
	$(BIN)/python examples/execute.py examples/quickstart.ipynb --html

test: $(VENV)/.test
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's chromium for the browser tests"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; fi
	@if command -v npm >/dev/null; then $(MAKE) -s $(NPM) || echo "no tsc: npm install failed"; fi
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(PYTEST)

# Both ends of what pyproject.toml allows, each in an environment of its own; torch stays the processor's build.
test-lowest test-latest: test-%:
	$(PYTHON) -m venv .venv-$*
	$(PYTHON) .ci/lowest.py > .venv-$*/lowest.txt
	grep '^torch==' .venv-$*/lowest.txt > .venv-$*/latest.txt
	.venv-$*/bin/python -m pip install -q -c .venv-$*/$*.txt -e '.[test]'
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 .venv-$*/bin/python -m pytest -n $(WORKERS) --dist loadscope \
	  --ignore tests/browser $(PYTEST)

lint: $(VENV)/.test $(NPM)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	cd widgets && npx prettier --check --log-level warn '**/*.js' '**/*.css' '**/*.json' && npx tsc

docs: $(VENV)/.docs
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("llm_magics needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# What only checks: prettier and typescript, at the versions of package.json.
$(NPM): widgets/package.json
	npm install --prefix widgets --no-package-lock --no-audit --no-fund --silent
	@touch $@

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[demo,test]'
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-lowest .venv-latest dist build docs/_build docs/examples
