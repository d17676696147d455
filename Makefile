#  make lab        opens JupyterLab on the first notebook      (PORT=8888; LAB=--no-browser hands it more options)
#  make demo       the same main job without a browser: table, run folder, HTML explorer
#  make test       every test, headless Chromium included
#
#  make serve      the workbench as an app, without JupyterLab
#  make fast       the quick tests;  make check: linters and types;  make notebooks, make browser: those tests alone
#  make prove      full counts and all real-data checks, into benchmarks/results;  make binder: Binder's memory
#  make docs       the documentation site, into out/site/html: runs the tutorials without real data, checks every link offline
#  make front-end  builds the views anew;  make clean: removes all that make has made
#
# Set-up goes into .venv here, by itself, and is done once: a stamp per step, redone only when what it depends on changes.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
VIEWS  := $(shell find widgets/src widgets/schema -type f 2>/dev/null) $(wildcard widgets/*.mjs widgets/*.json)
PORT   ?= 8888
# more options of JupyterLab, e.g. make lab LAB=--no-browser; it refuses to run as root (in a container) unless told to
LAB    ?=
ROOT   := $(if $(filter 0,$(shell id -u)),--allow-root)
# pip would write and delete through this link, into the sources: it goes before every install and comes back after
LINK   := $(VENV)/share/jupyter/labextensions/astrofuse-lab

export PIP_NO_INPUT := 1

.PHONY: help lab demo test prove check fast notebooks browser docs front-end binder clean serve

help:
	@sed -n '1,/^$$/s/^#[ ]\{0,2\}//p' Makefile

lab: $(STAMPS)/front-end
	$(BIN)/jupyter lab --port $(PORT) --LabApp.default_url=/lab/tree/notebooks/01_first_fusion.ipynb $(ROOT) $(LAB)

demo: $(STAMPS)/package
	$(BIN)/astrofuse demo

serve: $(STAMPS)/front-end
	$(BIN)/panel serve astrofuse_lab/widgets/app.py --show

# ---- set-up -------------------------------------------------------------------------------------------------------

$(STAMPS)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Say which one to use: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3 cannot make a virtual environment. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/torch: $(STAMPS)/python constraints.txt
	@echo "setting up in $(VENV): about 1 GB to download, a few minutes, once"
	@echo "installing torch ..."
	@.ci/install-torch $(BIN)/python constraints.txt
	@touch $@

$(STAMPS)/package: $(STAMPS)/torch pyproject.toml $(STAMPS)/built
	@echo "installing AstroFuse Lab and JupyterLab ..."
	@$(PIP) hatchling jupyter-builder hatch-jupyter-builder editables
	@rm -rf $(LINK)
	@$(PIP) --no-build-isolation -e '.[lab]'
	@$(BIN)/python .ci/check-no-cuda.py
	@touch $@

# the views and the lab extension; Node from the PATH, else from the PyPI package that carries it
$(STAMPS)/built: $(VIEWS) $(STAMPS)/python constraints.txt
	@echo "building the front end ..."
	@$(PIP) jupyter-builder
	@.ci/build-front-end $(BIN)
	@touch $@

$(STAMPS)/front-end: $(STAMPS)/package
	@.ci/link-extension $(BIN)
	@touch $@

front-end: $(STAMPS)/built
	@.ci/link-extension $(BIN)

$(STAMPS)/test-tools: $(STAMPS)/front-end
	@echo "installing the test tools ..."
	@rm -rf $(LINK)
	@$(PIP) --no-build-isolation -e '.[lab,test,docs]'
	@.ci/link-extension $(BIN)
	@touch $@

$(STAMPS)/chromium: $(STAMPS)/test-tools
	@.ci/install-chromium $(BIN)
	@touch $@

# a real Virtual Observatory server for tests/archive: on Debian as root, else those tests are skipped by name
$(STAMPS)/dachs: .ci/install-dachs | $(STAMPS)/python
	@.ci/install-dachs
	@touch $@

# ---- checks -------------------------------------------------------------------------------------------------------

# with the real data, where they are, and in a cache of its own: the notebooks' kernels are not to meet what is labelled in the user's
TESTED := .ci/with-mirror .ci/in-own-cache $(BIN)/python

# the system's packages come while pip's do
test: $(STAMPS)/python
	@$(MAKE) --no-print-directory $(STAMPS)/dachs & waits=$$!; $(MAKE) --no-print-directory $(STAMPS)/chromium && wait $$waits
	$(MAKE) --no-print-directory check
	@# notebook 01 is run in JupyterLab by the browser tests; three processes, since much of this waits for children; the second part is run whatever the first one finds
	@status=0; export OMP_NUM_THREADS=1; \
	$(TESTED) -m pytest -n 3 --dist loadfile --no-loadscope-reorder --nbmake --nbmake-timeout=900 --ignore=notebooks/01_first_fusion.ipynb -m "not remote and not browser" notebooks tests || status=$$?; \
	$(TESTED) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "browser and not remote" tests || status=$$?; \
	exit $$status

check: $(STAMPS)/test-tools
	$(BIN)/ruff check astrofuse_lab tests benchmarks
	$(BIN)/mypy
	cd widgets && PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent check

fast: $(STAMPS)/test-tools
	$(TESTED) -m pytest -m "not remote and not slow and not browser" tests

notebooks: $(STAMPS)/test-tools
	$(TESTED) -m pytest --nbmake --nbmake-timeout=600 notebooks

browser: $(STAMPS)/chromium
	$(TESTED) -m pytest -m browser tests

prove: $(STAMPS)/chromium $(STAMPS)/dachs
	.ci/with-mirror $(BIN)/python benchmarks/prove.py

docs: $(STAMPS)/test-tools
	$(BIN)/python docs/build.py

binder:
	.ci/with-mirror $(PYTHON) .ci/check-binder.py

clean:
	rm -rf $(VENV) astrofuse_lab/static astrofuse_lab/labextension widgets/node_modules widgets/lib test-results
