# Sourced by run.sh and test.sh: `ensure_venv FILE` makes .venv when it is missing or older than FILE or pyproject.toml. With
# requirements-dev.txt, clients/python is installed, too: its dependencies are in that file.

# PYTHON names the interpreter to use.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer is needed; install it and start again." >&2
  return 1
}

make_venv() {
  local python
  python=$(find_python) || exit 1
  if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
    echo "$python lacks the venv module. On Debian or Ubuntu: apt install python3-venv" >&2
    exit 1
  fi
  echo "setting up .venv with $("$python" --version) ..." >&2
  "$python" -m venv --clear .venv
}

# pip uses one core, so two of them install a half of the packages of FILE each. The file lists every package with its
# hashes, so pip has nothing to resolve. It would compile all modules, half of them tests, venues and services that nobody
# imports: see `ensure_venv`.
install_packages() {
  local file=$1 half failed=0 pids=()
  for half in 0 1; do
    awk -v half="$half" '/^[A-Za-z0-9]/ { package++ } package % 2 == half' "$file" >".venv/half-$half.txt"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes \
      --requirement ".venv/half-$half.txt" &
    pids+=($!)
  done
  for half in "${pids[@]}"; do wait "$half" || failed=1; done
  return $failed
}

ensure_venv() {
  local file=$1 stamp want
  stamp=.venv/installed-$file
  local projects=(.)
  [ "$file" != requirements-dev.txt ] || projects+=(clients/python)
  want=$(cat "$file" "${projects[@]/%//pyproject.toml}" | cksum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && .venv/bin/python -c '' 2>/dev/null && return
  .venv/bin/python -c '' 2>/dev/null || make_venv
  echo "installing $(grep -c '^[A-Za-z0-9].*==' "$file") packages into .venv, which takes a minute, on a slow machine a few ..." >&2
  install_packages "$file"
  # Python compiles what the demo imports at its first start, in less than a second; the tests start hundreds of processes,
  # so their modules are compiled here. Templates of packages do not compile.
  [ "$file" != requirements-dev.txt ] || .venv/bin/python -m compileall -q -j 0 -x '/(tests|ccxt|moto)/' .venv/lib >/dev/null || true
  rm -rf ./*.egg-info # of an older version, which `python -m aggregator` would find first
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    "${projects[@]/#/--editable=./}"
  echo "installed" >&2
  echo "$want" >"$stamp"
}
