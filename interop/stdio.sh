#!/usr/bin/env bash
# Servers that speak over their standard streams, through the gateway's bridge: the official conformance suite, and
# public servers by name. Every check must end as it does over HTTP, every answer must be the same as without a gateway.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Checks that the fixture passes over HTTP, by revision: fewer would mean that the fixture broke.
declare -A KNOWN=([2025-11-25]=84 [2026-07-28]=197)
# What standard streams cannot carry: a server has no way to ask for the end of an HTTP response that is to be resumed.
BEYOND=server-sse-disconnect-resume

need python3 curl git
install_node
install_python
build_equipment
build_gateway
fresh_run stdio

FILES=$RUN/files
mkdir -p "$FILES"
git -C "$FILES" init --quiet
printf 'Ünïcödé\n' >"$FILES/note.txt"
git -C "$FILES" -c user.name=interop -c user.email=interop@example.com add note.txt
git -C "$FILES" -c user.name=interop -c user.email=interop@example.com commit --quiet -m 'A note'

SERVERS=$NODE_HOME/node_modules/@modelcontextprotocol
GATEWAY_SECRET=$(new_secret)
export GATEWAY_SECRET
start idp "$IDP"
IDP_URL=$(url_of idp)
start direct "$FIXTURE"
DIRECT_URL=$(url_of direct)
start_gateway stdio "IDP=$IDP_URL" "FIXTURE=$FIXTURE" "NODE=$NODE" "SERVERS=$SERVERS" "PYTHON=$PYTHON" "FILES=$FILES"
INTEROP_ALICE=$(token_of alice)
export INTEROP_ALICE

passed=0 failed=0
suite() { # URL OUTPUT BEARER WHICH...
  local url=$1 output=$2 bearer=$3
  shift 3
  INTEROP_BEARER=$bearer INTEROP_NODE_HOME=$NODE_HOME "$NODE" --import "$INTEROP/conformance/bearer.mjs" \
    "$NODE_HOME/node_modules/.bin/conformance" server --url "$url" -o "$output" "$@" >"$output.log" 2>&1 || true
  # Its own verdict is not ours: what counts are the checks it wrote.
  [ -d "$output" ] || fail "the suite wrote nothing, see $output.log"
}

for revision in 2025-11-25 2026-07-28; do
  note "$revision, over HTTP"
  suite "$DIRECT_URL/mcp" "$RUN/$revision-direct" '' --requirements "$revision"
  note "$revision, through the gateway and the bridge"
  suite "http://$GATEWAY/suite/mcp" "$RUN/$revision-through" "$INTEROP_ALICE" --requirements "$revision"
  python3 "$INTEROP/conformance/compare.py" "$revision" "${KNOWN[$revision]}" "$RUN/$revision-direct" \
    "$RUN/$revision-through" "$BEYOND" >"$RUN/$revision.txt" || true
  sed '/^RESULT /d' "$RUN/$revision.txt"
  read -r _ checks differing <<<"$(grep '^RESULT ' "$RUN/$revision.txt" || echo 'RESULT 0 1')"
  passed=$((passed + checks)) failed=$((failed + differing))
done

mkdir -p "$NODE_HOME/servers"
cp "$INTEROP"/servers/stdio.mjs "$NODE_HOME/servers/"
same() { # NAME CAPABILITIES CALLS COMMAND...
  local name=$1
  shift
  if timeout 120 "$NODE" "$NODE_HOME/servers/stdio.mjs" "$name" "http://$GATEWAY/$name/mcp" "$@" \
    >"$RUN/same-$name.log" 2>&1; then
    cat "$RUN/same-$name.log"
    passed=$((passed + $(grep -c '^ok' "$RUN/same-$name.log")))
  else
    printf 'FAILED - %s\n' "$name"
    tail -n 60 "$RUN/same-$name.log"
    failed=$((failed + 1))
  fi
}

same everything '{"sampling": {}, "elicitation": {}, "roots": {}}' '[["echo", {"message": "Ünï \"quoted\""}], ["get-sum", {"a": 1.5, "b": 2}], ["get-tiny-image", {}],
  ["get-structured-content", {"location": "New York"}], ["trigger-long-running-operation", {"duration": 1, "steps": 4}],
  ["trigger-sampling-request", {"prompt": "Hello?", "maxTokens": 10}], ["trigger-elicitation-request", {}],
  ["get-roots-list", {}], ["no-such-tool", {}]]' "$NODE" "$SERVERS/server-everything/dist/index.js" stdio
same filesystem '{}' "[[\"list_allowed_directories\", {}], [\"read_text_file\", {\"path\": \"/tmp/../$FILES/note.txt\"}],
  [\"read_text_file\", {\"path\": \"/etc/passwd\"}], [\"list_directory\", {\"path\": \"$FILES\"}]]" \
  "$NODE" "$SERVERS/server-filesystem/dist/index.js" "$FILES"
same time '{}' '[["convert_time", {"source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo"}],
  ["convert_time", {"source_timezone": "Nowhere", "time": "12:00", "target_timezone": "UTC"}], ["no_such_tool", {}]]' \
  "$PYTHON" -m mcp_server_time --local-timezone UTC
same git '{}' "[[\"git_log\", {\"repo_path\": \"$FILES\"}], [\"git_status\", {\"repo_path\": \"$FILES\"}], [\"git_status\", {\"repo_path\": \"/\"}]]" \
  "$PYTHON" -m mcp_server_git --repository "$FILES"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
