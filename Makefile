# Every target sets up its environment by itself; `make PYTHON=python3.12 ...` picks the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch is installed first and by its exact version: a range may pull another build of several gigabytes.
TORCH := $(shell grep '^torch==' constraints.txt)
DEMO ?= demo
# Anything with a face or a voice: make demo CLIP=me.mp4. The default is a photograph that matplotlib brings along.
CLIP ?= $(shell $(BIN)/python -c "import matplotlib.cbook as c; print(c.get_sample_data('grace_hopper.jpg', asfileobj=False))" 2>/dev/null)
TRANSCRIPT ?= It is a great day, I am so happy to be here.
# A generated dialogue; the person on the right speaks from 14.4 s to 16.9 s.
DEMO_VIDEO := $(DEMO)/raw/IEMOCAP_full_release/Session5/dialog/avi/DivX/Ses05F_impro01.avi

.PHONY: demo demo-train test test-lowest lint type bench dist clean

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# What the model that comes with the package answers on a real person, in seconds.
demo: $(BIN)/.installed
	mkdir -p $(DEMO)
	$(BIN)/mme2e predict '$(CLIP)' --transcript '$(TRANSCRIPT)' --out $(DEMO)/answer.json --picture $(DEMO)/answer.png

# Raw video, audio and text -> trained MESM, its scores with and without each modality, prediction and a picture of
# where the model looked. Resumes when interrupted.
demo-train: $(DEMO)/runs/mesm/config.yaml
	$(BIN)/mme2e evaluate $(<D) --data $(DEMO)/corpus --subsets
	$(BIN)/mme2e predict $(DEMO_VIDEO) --run $(DEMO)/runs/mesm --start-s 14.4 --end-s 16.9 --region 428,128,224,224 \
		--audio-channel 1 --transcript 'I hate this, the report made us furious last week.' \
		--out $(DEMO)/prediction.json --picture $(DEMO)/picture.png

$(DEMO)/raw: | $(BIN)/.installed
	$(BIN)/mme2e sample $@ --layout iemocap --utterances 1200

$(DEMO)/corpus/corpus.json: | $(DEMO)/raw
	$(BIN)/mme2e prepare iemocap $(DEMO)/raw $(@D) --jobs 2

$(DEMO)/runs/mesm/config.yaml: | $(DEMO)/corpus/corpus.json
	$(BIN)/mme2e train --config configs/demo.yaml --data $(DEMO)/corpus --out $(@D) --anneal-epochs 8 \
		$(if $(wildcard $(@D)),--resume)

test: $(BIN)/.installed lint type ## lint, types and the whole test suite
	$(BIN)/pytest

lint: $(BIN)/.installed ## style, and the walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

type: $(BIN)/.installed
	$(BIN)/mypy

LOWEST := .venv-lowest
# The lower bounds of pyproject.toml are true: with them every module can be imported and a model trained.
test-lowest: ## an environment of the lowest versions that pyproject.toml allows
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet $(TORCH)
	$(PYTHON) .ci/lowest_bounds.py > $(LOWEST)/bounds.txt
	$(LOWEST)/bin/pip install --quiet --constraint $(LOWEST)/bounds.txt --editable .
	$(LOWEST)/bin/python .ci/import_every_module.py
	$(LOWEST)/bin/mme2e sample $(LOWEST)/raw --layout iemocap --utterances 12
	$(LOWEST)/bin/mme2e prepare iemocap $(LOWEST)/raw $(LOWEST)/corpus
	$(LOWEST)/bin/mme2e train --config configs/demo.yaml --data $(LOWEST)/corpus --out $(LOWEST)/run --epochs 1

dist: $(BIN)/.installed ## wheel and source distribution, in dist/
	rm -rf dist
	$(BIN)/python -m build --outdir dist

# Those that want data or trained runs as arguments are left out.
WITH_ARGUMENTS := $(patsubst %,benchmarks/%.py,attention before_after evidence fine_tuning importance_kept left_out open_data people \
	predict real_attention timeline voice_activity words_in_towers)
bench: $(BIN)/.installed ## every benchmark that needs no data; results land in benchmarks/results, some ten minutes
	for benchmark in $(filter-out $(WITH_ARGUMENTS),$(wildcard benchmarks/*.py)); do $(BIN)/python $$benchmark || exit 1; done

clean:
	rm -rf $(VENV) $(LOWEST) $(DEMO) dist
