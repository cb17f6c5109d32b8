# cof-eval: every target sets the environment up by itself (a no-op once done).
PYTHON ?= python3
BIN := .venv/bin

# MODEL=… BASELINE=… DATA=vstar=FOLDER JUDGE_URL=… TASKS=cof_vstar RESOLUTIONS=all LIMIT=… OUT=… RUN=… ENGINE_ARGS='{…}'
BASELINE ?= $(MODEL)
TASKS ?= cof_vstar
RESOLUTIONS ?= all
ENGINE ?= vllm
ENGINE_ARGS ?= {}
PROTOCOL ?= cof
OUT ?= results/runs/$(notdir $(patsubst %/,%,$(MODEL)))
DEMO ?= results/runs/demo
PEER_VECTORS ?= ../shared/data/peer_vectors
DEMO_QUESTIONS ?= 40
REFERENCE = results/reference/demo

COMMON = --engine $(ENGINE) --engine-args '$(ENGINE_ARGS)' --benchmarks $(subst cof_,,$(TASKS)) --resolutions $(RESOLUTIONS) \
	$(if $(DATA),--data $(DATA)) $(if $(JUDGE_URL),--judge-url $(JUDGE_URL)) $(if $(BASE_URL),--base-url $(BASE_URL)) \
	$(if $(LIMIT),--limit $(LIMIT))

# A tiny model on shared CPU cores: one thread (more would wait for each other), little cache, nothing compiled.
ONE_THREAD = HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
TINY = $(ONE_THREAD) TORCHDYNAMO_DISABLE=1 VLLM_CPU_KVCACHE_SPACE=1
TINY_ARGS = {"dtype": "float32", "enforce_eager": true, "max_num_seqs": 16}
MINI_NOTE = a model of 1.6 million parameters in a synthetic world: says nothing about photographs

# cof-mini (docs/mini.md): the shipped checkpoints, or those that reproduce-mini has trained.
MINI ?= results/runs/mini
MINI_BASE ?= results/reference/mini/base
MINI_SFT ?= results/reference/mini/sft
MINI_RL ?= results/reference/mini/rl
# (this run's name, checkpoint, protocol, its settings): a run that leaves an answer undecided has a report, and is no reason to stop
measured = $(TINY) $(BIN)/cof-eval run --model $(2) --protocol $(3) --protocol-args '$(4)' --benchmarks vstar_mini \
	--resolutions 224,448,672,native --data vstar_mini=$(MINI)/questions --engine-args '$(TINY_ARGS)' --note '$(MINI_NOTE)' \
	--out $(MINI)/$(1) || test -e $(MINI)/$(1)/report/report.md

.PHONY: help peers setup demo test test-fast test-setup sweep eval report reference reference-report judge-server sft grpo bench lint docs need-model need-run need-recipe
.PHONY: measure-mini reproduce-mini
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  \1\t/' | expand -t 12

setup:  ## [PROFILE=gpu|cpu|light] [PYTHON=python3.12]: build .venv, pinned and checked; kept by later targets (docs/install.md)
	@$(PYTHON) scripts/setup.py $(if $(filter file,$(origin PYTHON)),,--this-python)

demo: setup  ## the main job end to end: three shipped checkpoints of a small model on fresh synthetic scenes; no GPU, no download
	@$(BIN)/cof-eval demo --questions $(DEMO_QUESTIONS) --out $(DEMO)

# Byte code is kept between processes, whatever the environment says: the tests start hundreds of them.
# One thread a worker: more would compete for the cores.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --no-loadscope-reorder

test: setup  ## all tests, two at a time
	@$(PYTEST)

test-fast: setup  ## the quick tests, about a minute: all that are not marked slow or engine (tests/README.md)
	@$(PYTEST) --fast

test-setup: setup  ## [FULL=1]: do the pins resolve on every Python, and does set-up work on this network (docs/install.md)
	@$(if $(FULL),COF_TEST_SETUP_FULL=1 )$(BIN)/pytest -m network -rs tests/test_setup_network.py

# A run that ends without a report could not go on; one that is only partly scored has one, and is no reason to stop.
# NEED=2: two direct samples of each question, the second with its options rotated, show what of gain and harm is noise.
sweep: need-model setup  ## MODEL=… [BASELINE=…] [NEED=2]: the model under cof and its baseline under direct, eight resolutions
	@rm -f $(OUT)/cof/report/report.md $(OUT)/direct/report/report.md
	$(BIN)/cof-eval run --model $(MODEL) --protocol cof $(COMMON) --out $(OUT)/cof || test -e $(OUT)/cof/report/report.md
	$(BIN)/cof-eval run --model $(BASELINE) --protocol direct $(if $(NEED),--option-order rotated:$(NEED)) $(COMMON) --out $(OUT)/direct || test -e $(OUT)/direct/report/report.md
	$(BIN)/cof-eval report $(OUT)/cof $(OUT)/direct --out $(OUT)/report

eval: need-model setup  ## MODEL=… [PROTOCOL=…]: one model under one protocol
	$(BIN)/cof-eval run --model $(MODEL) --protocol $(PROTOCOL) $(COMMON) --out $(OUT)/$(PROTOCOL)

peers: setup  ## [PEER_VECTORS=FOLDER]: protocols against what the peers' own code did; writes the table of docs/protocols.md
	$(BIN)/python -m cof_eval.cli.peers $(PEER_VECTORS) docs/protocols.md

report: need-run setup  ## RUN="FOLDER …": tables and plots again
	$(BIN)/cof-eval report $(RUN)

# The demo's runs, without their images, and the report on them: what the README and docs/report.md show.
reference: demo  ## results/reference/demo again: the demo's runs and their report
	@rm -rf $(REFERENCE)
	@mkdir -p $(addprefix $(REFERENCE)/,sft base rl)
	@for run in sft base rl; do cp $(DEMO)/$$run/run.yaml $(DEMO)/$$run/*.jsonl $(REFERENCE)/$$run/; done
	@$(MAKE) reference-report

reference-report: setup  ## results/reference/demo/report again, from the stored runs
	@rm -rf $(REFERENCE)/report
	@$(BIN)/cof-eval report $(addprefix $(REFERENCE)/,sft base rl) --out $(REFERENCE)/report || test -e $(REFERENCE)/report/report.md
	@rm -rf $(REFERENCE)/report/*.svg $(REFERENCE)/report/*.parquet $(REFERENCE)/report/index.html $(REFERENCE)/report/viewer

sft: need-recipe setup  ## RECIPE=… [SET="key=value …"]: supervised fine-tuning by a recipe (docs/training.md)
	@case "$(RECIPE)" in *_tiny) $(BIN)/python -m training.tiny;; esac
	$(if $(filter %_tiny,$(RECIPE)),$(ONE_THREAD) )$(BIN)/python -m training.sft $(RECIPE) $(SET)

grpo: need-recipe setup  ## RECIPE=… [SET="key=value …"]: reinforcement learning by a recipe (docs/training.md)
	@case "$(RECIPE)" in *_tiny) $(BIN)/python -m training.tiny;; esac
	$(if $(filter %_tiny,$(RECIPE)),$(ONE_THREAD) )$(BIN)/python -m training.grpo $(RECIPE) $(SET)

judge-server: setup  ## [JUDGE=equivalence] [JUDGE_MODEL=…]: serve a card's model with vLLM on port 51232
	@$(BIN)/python -m cof_eval.cli.judge_server --card $(or $(JUDGE),equivalence) $(if $(JUDGE_MODEL),--model $(JUDGE_MODEL))

measure-mini: setup  ## the small model against its gates, on 200 questions of a fresh seed (docs/mini.md)
	@$(BIN)/python -m cof_eval.cli.scenes $(MINI)/questions --count 200 --seed gates
	@$(call measured,base,$(MINI_BASE),direct,{})
	@$(call measured,sft,$(MINI_SFT),cof_mini,{})
	@$(call measured,sft_shown,$(MINI_SFT),cof_mini,{"crop_source": "shown"})
	@$(call measured,sft_blank,$(MINI_SFT),cof_mini,{"crops": "blank"})
	@$(call measured,sft_random,$(MINI_SFT),cof_mini,{"crops": "random"})
	@$(call measured,rl,$(MINI_RL),cof_mini,{})
	@$(BIN)/cof-eval report $(addprefix $(MINI)/,base sft rl) --out $(MINI)/report || test -e $(MINI)/report/report.md
	@$(BIN)/python -m training.mini.gates $(MINI)

reproduce-mini: setup  ## train the small model again, all three stages from their seeds, and measure it
	OMP_NUM_THREADS=1 $(BIN)/python -m training.mini results/training/mini
	OMP_NUM_THREADS=1 $(BIN)/python -m training.mini.searcher results/training/mini/conversations
	OMP_NUM_THREADS=1 $(BIN)/python -m training.sft mini_sft
	$(BIN)/python -m training.mini.ship results/training/mini_sft results/training/mini/sft
	$(BIN)/python -m cof_eval.cli.scenes results/training/mini/questions --count 600 --seed train/rollouts
	OMP_NUM_THREADS=1 $(BIN)/python -m training.grpo mini_grpo
	$(BIN)/python -m training.mini.ship results/training/mini_grpo results/training/mini/rl
	@$(MAKE) measure-mini MINI=results/runs/mini-reproduced MINI_BASE=results/training/mini/base \
		MINI_SFT=results/training/mini/sft MINI_RL=results/training/mini/rl

bench: setup  ## speed and memory, as ratios within one run (docs/performance.md)
	@$(BIN)/python -m bench

lint: setup  ## ruff, mypy --strict, and import-linter: no import against the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

# Without --quiet, which would hide the warnings from --strict.
docs: setup  ## build the documentation into site/, strictly: a broken link or anchor fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

need-model:
	@test -n "$(MODEL)" || { echo "make: MODEL is missing; for instance: make $(or $(filter sweep eval,$(MAKECMDGOALS)),sweep) MODEL=xintongzhang/CoF-rl-model-7b"; exit 2; }

need-run:
	@test -n "$(RUN)" || { echo "make: RUN is missing; for instance: make report RUN=$(DEMO)/sft"; exit 2; }

need-recipe:
	@test -n "$(RECIPE)" || { echo "make: RECIPE is missing; for instance: make $(or $(filter sft grpo,$(MAKECMDGOALS)),sft) RECIPE=sft_tiny"; exit 2; }
