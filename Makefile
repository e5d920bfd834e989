# Two commands do everything: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3.11
BIN := .venv/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export DO_NOT_TRACK := 1
export YOLO_OFFLINE := 1
export YOLO_AUTOINSTALL := false

.PHONY: demo test check sample repro record adopt dev bench bench-detector realism docs clean faults site sbom audit fuzz

.venv/made: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,heic]'
	touch $@

# Trainings that are over in a minute; what they make means nothing, and is never put to use.
TOY := mask_detector.epochs=2 mask_detector.image_size=160 \
	mask_segmenter.epochs=2 mask_segmenter.size=64 mask_segmenter.widths=[8,16,24] \
	face_completer.epochs=2 face_completer.size=64 face_completer.widths=[8,16,24] face_completer.adversary=8 \
	face_completer.perceptual=yolo11n_pose

demo: .venv/made sample  ## everything on the embedded sample; trainings are cut down to a minute
	$(BIN)/python -m orchestration.materialize all --source sample $(TOY:%=--set %)
	@echo
	@echo "The networks were trained for a minute on 16 pictures: their figures mean nothing. Masks are detected, and faces"
	@echo "unmasked, with the networks that ship with Maskline."
	@echo "Pictures:  data/masked_faces/sample  data/aligned_crops/sample  data/mask_detections/sample  data/unmasked_faces/sample"
	@echo "           data/digital_masks/sample   (manifests beside them)"
	@echo "The UI:    make dev   then open http://localhost:3000 and look at the lineage and the contact sheets"

sample: .venv/made  ## data/raw/sample from public-domain portraits
	$(BIN)/maskline sample data/raw/sample

repro: .venv/made  ## everything under data/raw, by DVC: it calls the `python` that it finds in PATH
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

test: .venv/made  ## every test; JOBS=2 processes, a file in each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(or $(JOBS),2) --dist loadfile --no-loadscope-reorder

check: .venv/made  ## style, types and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" tests/unit

record: .venv/made  ## what Dagster's runs made goes into DVC's cache and dvc.lock
	$(BIN)/python -m orchestration.versions record

adopt: .venv/made  ## Dagster is told what `git checkout` and `dvc checkout` have put on disk
	$(BIN)/python -m orchestration.versions adopt

fuzz: .venv/made  ## readers of what comes from elsewhere, tried with hostile files; FUZZ_S=600 seconds
	end=$$(($$(date +%s) + $(or $(FUZZ_S),600))); while [ $$(date +%s) -lt $$end ]; do \
		$(BIN)/python -m pytest tests/security/test_fuzz.py -x --hypothesis-profile=fuzz \
			--hypothesis-seed=$$(date +%s) || exit 1; done

dev: .venv/made  ## Dagster's UI with its daemon
	$(BIN)/python -m orchestration.home
	$(BIN)/dg dev -w workspace.yaml

bench: .venv/made  ## time, memory and faces found, over real pictures in PICTURES=folder
	$(BIN)/python -m benchmarks.main_job $(PICTURES)

bench-detector: .venv/made  ## the shipped detector's speed over real pictures in PICTURES=folder; WEIGHTS=its .pt
	$(BIN)/python -m benchmarks.detector_speed $(PICTURES) $(WEIGHTS:%=--weights %)

faults: .venv/made  ## KILLS=60 processes killed over all assets, and every time the same files; SEED=0 draws the moments
	$(BIN)/python -m tests.faults.kills --kills $(or $(KILLS),60) --seed $(or $(SEED),0)

realism: .venv/made  ## how real drawn masks are, against the real ones in DATA=folder; 15 minutes
	$(BIN)/python -m benchmarks.sharpness $(DATA)
	$(BIN)/python -m benchmarks.synthetic_to_real $(DATA)

docs: .venv/made  ## the pictures of docs/masks.md
	$(BIN)/maskline garments data/catalogue --garments garments
	cp data/catalogue/catalogue_*.jpg docs/pictures/

site: .venv/made  ## the documentation, site/index.html; its search works where it is served: python -m http.server -d site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

sbom: .venv/made  ## what the environment is made of, as CycloneDX: sbom.json
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --no-validate \
		--output-file sbom.json $(BIN)/python

audit: .venv/made  ## known vulnerabilities of the pinned versions; it needs the network
	test -x .audit/bin/pip-audit || ($(PYTHON) -m venv .audit && .audit/bin/python -m pip install --quiet pip-audit)
	@.audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --progress-spinner off --timeout 10 \
		> .audit/told 2>&1; code=$$?; cat .audit/told; \
		if grep -qE "could not be audited|ConnectionError|Max retries|timed out" .audit/told; then \
			echo "NOT CHECKED, all or in part: what knows vulnerabilities can't be reached from here" >&2; exit 1; fi; \
		exit $$code

clean:  ## everything made, but not the environment
	rm -rf data .dagster tests/output site sbom.json .audit
