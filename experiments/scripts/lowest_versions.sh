#!/bin/sh
# Do the lower bounds in pyproject.toml hold? Resolves every direct dependency at its lowest version, installs that
# and runs a short smoke test. Gigabytes are installed; with --resolve the versions are listed only.
#
# Usage: experiments/scripts/lowest_versions.sh [--resolve]    (PYTHON: the oldest Python that is supported)
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3.11}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet uv
"$work/tools/bin/uv" pip compile --quiet --resolution lowest-direct --python "$python" pyproject.toml \
    --output-file "$work/lowest.txt" > /dev/null
grep -v '^ *#' "$work/lowest.txt"
[ "${1:-}" = "--resolve" ] && exit 0

"$python" -m venv "$work/lowest"
"$work/lowest/bin/pip" install --quiet --requirement "$work/lowest.txt" "pytest>=8.3" "hypothesis>=6.110"
"$work/lowest/bin/pip" install --quiet --no-deps .
"$work/lowest/bin/simdnn" --help > /dev/null
"$work/lowest/bin/simdnn" fit --help > /dev/null
"$work/lowest/bin/python" -m pytest tests/images/test_preprocess.py tests/networks/test_weights.py \
    tests/networks/test_cache.py tests/networks/test_backbone.py tests/paper/test_estimator.py tests/guard/test_file.py
