#!/usr/bin/env bash
# Our emulations of Entra and Google, and what the gateway asks them: judged by MSAL, azure-identity and google-auth, which
# ask for the same, and by PyJWT, which verifies what all of them are given.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need cargo
install_venv sdks sdks/requirements.txt 'the SDKs'
build_gateway
note 'building the emulations'
(cd "$ROOT" && cargo build --quiet --locked -p safeconduct-identity --example vendors)
fresh_run vendors

ENTRA=127.0.0.1:$(free_port)
start equipment "$TARGET/debug/examples/vendors" "$RUN" "$ENTRA"
wait_until 10 'the emulations' grep -q '^told ' "$RUN/equipment.log"
of_equipment() { # WORD
  sed -n "s/^$1 //p" "$RUN/equipment.log" | head -n 1
}
# MSAL asks nobody without TLS.
start tls "$CACHE/sdks/bin/python" "$INTEROP/vendors/tls.py" "$ENTRA" "$(of_equipment entra)" "$RUN/tls.pem" "$RUN/tls-key.pem"
url_of tls >/dev/null
BACKEND=127.0.0.1:$(free_port)
start_gateway vendors "IDP=$(of_equipment idp)" "AUTHORITY=$(of_equipment authority)" "TENANT=$(of_equipment tenant)" \
  "GOOGLE=$(of_equipment google)" "WORKFORCE=$(of_equipment workforce)" "BACKEND=http://$BACKEND"

# A proxy that is not there: nobody outside is asked for anything.
HTTPS_PROXY=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1 NO_PROXY=127.0.0.1 PYTHONPATH=$INTEROP \
  REQUESTS_CA_BUNDLE=$RUN/authority.pem SSL_CERT_FILE=$RUN/authority.pem \
  "$CACHE/sdks/bin/python" "$INTEROP/vendors/drive.py" "http://$GATEWAY" "$BACKEND" "$RUN/equipment.log" "$RUN"
