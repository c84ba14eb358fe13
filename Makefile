# The commands of this project. `make help` lists them.

STACK ?= local
HELIOSTAT := .venv/bin/heliostat

.DEFAULT_GOAL := help
.PHONY: help setup up preview down predict test long test-kubernetes test-forge lint bench soak faults schema docs lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make the virtual environment from the lock (the others do it themselves)
	@scripts/setup

up: setup ## Bring the stack up and end with a prediction (DELETE=1 lets it delete what left the config)
	@scripts/up $(STACK)

preview: setup ## Show what `up` would do
	@$(HELIOSTAT) preview -s $(STACK) --diff

predict: setup ## Ask every application of the stack for a prediction
	@$(HELIOSTAT) predict -s $(STACK)

down: setup ## Stop everything that `up` started; objects, runs and models are kept
	@$(HELIOSTAT) destroy -s $(STACK) --yes --skip-preview

test: setup ## Lint, check types and architecture, and run the tests
	@scripts/test

long: setup ## Run the tests that take many minutes: real clusters, a network of its own (as root)
	@.venv/bin/python -m pytest --long -n 0

test-kubernetes: setup ## Run the tests on a real Kubernetes: one that HELIOSTAT_TEST_KUBECONFIG names, or a node of this machine (as root)
	@.venv/bin/python -m pytest --kubernetes -n 0 -rs tests/kubernetes

test-forge: setup ## Play the story of a branch on a real Gitea, with act as its CI system; both are built of their Go modules
	@scripts/forge_tools || echo "test-forge: without these tools its tests are skipped" >&2
	@.venv/bin/python -m pytest --forge -n 0 -rs tests/gitops/test_real_forge.py tests/gitops/test_real_comments.py tests/gitops/test_real_resuming.py

lint: setup ## Lint and check types and architecture only
	@scripts/lint

bench: setup ## Measure what the README's table says
	@.venv/bin/python -m bench

soak: setup ## Measure a million requests over repeated rollouts (half an hour)
	@.venv/bin/python -m bench soak

faults: setup ## Run the tests that kill each part in each state of each rollout (an hour or two)
	@.venv/bin/python -m pytest --faults -n 0 tests/faults/test_faults.py

schema: setup ## Make the JSON Schema of the stacks' configs anew
	@.venv/bin/python scripts/schema.py

docs: setup ## Build the documentation's site into build/docs
	@scripts/docs

lock: setup ## Resolve the dependencies anew into requirements.lock
	@scripts/lock

clean: ## Remove what `down` keeps, and the virtual environment
	@scripts/clean
