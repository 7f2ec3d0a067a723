# Storyloom's commands. `make write PREMISE="…"` and `make test` work from a fresh clone.
PYTHON ?= python3
VENV ?= .venv
PARAGRAPHS ?= 8
BIN := $(VENV)/bin
ROOMS := app generators kernels memory storage ui

# A premise reaches the shell only as an environment variable: no quote, dollar or newline of it is ever
# read as a command.
export STORY_PREMISE = $(value PREMISE)
export HF_HUB_DISABLE_TELEMETRY = 1

# A machine with a GPU often brings its own torch: its Python runs the GPU targets where there is no $(VENV).
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))

.PHONY: write ui test crash test-gpu install dev chromium link fmt messages check bench bench-cpu bench-gpu clean

write: install
	@test -n "$$STORY_PREMISE" || { echo 'Give a premise: make write PREMISE="A lighthouse keeper finds a door in the sea."' >&2; exit 2; }
	@$(BIN)/storyloom write --paragraphs $(PARAGRAPHS) -- "$$STORY_PREMISE"

ui: install
	@$(BIN)/storyloom ui

test: check chromium
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# The crash tests in their whole form: about half an hour. `make test` runs them in a short one.
crash: dev
	@CRASH_KILLS=$${CRASH_KILLS:-200} $(BIN)/python -m pytest tests/crash

check: dev link
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p storyloom
	$(BIN)/mypy tests
	$(BIN)/lint-imports --no-logo

fmt: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Puts the studio's new messages into its translations, ui/studio/messages/*.po, to be translated there.
messages: dev
	$(BIN)/python -m tests.messages

# Prints its figures as one JSON line at the end, such as: make bench NAME=prose
bench: dev
	@test -f "tests/bench/$(NAME).py" || { echo "Benchmarks: $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/[a-z]*.py))" >&2; exit 2; }
	@DATA="$(DATA)" $(BIN)/python -m tests.bench.$(NAME)

# The kernels' tests on a CUDA device, bfloat16 included; `make test` runs them in Triton's interpreter.
test-gpu:
	@if $(GPU_PYTHON) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then \
	  TRITON_DEFAULT_FP_FUSION=1 $(GPU_PYTHON) -m pytest tests/kernels; \
	else echo "Skipped: no CUDA device. make test runs the same tests in Triton's interpreter."; fi

bench-gpu:
	@$(GPU_PYTHON) -m tests.bench.kernels --device cuda --out docs/benchmarks/kernels.csv

# The references alone, against loops over the tokens: shows that the harness works, says nothing of the kernels.
bench-cpu: dev
	@$(BIN)/python -m tests.bench.kernels --device cpu --out build/kernels-cpu.csv

install: $(VENV)/.installed
dev: $(VENV)/.installed-dev

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Storyloom needs Python 3.11 or newer; PYTHON=… names another one." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.python
	@echo "Installing Storyloom and what it stands on into $(VENV); the first time takes a few minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.python
	@echo "Installing Storyloom and what its tests need into $(VENV); the first time takes a few minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

# The browser tests drive Debian's Chromium.
chromium:
	@command -v chromium >/dev/null || { \
	  test "$$(id -u)" = 0 || { echo "The browser tests need Chromium: install Debian's package chromium, then run this again." >&2; exit 1; }; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; }

# mypy can't see setuptools' mapping of rooms to storyloom.*: git-ignored links show it.
link:
	@mkdir -p build/typing/storyloom
	@for room in $(ROOMS); do ln -sfn ../../../$$room build/typing/storyloom/$$room; done

clean:
	rm -rf build $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
