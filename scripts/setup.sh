#!/bin/sh
# Makes .venv with everything that running, testing and measuring need. Quick when nothing changed.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.set-up
wanted=$(cat pyproject.toml uv.lock | cksum)
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c "" 2>/dev/null; then
    exit 0
fi

# Without a home the caches of uv and pip would land in odd places or fail.
if [ -z "${HOME:-}" ] || [ ! -w "${HOME:-/nonexistent}" ]; then
    UV_CACHE_DIR=$PWD/build/cache/uv
    PIP_CACHE_DIR=$PWD/build/cache/pip
    export UV_CACHE_DIR PIP_CACHE_DIR
fi

find_python() {
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        # A name on PATH may be a shim of a version manager that is not set to that version.
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

with_pip() {
    if ! python=$(find_python); then
        echo "set-up: no Python 3.11 or newer on PATH. Install one from python.org or your system's packages," >&2
        echo "or install uv (https://docs.astral.sh/uv/), which brings its own, and run this again." >&2
        exit 1
    fi
    rm -rf .venv
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        echo "set-up: $python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv;" >&2
        echo "or install uv (https://docs.astral.sh/uv/), and run this again." >&2
        exit 1
    fi
    # 25.1 is the first pip that knows dependency groups.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
    .venv/bin/python scripts/constraints.py >.venv/constraints.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint .venv/constraints.txt --group dev --editable .
}

echo "set-up: making .venv (the first time takes a minute or two)" >&2
# uv trusts a list of its own; the system's also has what a company's proxy needs, and it is what pip uses.
if command -v uv >/dev/null 2>&1; then
    UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} UV_PROJECT_ENVIRONMENT=.venv uv sync --locked --quiet || {
        echo "set-up: uv sync failed (see above); trying with pip" >&2
        with_pip
    }
else
    with_pip
fi
echo "$wanted" >"$stamp"
