# What make can do here; each target calls one file in scripts/.
.PHONY: setup run test check live bench format lint types clean
PYTHON := .venv/bin/python

setup:  ; @sh scripts/setup.sh
run:    setup ; @$(PYTHON) scripts/run.py
test:   ; @sh scripts/test.sh
check:  ; @$(PYTHON) scripts/check.py
live:   ; @$(PYTHON) scripts/check.py live
bench:  setup ; @sh scripts/system_packages.sh ffmpeg gcc libc6-dev libasound2-dev && $(PYTHON) -m scripts.bench --json docs/bench.json && $(PYTHON) -m scripts.bench_page
format: ; @$(PYTHON) scripts/check.py format
lint:   ; @$(PYTHON) scripts/check.py lint
types:  ; @$(PYTHON) scripts/check.py types
clean:  ; @sh scripts/clean.sh
