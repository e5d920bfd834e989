# Two commands do everything: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3.11
BIN := .venv/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export DO_NOT_TRACK := 1
export YOLO_OFFLINE := 1
export YOLO_AUTOINSTALL := false

.PHONY: demo test check sample repro dev bench realism docs clean

.venv/made: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,heic]'
	touch $@

demo: .venv/made sample  ## the main job on the embedded sample
	$(BIN)/python -m orchestration.materialize all --source sample
	@echo
	@echo "Pictures:  data/masked_faces/sample  data/aligned_crops/sample   (manifest.parquet and logs.csv beside them)"
	@echo "The UI:    make dev   then open http://localhost:3000 and look at the lineage and the contact sheets"

sample: .venv/made  ## data/raw/sample from public-domain portraits
	$(BIN)/maskline sample data/raw/sample

repro: .venv/made  ## everything under data/raw, by DVC: it calls the `python` that it finds in PATH
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

test: .venv/made  ## every test
	$(BIN)/python -m pytest

check: .venv/made  ## style, types and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" tests/unit

dev: .venv/made  ## Dagster's UI with its daemon
	$(BIN)/python -m orchestration.home
	$(BIN)/dg dev -w workspace.yaml

bench: .venv/made  ## time, memory and faces found, over real pictures in PICTURES=folder
	$(BIN)/python -m benchmarks.main_job $(PICTURES)

realism: .venv/made  ## how real drawn masks are, against the real ones in DATA=folder; 15 minutes
	$(BIN)/python -m benchmarks.sharpness $(DATA)
	$(BIN)/python -m benchmarks.synthetic_to_real $(DATA)

docs: .venv/made  ## the pictures of docs/masks.md
	$(BIN)/maskline garments data/catalogue --garments garments
	cp data/catalogue/catalogue_*.jpg docs/pictures/

clean:  ## everything made, but not the environment
	rm -rf data .dagster tests/output
