#!/bin/sh
# Everything, from nothing: system packages, environment, Node tools, then every check with one closing line.
set -eu
cd "$(dirname "$0")/.."
sh scripts/system_packages.sh
sh scripts/setup.sh
.venv/bin/python scripts/node_tools.py || [ -z "${VOICEMODE_REQUIRE_CONFORMANCE:-}" ]
exec .venv/bin/python scripts/check.py
