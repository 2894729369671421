#!/usr/bin/env bash
# Serves aggregated prices from three mock exchanges on http://localhost:8080. Flags go to `aggregator demo`.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/venv.sh
ensure_venv requirements.txt
exec .venv/bin/aggregator demo "$@"
