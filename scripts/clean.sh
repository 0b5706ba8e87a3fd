#!/bin/sh
# Removes what set-up, builds and tools left behind; nothing that git knows.
set -eu
cd "$(dirname "$0")/.."
rm -rf .venv build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis
find . -name __pycache__ -type d -prune -exec rm -rf {} +
