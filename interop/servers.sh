#!/usr/bin/env bash
# MCP servers that other people wrote, direct and through the gateway: the same official client must see
# the same. server-everything is the reference server (legacy era), the other stands on the Python SDK.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need python3 curl
install_node
install_python
build_equipment
build_gateway
fresh_run servers

GATEWAY_SECRET=$(new_secret)
export GATEWAY_SECRET
start idp "$IDP"
IDP_URL=$(url_of idp)
EVERYTHING=127.0.0.1:$(free_port)
PORT=${EVERYTHING##*:} start everything "$NODE" --import "$INTEROP/servers/loopback.mjs" \
  "$NODE_HOME/node_modules/@modelcontextprotocol/server-everything/dist/index.js" streamableHttp
PYTHON_SERVER=127.0.0.1:$(free_port)
start python "$PYTHON" "$INTEROP/servers/python_server.py" "${PYTHON_SERVER##*:}"
accepts() { (exec 3<>"/dev/tcp/${1%%:*}/${1##*:}"); }
wait_until 20 'server-everything' accepts "$EVERYTHING"
wait_until 20 'the Python server' accepts "$PYTHON_SERVER"
start_gateway servers "IDP=$IDP_URL" "EVERYTHING=http://$EVERYTHING" "PYTHON=http://$PYTHON_SERVER"

INTEROP_ALICE=$(token_of alice)
export INTEROP_ALICE
mkdir -p "$NODE_HOME/servers"
cp "$INTEROP"/servers/compare.mjs "$NODE_HOME/servers/"

passed=0 failed=0
same() { # NAME URL CALLS
  if timeout 90 "$NODE" "$NODE_HOME/servers/compare.mjs" "$1" "$2/mcp" "http://$GATEWAY/$1/mcp" "$3" \
    >"$RUN/compare-$1.log" 2>&1; then
    cat "$RUN/compare-$1.log"
    passed=$((passed + $(grep -c '^ok' "$RUN/compare-$1.log")))
  else
    printf 'FAILED - %s\n' "$1"
    tail -n 40 "$RUN/compare-$1.log"
    failed=$((failed + 1))
  fi
}

same everything "http://$EVERYTHING" '[["echo", {"message": "Ünï\u0000 \"quoted\""}], ["get-sum", {"a": 1.5, "b": 2}],
  ["get-tiny-image", {}], ["get-structured-content", {"location": "New York"}], ["get-annotated-message", {"messageType": "error"}],
  ["trigger-long-running-operation", {"duration": 1, "steps": 4}], ["no-such-tool", {}]]'
same python "http://$PYTHON_SERVER" '[["add", {"a": 9007199254740991, "b": -1}], ["add", {"a": "x"}], ["count", {"to": 3}], ["no-such-tool", {}]]'

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
