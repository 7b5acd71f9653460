#!/usr/bin/env bash
# The official MCP conformance suite against our fixture, direct and through the gateway.
# Every check must end the same way on both sides. The fixture behind the gateway refuses any token that
# is not for itself, so that passing proves the exchange.
#   interop/conformance.sh            both sides
#   interop/conformance.sh direct     the fixture only (no gateway needed)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Checks that the fixture passes direct, by revision: fewer would mean that the fixture broke.
declare -A KNOWN=([2025-11-25]=84 [2026-07-28]=197)

suite() { # REVISION URL OUTPUT [BEARER]
  INTEROP_BEARER=${4:-} INTEROP_NODE_HOME=$NODE_HOME "$NODE" --import "$INTEROP/conformance/bearer.mjs" \
    "$NODE_HOME/node_modules/.bin/conformance" server \
    --url "$2" --requirements "$1" -o "$3" >"$3.log" 2>&1 || true
  # Its own verdict is not ours: what counts are the checks it wrote.
  [ -d "$3" ] || fail "the suite wrote nothing, see $3.log"
}

need python3 curl
install_node
build_equipment
fresh_run conformance

start direct "$FIXTURE"
DIRECT_URL=$(url_of direct)

if [ "${1:-}" != direct ]; then
  build_gateway
  GATEWAY_SECRET=$(new_secret)
  export GATEWAY_SECRET
  start idp "$IDP"
  IDP_URL=$(url_of idp)
  start backend "$FIXTURE" --require-bearer-audience interop-backend --record "$RUN/backend.jsonl"
  start_gateway local.yaml "IDP=$IDP_URL" "BACKEND=$(url_of backend)"
  ALICE=$(token_of alice)
fi

passed=0 failed=0
for revision in "${!KNOWN[@]}"; do
  note "$revision, direct"
  suite "$revision" "$DIRECT_URL/mcp" "$RUN/$revision-direct"
  other=$RUN/$revision-direct
  if [ "${1:-}" != direct ]; then
    note "$revision, through the gateway"
    other=$RUN/$revision-through
    suite "$revision" "http://$GATEWAY/suite/mcp" "$other" "$ALICE"
  fi
  python3 "$INTEROP/conformance/compare.py" "$revision" "${KNOWN[$revision]}" "$RUN/$revision-direct" "$other" \
    >"$RUN/$revision.txt" || true
  sed '/^RESULT /d' "$RUN/$revision.txt"
  read -r _ checks differing <<<"$(grep '^RESULT ' "$RUN/$revision.txt" || echo 'RESULT 0 1')"
  passed=$((passed + checks)) failed=$((failed + differing))
done

if [ "${1:-}" != direct ] && grep -qF "$ALICE" "$RUN/backend.jsonl"; then
  echo 'the caller'"'"'s own token reached the backend'
  failed=$((failed + 1))
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
