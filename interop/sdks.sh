#!/usr/bin/env bash
# The vendors' own SDKs, as their documentation says to use them, against our credential endpoints: two callers
# at once, each with nothing but the environment that is given to them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need cargo
install_venv sdks sdks/requirements.txt 'the SDKs'
note 'building the endpoints'
(cd "$ROOT" && cargo build --quiet --locked -p safeconduct-runtime --example deliver)
fresh_run sdks
"$CACHE/sdks/bin/python" "$INTEROP/sdks/drive.py" "$TARGET/debug/examples/deliver" "$RUN"
