#!/usr/bin/env bash
# Build the documentation as a site, for GET /guide: scripts/guide.sh [FOLDER]. Without internet access once Sphinx is
# installed: in .venv by ./test.sh, or in .venv-guide by this script. A warning is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath --canonicalize-missing "${1:-aggregator/api/guide}")
python=${GUIDE_PYTHON:-.venv/bin/python}
if ! "$python" -c 'import furo, myst_parser, sphinx' >/dev/null 2>&1; then
  python=.venv-guide/bin/python
  if [ "$(cat .venv-guide/installed 2>/dev/null)" != "$(cksum <requirements-guide.txt)" ]; then
    . scripts/venv.sh
    "$(find_python)" -m venv --clear .venv-guide
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-guide.txt
    cksum <requirements-guide.txt >.venv-guide/installed
  fi
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m sphinx --quiet --fail-on-warning --builder html --conf-dir scripts/guide --doctree-dir "$work/doctrees" . "$work/site"
find "$work/site" -type f ! -name '*.html' ! -name '*.css' ! -name '*.js' ! -name '*.png' ! -name '*.svg' -delete
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
mv "$work/site" "$folder"
echo "the guide is in $folder; a service that runs shows it after its next start"
