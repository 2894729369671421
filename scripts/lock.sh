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
lock --upgrade --extra build --extra otel --extra kafka --constraint requirements.txt --output-file requirements-otel.txt # the image's
lock --upgrade --extra build --extra otel --extra kafka --extra dev --constraint requirements-otel.txt --output-file requirements-dev.txt
