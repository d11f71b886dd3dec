# Two commands set everything up on a fresh machine: `make search` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: search test slow examples docs check discovered install clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

search: install
	$(BIN)/evosearch search --preset quickstart

test: install
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# What takes longer: the same tests at every byte, record and form, and all documented commands.
slow: install
	$(BIN)/python -m pytest -m slow --numprocesses auto --dist worksteal

# The frameworks that examples and tests use, jax and optax are extras, which this installs.
examples: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[browser,examples,jax]"
	$(BIN)/python -m pytest -m "" tests/evosearch/export/test_export_examples.py tests/evosearch/export/test_export_optax.py tests/evosearch/export/test_export_frameworks.py

# The documentation as a site in site/, which opens from the disk; serve it to search in it.
docs: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python -m pytest tests/test_site.py

check: install
	$(BIN)/ruff format --diff .
	$(BIN)/ruff check .
	$(BIN)/pyright

# The exports and the table in discovered/ follow from the JSON files there; this leaves no diff.
discovered: install
	$(BIN)/python -m evosearch.studies.discoveries.publish

clean:
	rm -rf .venv build site *.egg-info
