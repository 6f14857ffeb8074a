.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROJECT := --editable '.[org,test]'
# The modules that decide without AWS.
PURE := $(addprefix c7n_iamguard/,event.py iam/policy_documents.py $(addprefix admins/,judge.py membership.py renames.py \
	self_service.py) $(addprefix contain/,plan.py undoable.py manual.py) $(addprefix notify/,detail.py wording.py))
TEMPLATES := $(shell grep -l AWSTemplateFormatVersion deploy/*.yml)

# Make takes any name, so that `make demo events=…` would run the demo without them.
KNOWN := PYTHON EVENTS ADMINS ROLES REPORT
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
UNKNOWN := $(firstword $(filter-out $(KNOWN) MAKEFLAGS SHELL -%,$(GIVEN)))
$(if $(UNKNOWN),$(error There is no variable $(UNKNOWN). There are $(KNOWN), in capitals))
$(if $(EVENTS),,$(if $(ADMINS)$(ROLES)$(REPORT),$(error ADMINS, ROLES and REPORT need EVENTS="FILE …")))

help: ## Say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# Looked at each time: the script leaves alone what is up to date.
$(READY): FORCE
	@.ci/venv $(VENV) $(PYTHON) $(PROJECT)

demo: $(READY) ## The main job on the embedded AWS account; with EVENTS="FILE …" ADMINS="NAME …" ROLES="NAME …" REPORT=report.html: on your logs
ifneq ($(EVENTS),)
	@set -f; $(BIN)/python -m sandbox replay $(EVENTS) $(if $(ADMINS),--admin $(ADMINS)) $(if $(ROLES),--admin-role $(ROLES)) $(if $(REPORT),--report $(REPORT))
else
	@$(BIN)/python -m sandbox demo
endif

sandbox: $(READY) ## An AWS organization on this machine, to try the commands of README and docs in, until Ctrl-C
	@$(BIN)/python -m sandbox serve

test: $(READY) ## All tests; nothing reaches AWS
	@$(BIN)/python -m pytest

oldest: ## All tests, with the oldest versions of c7n and boto3 that pyproject.toml allows
	@.ci/venv .venv-oldest $(PYTHON) $(PROJECT) $$(sed -nE 's/^.*"(boto3|c7n|c7n-org)>=([0-9.]+)".*/\1==\2/p' pyproject.toml | sort -u)
	@.venv-oldest/bin/python -m pytest

lint: $(READY) ## Style of the code, the CloudFormation templates and the workflow for CI
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict --follow-imports=silent $(PURE)
	@$(BIN)/cfn-lint $(TEMPLATES)
	@$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows deploy/github-actions.yml
	@$(BIN)/zizmor --quiet --offline --persona pedantic deploy/github-actions.yml

audit: ## What checkov says of the CloudFormation templates; it comes with so much that it has a folder of its own
	@.ci/venv .venv-audit $(PYTHON) 'checkov>=3.3.30'
	@.venv-audit/bin/checkov --quiet --compact --skip-download --framework cloudformation $(TEMPLATES:%=--file %)

validate: $(READY) ## What custodian says of the policies
	@$(BIN)/custodian validate policies/*.yml

bench: $(READY) ## Side-by-side measurements, compared with the committed results
	@$(BIN)/python -m bench

clean: ## Remove all that make has made
	@rm -rf .venv .venv-oldest .venv-audit dist .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: FORCE help demo sandbox test oldest lint audit validate bench clean
