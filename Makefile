.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

help: ## Say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@echo "Setting up .venv (once) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[org,test]'
	@touch $@

demo: $(READY) ## The main job on the embedded AWS account; with EVENTS="FILE …" ADMINS="name …": on your logs
ifdef EVENTS
	@$(BIN)/python -m sandbox replay $(EVENTS) $(if $(ADMINS),--admin $(ADMINS))
else
	@$(BIN)/python -m sandbox demo
endif

test: $(READY) ## All tests; nothing reaches AWS
	@$(BIN)/python -m pytest

lint: $(READY) ## Style of the code, the CloudFormation templates and the workflow for CI
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/cfn-lint $$(grep -l AWSTemplateFormatVersion deploy/*.yml)
	@$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows deploy/github-actions.yml

validate: $(READY) ## What custodian says of the policies
	@$(BIN)/custodian validate policies/*.yml

bench: $(READY) ## Side-by-side measurements, compared with the committed results
	@$(BIN)/python -m bench

clean: ## Remove all that make has made
	@rm -rf .venv dist .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help demo test lint validate bench clean
