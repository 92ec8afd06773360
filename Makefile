# The project's commands. They need python3, pip, make and git. Start with `make run`, then `make check`.
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo .venv/bootstrap/bin/uv)
BIN := .venv/bin
MADE := .venv/.made
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help setup run check format lint types layers test slow proofs clean review comment report pull propose

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(MADE) ## Install the locked dependencies into .venv, with byte code

$(MADE): uv.lock pyproject.toml
	@command -v uv >/dev/null 2>&1 || test -x .venv/bootstrap/bin/uv || \
	  { python3 -m venv .venv/bootstrap && .venv/bootstrap/bin/pip install -q uv; }
	@test -x $(BIN)/python || $(UV) venv -q --allow-existing .venv
	$(UV) sync -q --locked --compile-bytecode
	@touch $@

run: setup ## Run the main job: dvc repro; then print the metrics, the verdict and the paths of the results
	$(BIN)/dvc repro
	$(BIN)/cll show

check: setup lint types layers test ## Run all checks that must pass before a commit

format: setup ## Format the code and apply ruff's automatic fixes
	$(BIN)/ruff check -q --fix-only .
	$(BIN)/ruff format -q .

lint: setup
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/vulture
	$(BIN)/deptry . 2>/dev/null || $(BIN)/deptry .
	$(BIN)/codespell
	$(BIN)/yamllint -s conf params.yaml world.yaml dvc.yaml .github
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --no-progress -q .github/workflows

types: setup
	$(BIN)/mypy --no-error-summary

layers: setup
	$(BIN)/lint-imports --no-cache

test: setup ## Run the fast tests
	$(BIN)/pytest -q -n 2

slow: setup ## Run the slow tests (minutes): real repositories, a clean clone, real data
	$(BIN)/pytest -q -m slow -n 2 --dist loadfile

proofs: setup ## Test the false-alarm rates that triggers state on 400 simulated fleets, and river's detectors; writes docs/proofs.md
	$(BIN)/python benchmarks/proofs.py

clean: ## Delete computed files; .venv and files tracked by git stay
	rm -rf .cll outputs multirun .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Steps of the workflows, for any CI service that has make, git and gh. REVIEW is the text about one pull request.
REVIEW := .cll/review.md
MARKER := <!-- cll diff -->
TICK := tick

review: setup ## Write the changes of the working tree since BASE to .cll/review.md and to CI's summary
	@mkdir -p .cll
	cll diff $${BASE:+"$$BASE"} --md > $(REVIEW)
	@test -z "$$GITHUB_STEP_SUMMARY" || cat $(REVIEW) >> "$$GITHUB_STEP_SUMMARY"

comment: ## Post .cll/review.md as a comment on the pull request PULL, or update that comment
	@comments="repos/$$GITHUB_REPOSITORY/issues/$$PULL/comments"; \
	mine='.[] | select(.user.type == "Bot" and (.body | startswith("$(MARKER)"))) | .id'; \
	id=$$(gh api --paginate "$$comments" --jq "$$mine" | head -n 1) && \
	if [ -n "$$id" ]; then \
	  gh api --silent -X PATCH "repos/$$GITHUB_REPOSITORY/issues/comments/$$id" -F body=@$(REVIEW); \
	else \
	  gh api --silent -X POST "$$comments" -F body=@$(REVIEW); \
	fi

report: setup ## Get reports/report.html: pull it from DVC's remote if there is one, else make it again
	test -n "$$(dvc remote list)" && dvc pull -q reports/report.html || dvc repro

pull: setup ## Pull data and models from DVC's remote, if there is one
	test -z "$$(dvc remote list)" || dvc pull -q

propose: setup ## Push the branch "tick" of `cll tick --mode branch`, and open or update its one pull request
	@git show-ref -q --verify refs/heads/$(TICK) || \
	  { echo "Nothing new was committed, so there is nothing to propose."; exit 0; }; \
	set -e; \
	git switch -q $(TICK); \
	test -z "$$(dvc remote list)" || dvc checkout -q; \
	mkdir -p .cll; \
	cll diff HEAD~1 --md > $(REVIEW); \
	gh auth setup-git; \
	git push -q --force origin HEAD:refs/heads/$(TICK); \
	title=$$(git log -1 --format=%s); \
	if [ -n "$$(gh pr list --head $(TICK) --state open --json number --jq '.[].number')" ]; then \
	  gh pr edit $(TICK) --title "$$title" --body-file $(REVIEW); \
	else \
	  gh pr create --head $(TICK) --base "$$BASE" --title "$$title" --body-file $(REVIEW); \
	fi
