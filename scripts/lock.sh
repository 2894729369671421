#!/usr/bin/env bash
# Lock the dependencies of pyproject.toml into requirements files that pip checks by hash. Needs `uv` on the PATH.
# The files have no registry addresses: the installing machine decides where packages come from.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
  uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --custom-compile-command scripts/lock.sh "$@"
}
lock --upgrade --extra build --output-file requirements.txt
lock --upgrade --extra build --extra all --constraint requirements.txt --output-file requirements-all.txt # of run.sh and the image
lock --upgrade --extra build --extra dev --constraint requirements-all.txt --output-file requirements-dev.txt
uv pip compile --group pyproject.toml:guide --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command scripts/lock.sh --constraint requirements-dev.txt --output-file requirements-guide.txt # of scripts/guide.sh
