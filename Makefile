# Two commands for a new machine: `make run` and `make test`. `make check` is the one for work.

PYTHON ?= python3
BIN := .venv/bin
CODE := model tasks flows deployments tests

.PHONY: run test long faults soak operations check audit ui

run: .venv
	$(BIN)/corpusmith run

test: .venv
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder \
		-m "not long and not faults and not servers"

# Whole flows that do not fit into the twenty minutes of a landing.
long: .venv
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m long

# Every stage killed at every change of the disk, and what else can go wrong; a table at the end.
faults: .venv
	rm -f faults.rows
	CORPUSMITH_FAULT_ROWS=faults.rows $(BIN)/python -m pytest --numprocesses 2 --dist load -m faults; \
	status=$$?; \
	{ printf '| fault | where | what happened |\n|---|---|---|\n'; sort faults.rows; } | tee faults.md; \
	exit $$status

# 200 refreshes of a folder that changes, with kills: nothing piles up. Half an hour.
soak: .venv
	$(BIN)/python -m tests.operations.soak --folder soak

# Servers, workers, a schedule and a killed worker, as deployments/compose.yaml has them; needs
# PostgreSQL and Chromium. Then a month of nightly refreshes, with kills.
operations: .venv
	$(BIN)/python -m pytest -m servers
	$(BIN)/python -m tests.operations.run --folder operations
	$(BIN)/python -m tests.operations.nights --folder operations/nights

check: .venv
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow and not long and not gpu and not faults and not servers"

# Known advisories about every version that constraints.txt pins. Asks the package index for them:
# where it does not tell, this fails (--strict) and does not call unknown versions safe.
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet pip-audit
	build/audit/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
		--requirement constraints.txt

ui: .venv
	$(BIN)/corpusmith ui

# pip, because the pinned torch is found as pip finds it; what is imported is compiled then, and
# the rest, which takes a third of the time, never.
.venv: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt \
		--editable ".[dev]"
	touch .venv
