#!/usr/bin/env bash
# Public servers, the clouds' own SDKs, and a server that misbehaves, each confined in a container of a real engine behind
# the gateway's own `serve`, called by official clients; then faults: what is killed, full, or too much. As root.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$INTEROP/engine/docker.sh"

need python3 curl git unshare
install_engines
install_node
install_python
SITE=$CACHE/site
want=$(cat "$INTEROP/requirements.txt" "$INTEROP/sdks/requirements.txt" | sha256sum | cut -d' ' -f1)-$(/usr/bin/python3 --version | tr -d ' ')
if [ "$want" != "$(cat "$SITE/.installed" 2>/dev/null || true)" ]; then
  note 'installing the Python packages of the image'
  rm -rf "$SITE"
  # For the Python that goes into the image, which may be another than that of the PATH.
  "$PYTHON" -m pip --python /usr/bin/python3 install --quiet --disable-pip-version-check --root-user-action ignore \
    --target "$SITE" -r "$INTEROP/requirements.txt" -r "$INTEROP/sdks/requirements.txt"
  printf '%s' "$want" >"$SITE/.installed"
fi
build_equipment
build_gateway
fresh_run containers

WORK=$(mktemp -d /tmp/safeconduct-containers.XXXX)
OWN=scc-$$-$RANDOM
chmod 755 "$WORK"
trap clean_up EXIT
clean_up() {
  stop_gateway || true
  if [ -S "$DOCKER_SOCKET" ]; then
    gateways_containers | xargs -r docker rm -f >/dev/null 2>&1 || true
    docker rmi -f "$OWN:servers" >/dev/null 2>&1 || true
  fi
  stop_all
  umount "$WORK/audit" 2>/dev/null || true
  for mount in $(awk -v work="$WORK" 'index($5, work) == 1 {print $5}' /proc/self/mountinfo | sort -r); do
    umount -l "$mount" 2>/dev/null || true
  done
  rm -rf "$WORK" "${PLACE:-}"
}
stop_gateway() { [ -z "${GATEWAY_PID:-}" ] || { kill -TERM "$GATEWAY_PID" && wait "$GATEWAY_PID"; } 2>/dev/null; }
gateways_containers() { [ -n "${IMAGE:-}" ] && docker ps -aq --filter "ancestor=$IMAGE"; }

start_docker
note 'making the image'
# The servers are compared with themselves, at one place in and outside of containers; below /tmp there is nothing of an image.
PLACE=$(mktemp -d /var/tmp/safeconduct-servers.XXXX)
cp -r "$NODE_HOME/node_modules" "$PLACE/"
chmod -R a+rX "$PLACE"
SERVERS=$PLACE/node_modules/@modelcontextprotocol
"$INTEROP/containers/image.sh" "$WORK/image" "$SITE" "$NODE" "$SERVERS"
tar -C "$WORK/image" -c . | docker import --change 'USER 1000' --change 'ENV PYTHONPATH=/opt/site' \
  --change 'ENV PATH=/usr/bin:/bin' - "$OWN:servers" >/dev/null
rm -rf "$WORK/image"
IMAGE=$(docker inspect --type image -f '{{.Id}}' "$OWN:servers")

# At a place that an ordinary user may read, for containers run as one.
FILES=$WORK/files
mkdir -p "$FILES" "$WORK/audit"
git -C "$FILES" init --quiet
printf 'Ünïcödé\n' >"$FILES/note.txt"
git -C "$FILES" -c user.name=interop -c user.email=interop@example.com add note.txt
git -C "$FILES" -c user.name=interop -c user.email=interop@example.com commit --quiet -m 'A note'
chmod -R a+rX "$FILES"
mount -t tmpfs -o size=1m tmpfs "$WORK/audit"

GATEWAY_SECRET=$(new_secret)
export GATEWAY_SECRET
start idp "$IDP"
IDP_URL=$(url_of idp)
start clouds env PYTHONPATH="$SITE" /usr/bin/python3 "$INTEROP/sdks/clouds.py" "$IDP_URL"
CLOUD=$(url_of clouds)
EVERYTHING=127.0.0.1:$(free_port)
start everything env PORT="${EVERYTHING##*:}" "$NODE" --import "$INTEROP/servers/loopback.mjs" \
  "$SERVERS/server-everything/dist/index.js" streamableHttp
accepts() { (exec 3<>"/dev/tcp/${1%%:*}/${1##*:}"); }
wait_until 20 'server-everything' accepts "$EVERYTHING"

# The clouds' name is known to the gateway alone: in a mount namespace of its own it has its own /etc/hosts.
printf '127.0.0.1 localhost cloud.test\n' >"$WORK/hosts"
PROGRAM=$SAFECONDUCT
printf '#!/bin/sh\nexec unshare -m sh -c '\''mount --bind "$0" /etc/hosts && exec "$@"'\'' "%s" "%s" "$@"\n' \
  "$WORK/hosts" "$PROGRAM" >"$WORK/gateway"
chmod 755 "$WORK/gateway"
SAFECONDUCT=$WORK/gateway
start_gateway containers "IDP=$IDP_URL" "IMAGE=$IMAGE" "SERVERS=$SERVERS" "FILES=$FILES" "CLOUD_PORT=${CLOUD##*:}" "CLOUD=$CLOUD" \
  "SOCKET=$DOCKER_SOCKET" "AUDIT=$WORK/audit"
GATEWAY_PID=${STARTED[-1]}
for name in alice bob; do
  declare "INTEROP_${name^^}=$(token_of "$name")"
  export "INTEROP_${name^^}"
done

passed=0 failed=0
judged() { # NAME COMMAND...: lines that begin with `ok` are counted
  local name=$1
  shift
  if timeout 300 "$@" >"$RUN/$name.out" 2>&1; then
    grep '^ok' "$RUN/$name.out" || true
  else
    grep '^ok' "$RUN/$name.out" || true
    printf 'FAILED - %s\n' "$name"
    tail -n 40 "$RUN/$name.out"
    failed=$((failed + 1))
  fi
  passed=$((passed + $(grep -c '^ok' "$RUN/$name.out" || true)))
}
mkdir -p "$NODE_HOME/servers"
cp "$INTEROP"/servers/{stdio,compare}.mjs "$NODE_HOME/servers/"
stdio() { # NAME CAPABILITIES CALLS COMMAND...
  local name=$1
  shift
  judged "stdio-$name" "$NODE" "$NODE_HOME/servers/stdio.mjs" "$name" "http://$GATEWAY/$name/mcp" "$@"
}

note 'public servers: in a container the same as outside of one'
stdio everything '{"sampling": {}, "elicitation": {}, "roots": {}}' '[["echo", {"message": "Ünï \"quoted\""}], ["get-tiny-image", {}],
  ["trigger-long-running-operation", {"duration": 1, "steps": 4}], ["trigger-sampling-request", {"prompt": "Hello?", "maxTokens": 10}],
  ["trigger-elicitation-request", {}], ["no-such-tool", {}]]' "$NODE" "$SERVERS/server-everything/dist/index.js" stdio
stdio filesystem '{}' "[[\"list_allowed_directories\", {}], [\"read_text_file\", {\"path\": \"$FILES/note.txt\"}],
  [\"read_text_file\", {\"path\": \"/etc/passwd\"}], [\"list_directory\", {\"path\": \"$FILES\"}]]" \
  "$NODE" "$SERVERS/server-filesystem/dist/index.js" "$FILES"
stdio time '{}' '[["convert_time", {"source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo"}],
  ["convert_time", {"source_timezone": "Nowhere", "time": "12:00", "target_timezone": "UTC"}]]' \
  "$PYTHON" -m mcp_server_time --local-timezone UTC
stdio git '{}' "[[\"git_log\", {\"repo_path\": \"$FILES\"}], [\"git_status\", {\"repo_path\": \"$FILES\"}], [\"git_status\", {\"repo_path\": \"/\"}]]" \
  "$PYTHON" -m mcp_server_git --repository "$FILES"
judged http-everything "$NODE" "$NODE_HOME/servers/compare.mjs" everything-http "http://$EVERYTHING/mcp" \
  "http://$GATEWAY/everything-http/mcp" '[["echo", {"message": "Ünï"}], ["get-structured-content", {"location": "New York"}],
  ["trigger-long-running-operation", {"duration": 1, "steps": 4}]]'

note 'the clouds'\'' own SDKs: two people at once'
judged people "$PYTHON" "$INTEROP/containers/people.py" "$GATEWAY"

note 'faults'
stop_gateway || true
GATEWAY_PID=
cp "$RUN/gateway.log" "$RUN/gateway-first.log"
judged left-at-the-end bash -c '[ -z "$(docker ps -aq --filter "ancestor=$1")" ] && echo "ok - nothing is left of what ran"' _ "$IMAGE"
judged first env IMAGE="$IMAGE" "$PYTHON" "$INTEROP/containers/first.py" "$PROGRAM" "$RUN"
judged faults env IMAGE="$IMAGE" IDP_URL="$IDP_URL" PROGRAM="$SAFECONDUCT" "$PYTHON" "$INTEROP/containers/faults.py" \
  "$RUN" "$WORK"


note 'the engine is killed'
start_second_docker "$WORK"
docker save "$IMAGE" | docker --host "unix://$WORK/docker.sock" load >/dev/null
start killed env IMAGE="$IMAGE" IDP_URL="$IDP_URL" PROGRAM="$SAFECONDUCT" KILLED_SOCKET="$WORK/docker.sock" \
  KILLED_PID="$DOCKERD_KILLED" "$PYTHON" "$INTEROP/containers/faults.py" "$RUN" "$WORK"
KILLED=${STARTED[-1]}
for _ in $(seq 900); do
  [ -e "$WORK/engine-killed" ] && { start_second_docker "$WORK"; touch "$WORK/engine-back"; break; }
  kill -0 "$KILLED" 2>/dev/null || break
  sleep 0.1
done
judged killed bash -c 'tail --pid="$1" -f /dev/null; cat "$2"; ! grep -q Traceback "$2"' _ "$KILLED" "$RUN/killed.log"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
