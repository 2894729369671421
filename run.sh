#!/usr/bin/env bash
# Serves aggregated prices from three mock exchanges on http://localhost:8080. Flags go to `aggregator demo`; paths in
# them, and the history file, are as seen from where you stand.
set -euo pipefail
home=$(cd "$(dirname "$0")" && pwd)
(cd "$home" && . scripts/venv.sh && ensure_venv requirements.txt)
export AGGREGATOR_SYMBOLS_FILE=${AGGREGATOR_SYMBOLS_FILE:-$home/symbols.csv}
exec "$home/.venv/bin/aggregator" demo "$@"
