#!/usr/bin/env bash
# AWS, judged by those who know it: botocore signs what we sign, resolves what we resolve, and takes our emulation for the
# real one; moto, with authentication switched on, checks the gateway's signatures and trust policies.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A word's value among what the account printed when it began.
of_account() { # WORD
  sed -n "s/^$1 //p" "$RUN/account.log" | head -n 1
}

need cargo curl
install_venv aws aws/requirements.txt 'botocore and moto'
build_equipment
build_gateway
note 'building the account'
(cd "$ROOT" && cargo build --quiet --locked -p safeconduct-identity --example aws)
ACCOUNT=$TARGET/debug/examples/aws
fresh_run aws

# Nothing of this machine's own AWS configuration is used.
export AWS_EC2_METADATA_DISABLED=true AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
GATEWAY_SECRET=$(new_secret)
export GATEWAY_SECRET
start idp "$IDP"
IDP_URL=$(url_of idp)
start account "$ACCOUNT" account "$IDP_URL" interop-client
wait_until 10 'the account' grep -q '^told ' "$RUN/account.log"
start backend "$FIXTURE" --record "$RUN/backend.jsonl"
BACKEND=$(url_of backend)
MOTO=http://127.0.0.1:$(free_port)
BETWEEN=127.0.0.1:$(free_port)
# Everything may be asked without a signature until the driver has made the roles.
INITIAL_NO_AUTH_ACTION_COUNT=100000 start moto "$CACHE/aws/bin/moto_server" -H 127.0.0.1 -p "${MOTO##*:}"
wait_until 30 'moto' curl -sf "$MOTO/moto-api/data.json"
start_gateway aws "IDP=$IDP_URL" "STS=$(of_account sts)" "MCP=$(of_account mcp)" "BACKEND=$BACKEND" "MOTO=http://$BETWEEN"

PYTHONPATH=$INTEROP ALICE=$(token_of alice) BOB=$(token_of bob) "$CACHE/aws/bin/python" "$INTEROP/aws/drive.py" \
  "$ACCOUNT" "http://$GATEWAY" "$(of_account sts)" "$(of_account told)" "$MOTO" "$BETWEEN" "$RUN"
