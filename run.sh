#!/usr/bin/env bash
# Serve aggregated prices on http://localhost:8080, from three mock exchanges, with their trades, or from the exchanges in
# AGGREGATOR_EXCHANGES. Flags go to `aggregator demo` or `serve`. Paths in flags, and the files of history and trades,
# are relative to the current directory.
set -euo pipefail
home=$(cd "$(dirname "$0")" && pwd)
(cd "$home" && . scripts/venv.sh && ensure_venv requirements-all.txt)
export AGGREGATOR_SYMBOLS_FILE=${AGGREGATOR_SYMBOLS_FILE:-$home/symbols.csv}
exec "$home/.venv/bin/aggregator" "$([ -z "${AGGREGATOR_EXCHANGES:-}" ] && echo demo || echo serve)" "$@"
