#!/usr/bin/env bash
# The official MCP conformance suite's client scenarios with the gateway as the OAuth client: the suite starts an MCP
# server and an authorization server, and our driver puts the gateway in between, with a caller of our own identity
# provider in front. See client-scenarios/client.mjs for what the driver does and what the gateway does.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SCENARIOS=(client-credentials-basic client-credentials-jwt enterprise-managed-authorization wif-jwt-bearer dpop dpop-nonce)

need python3 curl openssl
install_node
build_equipment
build_gateway
fresh_run client-scenarios

GATEWAY_SECRET=$(new_secret)
export GATEWAY_SECRET
start idp "$IDP"
INTEROP_IDP=$(url_of idp)
INTEROP_SAFECONDUCT=$SAFECONDUCT
INTEROP_RUN=$RUN
INTEROP_KEY=$RUN/key.pem
export INTEROP_IDP INTEROP_SAFECONDUCT INTEROP_RUN INTEROP_KEY
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$INTEROP_KEY"

# Modules are looked for from a script's own place: run it beside what was installed.
mkdir -p "$NODE_HOME/client-scenarios"
cp "$INTEROP"/client-scenarios/*.mjs "$NODE_HOME/client-scenarios/"

passed=0 failed=0
for revision in 2025-11-25 2026-07-28; do
  for scenario in "${SCENARIOS[@]}"; do
    output=$RUN/suite-$scenario-$revision
    status=0
    timeout 120 "$NODE" "$NODE_HOME/node_modules/.bin/conformance" client --scenario "auth/$scenario" \
      --spec-version "$revision" --force --timeout 60000 -o "$output" \
      --command "$NODE $NODE_HOME/client-scenarios/client.mjs" >"$output.log" 2>&1 || status=$?
    note "auth/$scenario, $revision (the suite ended with $status)"
    python3 "$INTEROP/client-scenarios/judge.py" "auth/$scenario" "$output" "$RUN/auth-$scenario-$revision/held" >"$output.txt" || true
    sed '/^RESULT /d' "$output.txt"
    read -r _ good bad <<<"$(grep '^RESULT ' "$output.txt" || echo 'RESULT 0 1')"
    passed=$((passed + good)) failed=$((failed + bad))
  done
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
