#!/usr/bin/env bash
# The vendors' own SDKs, as their documentation says to use them, against our credential endpoints: two callers
# at once, each with nothing but the environment that is given to them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

SDKS=$CACHE/sdks

install_sdks() {
  need python3 sha256sum
  local want have
  want=$(sha256sum "$INTEROP/sdks/requirements.txt" | cut -d' ' -f1)
  have=$(cat "$SDKS/.installed" 2>/dev/null || true)
  [ "$want" = "$have" ] && return 0
  note 'installing the SDKs'
  rm -rf "$SDKS"
  python3 -m venv "$SDKS"
  "$SDKS/bin/python" -m pip install --quiet --disable-pip-version-check -r "$INTEROP/sdks/requirements.txt"
  printf '%s' "$want" >"$SDKS/.installed"
}

need cargo
install_sdks
note 'building the endpoints'
(cd "$ROOT" && cargo build --quiet --locked -p safeconduct-runtime --example deliver)
fresh_run sdks
"$SDKS/bin/python" "$INTEROP/sdks/drive.py" "$TARGET/debug/examples/deliver" "$RUN"
