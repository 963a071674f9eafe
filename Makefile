# Everything runs in .venv, which is made from the hashed requirements and only made again when they change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

AGENT ?= config/agents/local-sklearn.yaml
DATA ?= data/labeled_news.jsonl
PROVIDER ?= openai
MODEL ?= databricks-gpt-oss-20b
PORT ?= 5001
APP_PORT ?= 8000
UI_PORT ?= 5000
DOCKER_PORT ?= 8000
COMPOSE ?= docker compose -f serving/docker/compose.yaml
MLFLOW_PORT ?= 5000
LAB ?=
TO ?=
DRY ?=
CASES ?= 100
# uv trusts what pip trusts, also behind a proxy that reads TLS.
export UV_SYSTEM_CERTS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup install train evaluate-and-register run-external run-internal run-both run-all doctor \
	test-connection list-models evaluate-all compare decide audit redteam serve serve-app serve-databricks docker docker-check \
	docker-mlflow stack stack-app stack-down compose-check bundle-check \
	promote rollback status history verify ui notebook test browser-check lint format bench bench-evaluation bench-providers \
	bench-predictions bench-registry bench-serve bench-statistics litellm schemathesis lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-24s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with everything pinned (also: install)
install: setup

$(STAMP): requirements-dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=...") if sys.version_info < (3, 11) else None'
	@echo "Making $(VENV); this takes a few minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

train: $(STAMP) ## Train the local model on data/training_news.jsonl
	$(BIN)/news-classifier train

evaluate-and-register: $(STAMP) ## Train if local, evaluate, gate, register (AGENT=, DATA=)
	$(BIN)/news-classifier run --agent $(AGENT) --data $(DATA)

run-external: $(STAMP) ## The same with an external LLM (PROVIDER=openai|anthropic, DATA=)
	$(BIN)/news-classifier run --track external --provider $(PROVIDER) --data $(DATA)

run-internal: $(STAMP) ## The same with a model inside Databricks (MODEL=, DATA=)
	$(BIN)/news-classifier run --track internal --model $(MODEL) --data $(DATA)

run-both: $(STAMP) ## The external and the internal default, one after the other
	$(BIN)/news-classifier run --track both --data $(DATA)

run-all: $(STAMP) ## Every candidate whose key is there; one table at the end
	$(BIN)/news-classifier run --track all --data $(DATA)

doctor: $(STAMP) ## Keys, endpoints, models, prices, stores: what is ready (also: test-connection)
	$(BIN)/news-classifier doctor
test-connection: doctor

list-models: $(STAMP) ## The models that the endpoints offer
	$(BIN)/news-classifier models

evaluate-all: $(STAMP) ## Evaluate every candidate whose key is there, one report, one decision; registers nothing
	$(BIN)/news-classifier eval all --data $(DATA)

compare: $(STAMP) ## Runs side by side; the newest of each candidate (RUNS=)
	$(BIN)/news-classifier eval compare $(RUNS)

redteam: $(STAMP) ## How often an attack in an article changes its label (AGENT=)
	$(BIN)/news-classifier eval redteam --agent $(AGENT)

decide: $(STAMP) ## Which candidate goes to production, by config/decision.yaml
	$(BIN)/news-classifier eval decide

audit: $(STAMP) ## Gold labels to look at again, as label_audit.csv
	$(BIN)/news-classifier eval audit

serve: $(STAMP) ## Serve the champion with mlflow models serve (PORT=5001)
	$(BIN)/news-classifier serve local --port $(PORT)

serve-app: $(STAMP) ## Serve the champion in production's way, on 127.0.0.1 (APP_PORT=8000)
	$(BIN)/news-classifier serve app --port $(APP_PORT)

serve-databricks: $(STAMP) ## The champion on Databricks Model Serving (DRY=--dry-run shows the requests)
	$(BIN)/news-classifier serve databricks $(DRY)

docker: $(STAMP) ## The champion in a container image, run on 127.0.0.1 (DOCKER_PORT=8000)
	$(BIN)/news-classifier serve docker --port $(DOCKER_PORT)

browser-check: $(STAMP) ## Open the report in Chromium, which has to be installed
	$(BIN)/python -m pytest -m browser

docker-check: $(STAMP) ## Test the image with the Docker engine; takes packages from the network
	$(BIN)/python -m pytest -m docker

docker-mlflow: $(STAMP) ## The champion in MLflow's own image, asked once; takes minutes and 1.2 GB
	$(BIN)/python tests/mlflow_image.py

stack: compose-check $(STAMP) ## MLflow on PostgreSQL and an S3 store, in containers on this machine (MLFLOW_PORT=5000)
	$(BIN)/python -m serving.docker.stack
	MLFLOW_PORT=$(MLFLOW_PORT) $(COMPOSE) up --build --detach

stack-app: compose-check $(STAMP) ## The champion of that MLflow in its own container, and Prometheus
	MLFLOW_TRACKING_URI=http://127.0.0.1:$(MLFLOW_PORT) $(BIN)/news-classifier serve docker --build --tag news-classifier:champion
	$(COMPOSE) --profile app up --detach

stack-down: compose-check ## Stop all of it; what the stores hold stays
	$(COMPOSE) --profile app down

# Asked before anything is made. Compose 1 has no 'ls', which asks the engine.
compose-check:
	@{ $(COMPOSE) version && $(COMPOSE) ls --help; } >/dev/null 2>&1 || { echo "Error: Docker Compose 2 is needed: 'docker compose version' has to answer. Install Docker with its Compose plugin." >&2; exit 2; }
	@said=$$($(COMPOSE) ls --quiet 2>&1) || { echo "Error: No Docker engine answers. Start one, or set DOCKER_HOST. ($$said)" >&2; exit 2; }

bundle-check: $(STAMP) ## Check databricks.yml with databricks-bundles, in an environment of its own
	$(BIN)/uv run --no-project --isolated --python $(BIN)/python --with 'databricks-bundles>=1.22,<2' --with pyyaml python tests/bundle_check.py

promote: $(STAMP) ## Challenger and champion side by side, then your yes or no
	$(BIN)/news-classifier registry promote

rollback: $(STAMP) ## The champion before this one (TO= for any earlier one)
	$(BIN)/news-classifier registry rollback $(if $(TO),--to $(TO))

status: $(STAMP) ## Show versions, aliases and figures
	$(BIN)/news-classifier registry status

history: $(STAMP) ## Who decided what, when, why, on which evidence
	$(BIN)/news-classifier registry history

verify: $(STAMP) ## Whether aliases, tags, evidence and history agree
	$(BIN)/news-classifier registry verify

ui: $(STAMP) ## Open MLflow's pages on the store (UI_PORT=5000)
	$(BIN)/mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" --port $(UI_PORT)

notebook: export JUPYTER_PATH := $(CURDIR)/$(VENV)/lab/share/jupyter
notebook: $(STAMP) ## Open the notebooks in JupyterLab, in an environment of its own (LAB=--no-browser)
	$(BIN)/python -m ipykernel install --prefix $(VENV)/lab >/dev/null
	$(BIN)/uvx --python $(BIN)/python --from 'jupyterlab>=4,<5' jupyter-lab $(LAB) notebooks

test: $(STAMP) ## Run the tests; needs no key and no network
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(STAMP) ## ruff, mypy strict, import-linter, and the repository's own rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/repository_rules.py

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Measure speed (ratios in one run, one core)
	$(BIN)/python bench/speed.py

bench-evaluation: $(STAMP) ## Measure an evaluation's time and memory, kill it, and check budget and growth
	$(BIN)/python bench/evaluation.py

bench-providers: $(STAMP) ## Measure the LLM track beside the official SDK, on a service of its own
	$(BIN)/python bench/providers.py

bench-predictions: $(STAMP) ## Measure what the prediction log costs, and what a kill loses
	$(BIN)/python bench/prediction_log.py

bench-registry: $(STAMP) ## Race 100 promoters on SQLite and PostgreSQL, 500 versions, a rollback
	$(BIN)/python bench/promotions.py

bench-serve: $(STAMP) ## Measure the server beside a bare proxy and the model in-process; ten minutes of chaos
	@test -d models/local-sklearn || $(BIN)/news-classifier train
	$(BIN)/python bench/production_server.py

bench-statistics: $(STAMP) ## Measure how often a comparison is wrong, and how often it finds what is there
	$(BIN)/python bench/error_rates.py

litellm: $(STAMP) ## Prove both LLM wires against LiteLLM's proxy, in an environment of its own
	$(BIN)/python tests/litellm_proof.py

schemathesis: $(STAMP) ## Try the server by its own description, with schemathesis in an environment of its own (CASES=100)
	$(BIN)/python tests/schemathesis_proof.py $(CASES)

lock: $(STAMP) ## Pin the requirements again from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements.txt pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet -c requirements.txt -o serving/docker/requirements.txt serving/docker/requirements.in
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet -o serving/docker/mlflow/requirements.txt serving/docker/mlflow/requirements.in

clean: ## Remove the environment, caches and build files; keeps mlflow.db, mlruns and models
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
