#!/usr/bin/env bash
# Runs ./test.sh several times in a row beside one busy loop per core, and prints the summary of each run. A test that
# fails only here depends on the machine's speed: fix the test, or the service.
#
#   tests/busy.sh [TIMES]     three times by default; further arguments go to ./test.sh
#
# No test gets a second attempt here.
set -euo pipefail
cd "$(dirname "$0")/.."
times=${1:-3}
[ $# -gt 0 ] && shift
most_seconds=14400 # the loops end by themselves even when this script is killed

loops=()
for _ in $(seq "$(nproc)"); do
  timeout "$most_seconds" bash -c 'while :; do :; done' &
  loops+=($!)
done
trap 'kill "${loops[@]}" 2>/dev/null || true' EXIT

logs=$(mktemp -d)
failed=0
for run in $(seq "$times"); do
  log=$logs/$run.log
  ATTEMPTS=1 ./test.sh "$@" >"$log" 2>&1 || failed=$((failed + 1))
  grep -E '^(FAILED|ERROR) tests' "$log" || true
  echo "run $run of $times beside ${#loops[@]} busy loops: $(tail -1 "$log")"
done
echo "logs are in $logs"
exit "$failed"
