#!/usr/bin/env bash
# Runs ./test.sh several times in a row while one busy loop per core takes the processor from it, and prints each
# run's summary. A test that fails here and not alone counts on the machine's speed: mend the test, or the service.
#
#   tests/busy.sh [TIMES]     three times unless told otherwise; more words go to ./test.sh
set -euo pipefail
cd "$(dirname "$0")/.."
times=${1:-3}
[ $# -gt 0 ] && shift
most_seconds=14400 # the loops end by themselves, whatever becomes of this script

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
  ./test.sh "$@" >"$log" 2>&1 || failed=$((failed + 1))
  grep -E '^(FAILED|ERROR) tests' "$log" || true
  echo "run $run of $times beside ${#loops[@]} busy loops: $(tail -1 "$log")"
done
echo "logs are in $logs"
exit "$failed"
