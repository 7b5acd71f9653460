#!/usr/bin/env bash
# Servers that come as packages of PyPI and npm: an image is built of each, once, on a base image of this machine's own
# parts; then they run confined, and an official client sees the same as without container and gateway. Uses engines
# of its own (Debian's docker.io and podman, as root), and stops them again.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$INTEROP/engine/docker.sh"

install_engines
need busybox npm node curl
install_node
install_python
build_equipment
build_gateway
fresh_run packages

# Sockets have short paths.
WORK=$(mktemp -d /tmp/safeconduct-packages.XXXX)
SOCKET=$WORK/docker.sock
export DOCKER_HOST=unix://$SOCKET
trap clean_up EXIT
clean_up() {
  local left
  left=$(docker ps -aq 2>/dev/null) && [ -n "$left" ] && docker rm -f $left >/dev/null 2>&1
  stop_all
  for mount in $(awk -v work="$WORK" 'index($5, work) == 1 {print $5}' /proc/self/mountinfo | sort -r); do
    umount -l "$mount" 2>/dev/null || true
  done
  rm -rf "$WORK"
}

start dockerd dockerd --data-root "$WORK/data" --exec-root "$WORK/exec" --pidfile "$WORK/pid" --host "$DOCKER_HOST" \
  --bridge none --iptables=false
wait_until 60 'dockerd to answer' docker info
note 'making the base image'
"$INTEROP/packages/base.sh" "$WORK/base"
certificates=/etc/ssl/certs/ca-certificates.crt
tar -C "$WORK/base" -c . | docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change "ENV PIP_CERT=$certificates" \
  --change "ENV NODE_EXTRA_CA_CERTS=$certificates" --change "ENV npm_config_cafile=$certificates" - base:local >/dev/null
rm -rf "$WORK/base"
BASE=$(docker image inspect -f '{{.Id}}' base:local)

TIME=$(sed -n 's/^mcp-server-time==//p' "$INTEROP/requirements.txt")
EVERYTHING=$(sed -n 's/.*"@modelcontextprotocol\/server-everything": "\(.*\)".*/\1/p' "$INTEROP/package.json")
# What the gateway has in its own environment is nobody else's business.
GATEWAY_SECRET=CANARY-$(new_secret)
export GATEWAY_SECRET
start idp "$IDP"
IDP_URL=$(url_of idp)
INTEROP_ALICE=$(token_of alice)
export INTEROP_ALICE

passed=0 failed=0
check() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    printf 'ok - %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAILED - %s\n' "$what"
    tail -n 30 "$RUN/gateway.log" >&2
  fi
}
says() { grep -qF -- "$1" "$RUN/gateway.log"; }
says_not() { ! says "$1"; }
lacks() { ! grep -qF -- "$2" <<<"$1"; }
META='"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}'
built() { grep -F -- "built package=$1" "$RUN/gateway.log" >/dev/null; }
image_of() { docker images -q "localhost/safeconduct/$1"; }
label() { docker image inspect -f "{{index .Config.Labels \"safeconduct.package\"}}" "$(image_of "$1")"; }
asked() { # SERVER BEARER METHOD PARAMS
  curl -s -m 60 "http://$GATEWAY/$1/mcp" ${2:+-H "Authorization: Bearer $2"} -H 'Content-Type: application/json' \
    -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2026-07-28' -H "Mcp-Method: $3" \
    ${5:+-H "Mcp-Name: $5"} -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$3\",\"params\":$4}"
}
end_gateway() {
  local group=${STARTED[-1]}
  kill -TERM -- "-$group"
  wait_until 30 'the gateway to end' bash -c "! kill -0 -- -$group"
}
same() { # NAME CAPABILITIES CALLS COMMAND...
  timeout 180 "$NODE" "$NODE_HOME/servers/stdio.mjs" "$1" "http://$GATEWAY/$1/mcp" "${@:2}" >"$RUN/same-$1.log" 2>&1
  local ended=$?
  cat "$RUN/same-$1.log"
  return $ended
}

note 'packages of the public indexes'
start_gateway packages "IDP=$IDP_URL" "SOCKET=$SOCKET" "BASE=$BASE" "TIME=$TIME" "EVERYTHING=$EVERYTHING"
for package in "uvx:mcp-server-time@$TIME" "npx:@modelcontextprotocol/server-everything@$EVERYTHING" \
  npx:@modelcontextprotocol/server-memory; do
  wait_until 600 "$package to be built" built "$package"
done
mkdir -p "$NODE_HOME/servers"
cp "$INTEROP"/servers/stdio.mjs "$NODE_HOME/servers/"
check 'a package of PyPI answers as it does without container and gateway' same time '{}' \
  '[["convert_time", {"source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo"}]]' \
  "$PYTHON" -m mcp_server_time --local-timezone UTC
check 'a package of npm answers as it does without container and gateway' same everything \
  '{"sampling": {}, "elicitation": {}, "roots": {}}' '[["echo", {"message": "Ünï"}], ["get-sum", {"a": 1.5, "b": 2}]]' \
  "$NODE" "$NODE_HOME/node_modules/@modelcontextprotocol/server-everything/dist/index.js" stdio
check 'nobody gets in without a login' grep -q SC-A01 <(asked time '' tools/list '{}')
running=$(docker ps -q --filter label=safeconduct.server=everything | head -n 1)
check 'it runs confined like any other image' [ "$(docker inspect -f \
  '{{.HostConfig.NetworkMode}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' "$running")" = \
  'none true [ALL] [no-new-privileges]' ]
check 'what runs is no other package, and the label says which' [ "$(label uvx-mcp-server-time)" = "uvx:mcp-server-time@$TIME" ]
version=$(label npx-server-memory)
check 'the newest is written down as the version that it was' grep -Eq '^npx:@modelcontextprotocol/server-memory@[0-9]' <<<"$version"
environment=$(docker inspect -f '{{json .Config.Env}}' "$running")$(docker history --no-trunc --format '{{.CreatedBy}}' "$(image_of npx-server-everything)")
check 'what was given by name is in its environment' grep -q GIVEN=by-name <<<"$environment"
check 'nothing of the gateway is in its environment or in the image' lacks "$environment" CANARY
before=$(docker images -q 'localhost/safeconduct/*' | sort)
end_gateway

note 'a second start'
GATEWAY='' && start_gateway packages "IDP=$IDP_URL" "SOCKET=$SOCKET" "BASE=$BASE" "TIME=$TIME" "EVERYTHING=$EVERYTHING"
check 'a call is answered at once' grep -q convert_time <(asked time "$INTEROP_ALICE" tools/list "{$META}")
check 'the newest is the same as before' says "kept=\"$version\""
check 'nothing is built again' says_not 'building its image'
check 'the images are the same' [ "$(docker images -q 'localhost/safeconduct/*' | sort)" = "$before" ]
end_gateway

note 'an index of the operator'
INDEX=127.0.0.1:$(free_port)
start index python3 "$INTEROP/packages/index.py" "$WORK/index" "${INDEX##*:}"
wait_until 20 'the index to answer' curl -sf "http://$INDEX/simple/interop-own/"
GATEWAY='' && start_gateway packages-own "IDP=$IDP_URL" "SOCKET=$SOCKET" "BASE=$BASE" "INDEX=http://$INDEX" ENGINE=docker
wait_until 120 'the package to be built' built uvx:interop-own@1.0
status=$(asked own "$INTEROP_ALICE" tools/call "{\"name\":\"status\",\"arguments\":{},$META}" status)
check 'the package of that index answers, and was taken from there' grep -q 'GET /simple/interop-own/interop_own' "$RUN/index.log"
inside() { grep -qF -- "$1" <<<"$status"; }
check 'inside it is nobody in particular' inside '\"uid\": 65532'
check 'inside it has no capabilities' inside '\"capabilities\": 0'
check 'inside there is no network, though the build had one' inside '\"routes\": []'
check 'inside nothing of the image can be changed' inside '\"writes\": false'
check 'inside there is nothing of the gateway' lacks "$status" CANARY
for server in source absent; do
  check "$server is refused" grep -q SC-B06 <(asked "$server" "$INTEROP_ALICE" tools/list "{$META}")
  check "$server: it is said why" says "cannot build the image of uvx:interop-$server@1.0"
done
check 'the code of a package does not run while it is installed' lacks "$(cat "$RUN/index.log")" code-ran
sed -i 's/interop-source@1.0/interop-source@1.0\n    install_scripts: true/' "$RUN/safeconduct.yaml"
wait_until 30 'the change to be read' says reloaded
ran() { asked source "$INTEROP_ALICE" tools/list "{$META}" >/dev/null; grep -q code-ran "$RUN/index.log"; }
check 'unless that is said' wait_until 60 'the package to run its code' ran
end_gateway

note 'the same with Podman'
printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/podman/root"\nrunroot = "%s/podman/run"\n' "$WORK" "$WORK" >"$WORK/storage.conf"
# There is no systemd to ask for control groups.
printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >"$WORK/containers.conf"
export CONTAINERS_CONF=$WORK/containers.conf CONTAINERS_STORAGE_CONF=$WORK/storage.conf
start podman podman system service --time=0 "unix://$WORK/podman.sock"
wait_until 60 'podman to answer' curl -sf --unix-socket "$WORK/podman.sock" http://engine/_ping
docker save base:local | podman load >/dev/null 2>&1
: >"$RUN/gateway.log"
GATEWAY='' && start_gateway packages-own "IDP=$IDP_URL" "SOCKET=$WORK/podman.sock" "BASE=$(podman images -q --no-trunc)" \
  "INDEX=http://$INDEX" ENGINE=podman
wait_until 120 'the package to be built' built uvx:interop-own@1.0
status=$(asked own "$INTEROP_ALICE" tools/call "{\"name\":\"status\",\"arguments\":{},$META}" status)
check 'Podman: inside it is nobody in particular' inside '\"uid\": 65532'
check 'Podman: inside there is no network, though the build had one' inside '\"routes\": []'
check 'Podman: the label says which package it is' [ "$(podman image inspect -f '{{index .Config.Labels "safeconduct.package"}}' \
  "$(podman images -q localhost/safeconduct/uvx-interop-own)")" = uvx:interop-own@1.0 ]
end_gateway

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
