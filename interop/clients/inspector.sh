#!/usr/bin/env bash
# The MCP Inspector in its command line mode.
set -euo pipefail

inspect() { # TOKEN ARGUMENTS...
  local token=$1
  shift
  "$INTEROP_NODE" "$INTEROP_NODE_HOME/node_modules/.bin/mcp-inspector" --cli --server-url "$INTEROP_URL" \
    --transport http --header "Authorization: Bearer $token" "$@" 2>&1
}

expect() { # WHAT TEXT PATTERN
  grep -q -- "$3" <<<"$2" || {
    printf 'Inspector: %s: wanted %s in\n%s\n' "$1" "$3" "$2"
    exit 1
  }
}

tools=$(inspect "$INTEROP_ALICE" --method tools/list)
expect 'the list' "$tools" '"whoami"'
if grep -q delete_everything <<<"$tools"; then
  echo 'Inspector: a tool that alice may not call is listed'
  exit 1
fi

said=$(inspect "$INTEROP_ALICE" --method tools/call --tool-name test_simple_text)
expect 'an allowed call' "$said" 'This is a simple text response for testing.'

if denied=$(inspect "$INTEROP_ALICE" --method tools/call --tool-name greet --tool-arg name=Mallory); then
  if ! grep -q -- '-31403\|SC-' <<<"$denied"; then
    printf 'Inspector: a denied call was answered:\n%s\n' "$denied"
    exit 1
  fi
fi
if grep -q 'Hello, Mallory' <<<"$denied"; then
  echo 'Inspector: a denied call reached the tool'
  exit 1
fi
echo 'ok - Inspector CLI'
