#!/usr/bin/env bash
# The official clients through the gateway: what may be called is listed and answered, what may not is
# neither, and the backend sees the exchanged token only.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need python3 curl
install_node
install_python
build_equipment
build_gateway
fresh_run clients

GATEWAY_SECRET=$(new_secret)
export GATEWAY_SECRET
start idp "$IDP"
IDP_URL=$(url_of idp)
start backend "$FIXTURE" --require-bearer-audience interop-backend --record "$RUN/backend.jsonl"
BACKEND=$(url_of backend)
start_gateway local "IDP=$IDP_URL" "BACKEND=$BACKEND" "LAX=$BACKEND"

INTEROP_URL=http://$GATEWAY/everything/mcp
INTEROP_ALICE=$(token_of alice)
INTEROP_BOB=$(token_of bob)
INTEROP_NODE=$NODE
INTEROP_NODE_HOME=$NODE_HOME
export INTEROP_URL INTEROP_ALICE INTEROP_BOB INTEROP_NODE INTEROP_NODE_HOME

# Modules are looked for from a script's own place: run them beside what was installed.
mkdir -p "$NODE_HOME/clients" "$RUN/home"
cp "$INTEROP"/clients/*.mjs "$NODE_HOME/clients/"

passed=0 failed=0
try() { # NAME COMMAND...
  local name=$1
  shift
  if HOME=$RUN/home timeout 60 "$@" >"$RUN/$name.log" 2>&1; then
    cat "$RUN/$name.log"
    passed=$((passed + 1))
  else
    printf 'FAILED - %s\n' "$name"
    tail -n 30 "$RUN/$name.log"
    failed=$((failed + 1))
  fi
}

try typescript-v1 "$NODE" "$NODE_HOME/clients/typescript-v1.mjs"
try typescript-v2 "$NODE" "$NODE_HOME/clients/typescript-v2.mjs"
try python-sdk "$PYTHON" "$INTEROP/clients/python_sdk.py"
try inspector bash "$INTEROP/clients/inspector.sh"

backend_is_clean() {
  local marker
  for marker in "$INTEROP_ALICE" "$INTEROP_BOB" delete_everything Mallory; do
    ! grep -qF "$marker" "$RUN/backend.jsonl" || {
      echo "the backend saw what it must not see: ${marker:0:20}"
      return 1
    }
  done
  [ -s "$RUN/backend.jsonl" ] || return 1
  echo 'ok - the backend saw no token of a user and no denied call'
}
export -f backend_is_clean
export RUN
try backend bash -c backend_is_clean

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
