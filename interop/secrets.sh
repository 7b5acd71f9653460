#!/usr/bin/env bash
# Secrets as other programs keep them: Debian's age, and GNOME Keyring behind a session bus of its own, which
# libsecret's secret-tool asks, too. Installs them (as root).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if ! command -v age >/dev/null || ! command -v secret-tool >/dev/null || ! command -v gnome-keyring-daemon >/dev/null ||
  ! command -v dbus-run-session >/dev/null; then
  note 'installing age and the keyring'
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends age gnome-keyring dbus libsecret-tools >/dev/null
fi
need age age-keygen secret-tool gnome-keyring-daemon dbus-run-session
if [ -z "${INTEROP_SESSION:-}" ]; then
  build_gateway
  fresh_run secrets
  mkdir -p "$RUN/home" "$RUN/runtime"
  chmod 700 "$RUN/runtime"
  # A home, a session and a keyring that are nobody's.
  INTEROP_SESSION=$RUN HOME=$RUN/home XDG_DATA_HOME=$RUN/home XDG_RUNTIME_DIR=$RUN/runtime exec dbus-run-session -- "$0"
fi
RUN=$INTEROP_SESSION
cd "$RUN"
printf 'of-a-test' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1

passed=0 failed=0
check() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@" >"$RUN/last.out" 2>&1; then
    passed=$((passed + 1))
    printf 'ok - %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAILED - %s\n' "$what"
    cat "$RUN/last.out" >&2
  fi
}
fails() { ! "$@"; }
is() { [ "$("${@:2}")" = "$1" ] || { echo "not '$1' but '$("${@:2}")'"; return 1; }; }
set_to() { printf '%s\n' "$2" | "$SAFECONDUCT" secret set "$1"; }

config() { # REFERENCE
  printf 'issuers: { corp: { issuer: "https://idp.example.com" } }
servers: { orders: { url: "http://127.0.0.1:9/mcp", credential: [ { static: { secret: "%s" } } ] } }
secrets: { file: secrets.age, identity: file:key.txt }
policy: all.cedar\n' "$1" >safeconduct.yaml
}
printf 'permit (principal, action, resource in Server::"orders");\n' >all.cedar

age-keygen -o key.txt 2>/dev/null
config encrypted:github
check 'a secret is put into the encrypted file' set_to github "it's \"one\""
age_of() { age -d -i key.txt secrets.age | python3 -c 'import json, sys; print(json.load(sys.stdin)["github"])'; }
check 'age reads it' is "it's \"one\"" age_of
check 'the configuration holds up with it' "$SAFECONDUCT" check
printf '{"other": "by age"}' | age -e -i key.txt -o secrets.age -
check 'what age has written, without armour, is read' is encrypted:other "$SAFECONDUCT" secret list
check 'and what is missing in it is missed' fails "$SAFECONDUCT" check
check 'another key does not open it' bash -c "age-keygen 2>/dev/null >other.txt; sed 's/key.txt/other.txt/' safeconduct.yaml >other.yaml; ! '$SAFECONDUCT' secret list --config other.yaml"

config keyring:safeconduct-interop/github
check 'what the keyring does not have is missed' fails "$SAFECONDUCT" check
check 'a secret is put into the keyring' set_to keyring:safeconduct-interop/github one
check 'secret-tool reads it' is one secret-tool lookup service safeconduct-interop username github
check 'the configuration holds up with it, too' "$SAFECONDUCT" check
printf two | secret-tool store --label=two service safeconduct-interop username gitlab target default
check 'what secret-tool has stored is listed' is "$(printf 'keyring:safeconduct-interop/%s\n' github gitlab)" \
  "$SAFECONDUCT" secret list keyring:safeconduct-interop
config keyring:safeconduct-interop/gitlab
check 'and read' "$SAFECONDUCT" check
check 'a secret is removed from the keyring' "$SAFECONDUCT" secret rm keyring:safeconduct-interop/github
check 'secret-tool misses it' fails secret-tool lookup service safeconduct-interop username github

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
