#!/usr/bin/env bash
# A real Keycloak as the identity provider: two users of two groups, token exchange by the gateway's
# confidential client, and a backend that writes down what it was sent.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

KEYCLOAK_VERSION=26.7.4
KEYCLOAK_HOME=$CACHE/keycloak-$KEYCLOAK_VERSION

install_keycloak() {
  [ -x "$KEYCLOAK_HOME/bin/kc.sh" ] && return 0
  need mvn unzip
  note "fetching Keycloak $KEYCLOAK_VERSION"
  mvn --quiet --batch-mode -Dstyle.color=never dependency:copy \
    -Dartifact="org.keycloak:keycloak-quarkus-dist:$KEYCLOAK_VERSION:zip" -DoutputDirectory="$CACHE"
  rm -rf "$KEYCLOAK_HOME"
  unzip -q "$CACHE/keycloak-quarkus-dist-$KEYCLOAK_VERSION.zip" -d "$CACHE"
  rm -f "$CACHE/keycloak-quarkus-dist-$KEYCLOAK_VERSION.zip"
}

need java python3 curl
install_keycloak
build_equipment
build_gateway
fresh_run keycloak

GATEWAY_SECRET=$(new_secret)
KC_BOOTSTRAP_ADMIN_USERNAME=admin
KC_BOOTSTRAP_ADMIN_PASSWORD=$(new_secret)
export GATEWAY_SECRET KC_BOOTSTRAP_ADMIN_USERNAME KC_BOOTSTRAP_ADMIN_PASSWORD

# The management port stays closed: it would be a fixed one.
KEYCLOAK=http://127.0.0.1:$(free_port)
JAVA_OPTS_APPEND="-Xmx768m" start keycloak "$KEYCLOAK_HOME/bin/kc.sh" start-dev --db=dev-mem \
  --http-host=127.0.0.1 --http-port="${KEYCLOAK##*:}" --cache=local --health-enabled=false --metrics-enabled=false

note 'waiting for Keycloak'
wait_until 120 'Keycloak to answer' curl -sf "$KEYCLOAK/realms/master/.well-known/openid-configuration"

ADMIN_TOKEN=$(curl -sf "$KEYCLOAK/realms/master/protocol/openid-connect/token" -d grant_type=password \
  -d client_id=admin-cli -d "username=$KC_BOOTSTRAP_ADMIN_USERNAME" -d "password=$KC_BOOTSTRAP_ADMIN_PASSWORD" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])') || fail 'no admin token'
sed "s|@SECRET@|$GATEWAY_SECRET|" "$INTEROP/config/keycloak/realm.json" >"$RUN/realm.json"
curl -sSf -X POST "$KEYCLOAK/admin/realms" -H "authorization: Bearer $ADMIN_TOKEN" \
  -H 'content-type: application/json' --data-binary @"$RUN/realm.json" || fail 'Keycloak refused the realm'

start backend "$FIXTURE" --require-bearer-audience backend --record "$RUN/backend.jsonl"
start_gateway keycloak "ISSUER=$KEYCLOAK/realms/interop" "BACKEND=$(url_of backend)"

ADMIN_TOKEN=$ADMIN_TOKEN python3 "$INTEROP/keycloak/drive.py" "$KEYCLOAK" "http://$GATEWAY" "$RUN/backend.jsonl"
