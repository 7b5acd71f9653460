#!/usr/bin/env bash
# The certified OpenID provider from npm, which knows the gateway by keys and certificates alone: private_key_jwt,
# tls_client_auth over real mutual TLS, DPoP with nonces, resource indicators, introspection; keys and certificates are
# replaced on disk while it runs.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

key() { # NAME
  openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$RUN/$1"
}

# issue NAME SAN: a certificate NAME.crt of our authority for a new key NAME.key.
issue() {
  key "$1.key"
  openssl req -new -key "$RUN/$1.key" -subj "/CN=$1" -out "$RUN/$1.csr"
  openssl x509 -req -in "$RUN/$1.csr" -CA "$RUN/ca.crt" -CAkey "$RUN/ca.key" -days 2 -out "$RUN/$1.crt" \
    -extfile <(printf 'subjectAltName=%s\n' "$2") 2>>"$RUN/openssl.log"
}

papers() {
  local name
  for name in signed.pem next.pem stranger.pem ca.key self-signed.key; do key "$name"; done
  openssl req -x509 -new -key "$RUN/ca.key" -subj '/CN=interop authority' -days 2 -out "$RUN/ca.crt"
  openssl req -x509 -new -key "$RUN/self-signed.key" -subj '/CN=self-signed' -days 2 -out "$RUN/self-signed.crt"
  issue server 'DNS:localhost,IP:127.0.0.1'
  issue first 'URI:spiffe://interop.example/gateway'
  issue second 'URI:spiffe://interop.example/gateway'
  issue intruder 'URI:spiffe://interop.example/somebody-else'
  # What the gateway uses, and what the driver replaces while it runs.
  cp "$RUN/signed.pem" "$RUN/gateway.pem"
  cp "$RUN/first.crt" "$RUN/gateway.crt"
  cp "$RUN/first.key" "$RUN/gateway.key"
}

need openssl python3 curl
install_node
build_equipment
build_gateway
fresh_run oidc-provider
papers

# Modules are looked for from a script's own place: run them beside what was installed.
mkdir -p "$NODE_HOME/oidc-provider"
cp "$INTEROP"/oidc-provider/*.mjs "$NODE_HOME/oidc-provider/"

# The resource identifiers of the gateway's servers hold its port: it is chosen first.
GATEWAY=127.0.0.1:$(free_port)
resources=()
for server in signed certified self-signed opaque bound elsewhere stranger; do
  resources+=("$server=http://$GATEWAY/$server/mcp")
done
start op "$NODE" "$NODE_HOME/oidc-provider/op.mjs" "$RUN" "${resources[@]}"
ISSUER=$(url_of op)
MTLS=$(sed -n 's/^mtls //p' "$RUN/op.log" | head -n 1)
start backend "$FIXTURE" --require-bearer-audience interop-backend --record "$RUN/backend.jsonl"
start bound "$NODE" "$NODE_HOME/oidc-provider/bound.mjs" "$ISSUER" bound-backend "$RUN/bound.jsonl"
start_gateway oidc-provider "ISSUER=$ISSUER" "MTLS=$MTLS" "BACKEND=$(url_of backend)" "BOUND=$(url_of bound)"

ADMIN=$(sed -n 's/^admin: //p' "$RUN/safeconduct.yaml")
timeout 120 "$NODE" "$NODE_HOME/oidc-provider/drive.mjs" "$RUN" "$ISSUER" "http://$GATEWAY" "http://$ADMIN"
