# Everything a machine with python3, pip, make and git needs: `make run`, then `make check`.
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo .venv/bootstrap/bin/uv)
BIN := .venv/bin
MADE := .venv/.made
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup run check format lint types layers test slow clean

help: ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(MADE) ## Install the locked dependencies into .venv, with byte code

$(MADE): uv.lock pyproject.toml
	@command -v uv >/dev/null 2>&1 || test -x .venv/bootstrap/bin/uv || \
	  { python3 -m venv .venv/bootstrap && .venv/bootstrap/bin/pip install -q uv; }
	@test -x $(BIN)/python || $(UV) venv -q --allow-existing .venv
	$(UV) sync -q --locked --compile-bytecode
	@touch $@

run: setup ## Run the main job: dvc repro, then the table, the verdict and where things lie
	$(BIN)/dvc repro
	$(BIN)/cll show

check: setup lint types layers test ## All that must pass before a commit

format: setup ## Put the code in its form
	$(BIN)/ruff check -q --fix-only .
	$(BIN)/ruff format -q .

lint: setup
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/vulture
	$(BIN)/deptry . 2>/dev/null || $(BIN)/deptry .
	$(BIN)/codespell
	$(BIN)/yamllint -s conf params.yaml world.yaml dvc.yaml

types: setup
	$(BIN)/mypy --no-error-summary

layers: setup
	$(BIN)/lint-imports --no-cache

test: setup ## The fast tests
	$(BIN)/pytest -q -n 2

slow: setup ## The tests that take minutes: real repositories, a clean clone, real data
	$(BIN)/pytest -q -m slow -n 2 --dist loadfile

clean: ## Remove what was computed; .venv and what git tracks stay
	rm -rf .cll outputs multirun .pytest_cache .mypy_cache .ruff_cache .hypothesis
