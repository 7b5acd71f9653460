# Shared by the interoperability runs: what they install, start and stop. Sourced, not run.
set -euo pipefail

INTEROP=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$INTEROP")
CACHE=$INTEROP/.cache
NODE_HOME=$CACHE/node
PYTHON=$CACHE/python/bin/python

# The programs under test. CARGO_PROFILE=debug uses the debug builds.
CARGO_PROFILE=${CARGO_PROFILE:-release}
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
SAFECONDUCT=${SAFECONDUCT:-$TARGET/$CARGO_PROFILE/safeconduct}
# The equipment is built the quick way: it is not what is measured.
FIXTURE=$TARGET/debug/interop-mcp
IDP=$TARGET/debug/interop-idp

STARTED=()
GATEWAY=

fail() {
  printf 'interop: %s\n' "$*" >&2
  exit 1
}

note() {
  printf -- '-- %s\n' "$*" >&2
}

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || fail "needs $program on the PATH"
  done
}

# A fresh directory for one run: logs, records, configuration. The last run's is kept until the next.
fresh_run() {
  RUN=$CACHE/run/$1
  rm -rf "$RUN"
  mkdir -p "$RUN"
  trap stop_all EXIT
  trap 'exit 130' INT TERM
}

# start NAME COMMAND...: in the background, output in $RUN/NAME.log, ended when the run ends.
start() {
  local name=$1
  shift
  setsid "$@" >"$RUN/$name.log" 2>&1 </dev/null &
  STARTED+=($!)
}

# Ends the process groups that this run started, and no other.
stop_all() {
  local group
  for group in "${STARTED[@]:-}"; do
    [ -n "$group" ] && kill -TERM -- "-$group" 2>/dev/null || true
  done
  for group in "${STARTED[@]:-}"; do
    [ -n "$group" ] || continue
    for _ in $(seq 50); do
      kill -0 -- "-$group" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$group" 2>/dev/null || true
  done
}

# wait_until SECONDS WHAT COMMAND...: polls until the command succeeds.
wait_until() {
  local seconds=$1 what=$2
  shift 2
  for _ in $(seq $((seconds * 10))); do
    if "$@" >/dev/null 2>&1; then
      return 0
    fi
    sleep 0.1
  done
  tail -n 40 "$RUN"/*.log >&2 || true
  fail "waited $seconds s for $what"
}

# The URL that a program of ours printed when it began to listen.
url_of() { # NAME
  wait_until 10 "$1 to listen" grep -q '^listening ' "$RUN/$1.log"
  sed -n 's/^listening //p' "$RUN/$1.log" | head -n 1
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

build_equipment() {
  need cargo
  note 'building the fixture and the identity provider'
  (cd "$ROOT" && cargo build --quiet --locked -p safeconduct-interop-fixture)
}

# The gateway is built unless SAFECONDUCT names one that exists.
build_gateway() {
  [ -x "$SAFECONDUCT" ] && [ "${SAFECONDUCT#"$TARGET"}" = "$SAFECONDUCT" ] && return 0
  note "building the gateway ($CARGO_PROFILE)"
  local flags=(--quiet --locked -p safeconduct)
  [ "$CARGO_PROFILE" = release ] && flags+=(--release)
  (cd "$ROOT" && cargo build "${flags[@]}")
}

# Node and every npm counterpart, from the lock file; again only when it changed.
install_node() {
  need npm sha256sum
  local want have
  want=$(sha256sum "$INTEROP/package-lock.json" | cut -d' ' -f1)
  have=$(cat "$NODE_HOME/.installed" 2>/dev/null || true)
  NODE=$NODE_HOME/node_modules/.bin/node
  if [ "$want" != "$have" ]; then
    note 'installing the npm counterparts'
    rm -rf "$NODE_HOME"
    mkdir -p "$NODE_HOME"
    cp "$INTEROP/package.json" "$INTEROP/package-lock.json" "$NODE_HOME/"
    (cd "$NODE_HOME" && npm ci --no-audit --no-fund --loglevel=error)
    "$NODE" --version >/dev/null || fail 'the node package brought no node'
    printf '%s' "$want" >"$NODE_HOME/.installed"
  fi
}

# install_venv NAME REQUIREMENTS WHAT: a virtual environment in .cache/NAME; again only when the file changed.
install_venv() {
  need python3 sha256sum
  local home=$CACHE/$1 requirements=$INTEROP/$2 want have
  want=$(sha256sum "$requirements" | cut -d' ' -f1)
  have=$(cat "$home/.installed" 2>/dev/null || true)
  [ "$want" = "$have" ] && return 0
  note "installing $3"
  rm -rf "$home"
  python3 -m venv "$home"
  "$home/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
  printf '%s' "$want" >"$home/.installed"
}

install_python() {
  install_venv python requirements.txt 'the Python counterparts'
}

# start_gateway NAME KEY=VALUE...: puts the values in the @KEY@s of config/NAME and serves it.
# Sets GATEWAY (host:port), unless the run has chosen it; the secret of its client is GATEWAY_SECRET.
start_gateway() {
  local config=$1 pair
  shift
  GATEWAY=${GATEWAY:-127.0.0.1:$(free_port)}
  local admin
  admin=127.0.0.1:$(free_port)
  cp -r "$INTEROP/config/$config/policies" "$RUN/"
  local edits=(-e "s|@GATEWAY@|$GATEWAY|g" -e "s|@ADMIN@|$admin|g" -e "s|@RUN@|$RUN|g")
  for pair in "$@"; do
    edits+=(-e "s|@${pair%%=*}@|${pair#*=}|g")
  done
  sed "${edits[@]}" "$INTEROP/config/$config/safeconduct.yaml" >"$RUN/safeconduct.yaml"
  start gateway "$SAFECONDUCT" serve --config "$RUN/safeconduct.yaml"
  wait_until 20 'the gateway to be ready' curl -sf "http://$admin/readyz"
}

# The access token of a user of our own identity provider.
token_of() {
  curl -sf "$IDP_URL/token" -d grant_type=password -d "username=$1" -d "password=$1-interop" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])'
}

# An alphanumeric secret for the gateway's client, new for every run.
new_secret() {
  python3 -c 'import secrets; print(secrets.token_hex(24))'
}
