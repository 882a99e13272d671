# make demo   sets up .venv and tells the whole story on a synthetic city, offline
# make test   sets up and runs the tests
# make check  format, lint, types, import rules, tests: what .ci/run calls
# make attack bad inputs, kills, pairs of processes, a hostile server, a small disk: what must hold (20 minutes)
# make floors quick tests with the oldest packages that pyproject.toml allows; EXTRAS=train: torch's too
# make engines vectors by the workers of Ray clusters that are killed, in an environment of its own
# make oracle models in and out against open_clip itself, in an environment of its own
# make docs   the documentation site, strictly: site/index.html, from an environment of its own
# make release  wheel and sdist, tried as a stranger would: in empty environments (half an hour); STEPS='build core': some
# make bench  what the main parts cost, side by side in one run, in small (12 minutes)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEPS   := pyproject.toml constraints.txt
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TESTS  ?= tests
OLDEST ?= python3.11

.PHONY: demo test check format attack floors engines oracle docs release bench clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# make /make /p' Makefile

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "urbanln needs Python 3.11 or newer; $$($(PYTHON) --version) was found. Say which: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "setting up $(VENV)"
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python's venv module is missing; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }

# torch first and by its pin: a later install then finds it satisfied and brings no second build.
$(VENV)/.ready-demo: $(DEPS) | $(VENV)/bin/python
	@echo "installing urbanln[train,nlp,caption] (once)"
	@$(PIP) torch && $(PIP) --editable '.[train,nlp,caption]' && touch $@

$(VENV)/.ready-dev: $(DEPS) | $(VENV)/.ready-demo
	@echo "installing what the tests need (once)"
	@$(PIP) --editable '.[train,dev]' && touch $@

demo: $(VENV)/.ready-demo
	@$(BIN)/urbanln demo --out demo-out

# Two processes on two cores: one thread each, or they wait for one another; who is done takes over what the other has
# left, since a few tests take a minute. No test may need a hub.
test: $(VENV)/.ready-dev
	@OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

check: $(VENV)/.ready-dev
	@$(BIN)/ruff format --check src tests benchmarks examples tools
	@$(BIN)/ruff check src tests benchmarks examples tools
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

# Its environments are its own, so that the oldest and the newest packages do not mix.
floors:
	@command -v $(OLDEST) > /dev/null || \
	  { echo "floors are those of the oldest Python, and there is no $(OLDEST). Say where: make floors OLDEST=PATH" >&2; exit 2; }
	@$(OLDEST) tools/floors.py $(EXTRAS)

format: $(VENV)/.ready-dev
	@$(BIN)/ruff format src tests benchmarks examples tools
	@$(BIN)/ruff check --fix src tests benchmarks examples tools

# ATTACK: options, as in make attack ATTACK='--seed 3 --only kills/'; all are told by --help.
attack: $(VENV)/.ready-dev
	@$(BIN)/python -m tests.attack $(ATTACK)

# Ray is heavy; all else is that of the other environment, which this one sees.
ENGINES := .engines
$(ENGINES)/.ready: $(VENV)/.ready-dev
	@$(BIN)/python -m venv --clear $(ENGINES)
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > $$($(ENGINES)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beside.pth
	@$(ENGINES)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  'ray[data]==2.60.0' && touch $@

engines: $(ENGINES)/.ready
	@OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(ENGINES)/bin/python -m pytest tests/embed/test_engine_ray.py

# open_clip needs torchvision, which has no place beside ours; its networks are random, nothing is fetched but it.
ORACLE := .oracle
$(ORACLE)/.ready: constraints.txt | $(VENV)/bin/python
	@$(PYTHON) -m venv $(ORACLE)
	@$(ORACLE)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	@$(ORACLE)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  'open_clip_torch==3.3.0' transformers && touch $@

oracle: $(VENV)/.ready-dev $(ORACLE)/.ready
	@$(ORACLE)/bin/python tools/oracle_open_clip.py write $(ORACLE)/networks
	@$(BIN)/python tools/oracle_open_clip.py compare $(ORACLE)/networks
	@$(BIN)/python tools/oracle_open_clip.py export $(ORACLE)/networks
	@$(ORACLE)/bin/python tools/oracle_open_clip.py read $(ORACLE)/networks && rm -r $(ORACLE)/networks

# The site's makers have an environment of their own; the reference is made by ours.
DOCS := .venv-docs
$(DOCS)/.ready: pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(DOCS)"
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check $$($(PYTHON) -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])') && touch $@

docs: $(VENV)/.ready-demo $(DOCS)/.ready
	@$(BIN)/python tools/make_site.py $(DOCS)/bin/zensical

# STEPS: all are told by tools/release.py itself. A release has its site.
release: $(VENV)/.ready-dev docs
	@$(BIN)/python tools/release.py $(STEPS)

bench: $(VENV)/.ready-dev
	@$(BIN)/python -m benchmarks all --cut

clean:
	rm -rf $(VENV) $(ENGINES) $(ORACLE) $(DOCS) build site .cache .venv-floors* demo-out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
