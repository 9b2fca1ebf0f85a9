# make demo   installs into .venv, runs examples/quickstart.ipynb in a real kernel, writes examples/quickstart.html
# make test   installs with the test extras, then runs the whole suite
# make lint   ruff (rules and format), prettier

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Threads that spin while they wait slow everything beside them down many times over.
export OMP_WAIT_POLICY := passive
# The suite runs in so many processes, each with one thread for torch.
WORKERS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: demo test lint clean

demo: $(VENV)/.demo
	$(BIN)/python examples/execute.py examples/quickstart.ipynb --html

test: $(VENV)/.test
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Debian's chromium for the browser tests"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; fi
	@if command -v npm >/dev/null && [ ! -d widgets/node_modules ]; then \
	  npm install --prefix widgets --no-package-lock --no-audit --no-fund --silent || echo "no tsc: npm install failed"; fi
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(PYTEST)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	cd widgets && npx prettier --check --log-level warn '*.js' '*.css'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("llm_magics needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[demo,test]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) dist build
