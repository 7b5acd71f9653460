#!/usr/bin/env bash
# The official MCP conformance suite against our fixture, direct and through the gateway.
# Every check must end the same way on both sides. The fixture behind the gateway refuses any token that
# is not for itself, so that passing proves the exchange.
#   interop/conformance.sh            both sides
#   interop/conformance.sh direct     the fixture only (no gateway needed)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Checks that the fixture passes direct, by revision: fewer would mean that the fixture broke.
declare -A KNOWN=([2025-11-25]=84 [2026-07-28]=197)

suite() { # URL OUTPUT BEARER WHICH...
  local url=$1 output=$2 bearer=$3
  shift 3
  INTEROP_BEARER=$bearer INTEROP_NODE_HOME=$NODE_HOME "$NODE" --import "$INTEROP/conformance/bearer.mjs" \
    "$NODE_HOME/node_modules/.bin/conformance" server --url "$url" -o "$output" "$@" >"$output.log" 2>&1 || true
  # Its own verdict is not ours: what counts are the checks it wrote.
  [ -d "$output" ] || fail "the suite wrote nothing, see $output.log"
}

compare() { # NAME AT_LEAST DIRECT THROUGH
  local checks differing
  python3 "$INTEROP/conformance/compare.py" "$@" >"$RUN/$1.txt" || true
  sed '/^RESULT /d' "$RUN/$1.txt"
  read -r _ checks differing <<<"$(grep '^RESULT ' "$RUN/$1.txt" || echo 'RESULT 0 1')"
  passed=$((passed + checks)) failed=$((failed + differing))
}

need python3 curl
install_node
build_equipment
fresh_run conformance

start direct "$FIXTURE"
DIRECT_URL=$(url_of direct)

through=yes
if [ "${1:-}" = direct ]; then
  through=
else
  build_gateway
  GATEWAY_SECRET=$(new_secret)
  export GATEWAY_SECRET
  start idp "$IDP"
  IDP_URL=$(url_of idp)
  start backend "$FIXTURE" --require-bearer-audience interop-backend --record "$RUN/backend.jsonl"
  start lax "$FIXTURE" --require-bearer-audience interop-backend --lax-headers
  start_gateway local "IDP=$IDP_URL" "BACKEND=$(url_of backend)" "LAX=$(url_of lax)"
  ALICE=$(token_of alice)
fi

passed=0 failed=0
for revision in 2025-11-25 2026-07-28; do
  note "$revision, direct"
  suite "$DIRECT_URL/mcp" "$RUN/$revision-direct" '' --requirements "$revision"
  other=$RUN/$revision-direct
  if [ -n "$through" ]; then
    note "$revision, through the gateway"
    other=$RUN/$revision-through
    suite "http://$GATEWAY/suite/mcp" "$other" "$ALICE" --requirements "$revision"
  fi
  compare "$revision" "${KNOWN[$revision]}" "$RUN/$revision-direct" "$other"
done

if [ -n "$through" ]; then
  # The same scenario against a backend that compares nothing: now the gateway's own checks are seen.
  note 'the modern headers, when only the gateway compares them'
  headers=(--scenario http-header-validation --spec-version 2026-07-28)
  suite "$DIRECT_URL/mcp" "$RUN/headers-direct" '' "${headers[@]}"
  suite "http://$GATEWAY/lax/mcp" "$RUN/headers-through" "$ALICE" "${headers[@]}"
  compare headers 14 "$RUN/headers-direct" "$RUN/headers-through"

  if grep -qF "$ALICE" "$RUN/backend.jsonl"; then
    echo "the caller's own token reached the backend"
    failed=$((failed + 1))
  fi
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
