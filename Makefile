# Everything here works on a machine with nothing but Python (3.11 to 3.13) and make. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
UV = $$(command -v uv || echo $(BIN)/uv)

.DEFAULT_GOAL := help
.PHONY: help setup train test browser-test cluster-test attack-test fault-test matrix-test mutation-test lint format lock tensorboard \
	bench seeds results clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## install what is missing into .venv, as requirements.lock says

$(VENV)/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@command -v uv >/dev/null || $(RUN) -m pip install --quiet --disable-pip-version-check uv
	$(UV) pip install --python $(RUN) --require-hashes --compile-bytecode --requirement requirements.lock
	@touch $@

OWN_DATA = $(strip $(foreach word,data= data. resume= again=,$(findstring $(word),$(ARGS))))
train: setup ## train the tutorial's experiment; ARGS="trainer.max_epochs=1" are handed on to train.py
	@if [ -n "$(OWN_DATA)" ] || $(RUN) -m mnist_lightning.datasets.mnist; then $(RUN) train.py $(ARGS); else \
		echo; echo "*** NOT MNIST: training on scikit-learn's small digits instead (data=digits) ***"; echo; \
		$(RUN) train.py data=digits $(ARGS); fi

test: setup ## run every test, without network
	@OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses 2 --max-worker-restart 0 --dist loadfile $(ARGS)

browser-test: setup ## open the drawing page and TensorBoard in a real Chromium, where chromium and chromedriver are installed; ARGS as for test
	@$(RUN) -m pytest -m browser -rs $(ARGS)

cluster-test: setup ## train on two network namespaces and a SLURM, made for it and taken down, where root may; seven minutes
	@$(RUN) -m pytest -m cluster -rs $(ARGS)

attack-test: setup ## meet every hostile run and sweep of tests/attacks, each by a real process; ten minutes
	@PYTHONPATH=tests:. $(RUN) -m attacks $(ARGS)

fault-test: setup ## kill, stop, starve and damage runs of seven kinds some six hundred times, and compare; twenty minutes
	@PYTHONPATH=tests:. OMP_NUM_THREADS=1 $(RUN) -m faults $(ARGS)

matrix-test: setup ## try each argument and class of Lightning and PyTorch, and what Hydra users type; a quarter of an hour
	@PYTHONPATH=tests:. OMP_NUM_THREADS=1 $(RUN) -m matrix $(ARGS)

mutation-test: setup ## put 40 small faults into each of ten modules, and see which the tests notice; ARGS="measures seal" for some
	@PYTHONPATH=. $(RUN) tests/mutations.py $(ARGS)

lint: setup ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## put the code into its format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

tensorboard: setup ## open the dashboards of everything under runs/
	@$(BIN)/tensorboard --logdir runs --samples_per_plugin images=100,scalars=10000

bench: setup ## measure one run against four other ways to write it, then sweeps; 30 to 45 minutes
	@$(RUN) benchmarks/bench.py $(ARGS)
	@$(RUN) benchmarks/sweeps.py $(ARGS)

seeds: setup ## ten seeds of the default run, mean and sd; ARGS as for train, ten minutes
	@$(RUN) train.py sweep=seeds $(ARGS)

results: setup ## ten seeds of each recipe of conf/experiment, what is missing of them, then docs/results.md; hours. ARGS="tuned --seeds 3"
	@$(RUN) benchmarks/results.py $(ARGS)

lock: setup ## solve the dependencies of pyproject.toml anew
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --all-extras --group dev --upgrade pyproject.toml --output-file requirements.lock

clean: ## remove .venv, build/ and caches; runs/ and data/ stay
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
