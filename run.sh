#!/usr/bin/env bash
# Serves aggregated prices on http://localhost:8080: from three mock exchanges of its own, or from those that
# AGGREGATOR_EXCHANGES names. Flags go to `aggregator demo` or `serve`; paths in them, and the history file, are as seen
# from where you stand.
set -euo pipefail
home=$(cd "$(dirname "$0")" && pwd)
(cd "$home" && . scripts/venv.sh && ensure_venv requirements.txt)
export AGGREGATOR_SYMBOLS_FILE=${AGGREGATOR_SYMBOLS_FILE:-$home/symbols.csv}
exec "$home/.venv/bin/aggregator" "$([ -z "${AGGREGATOR_EXCHANGES:-}" ] && echo demo || echo serve)" "$@"
