#!/usr/bin/env bash
# Measures servers that the gateway starts: what the first call of a stopped one waits for, what standard streams cost
# beside HTTP, what a running server takes of the gateway's memory, what passes through the way out. Prints the table of
# docs/performance.md. Needs root: containers, and a name of its own for the gateway.
#
#   bench/runtime.sh           some minutes
#   bench/runtime.sh --quick   that everything still works; its numbers say little
#
# Fails when something does not work, never because of a time.
source "$(dirname "${BASH_SOURCE[0]}")/../interop/lib.sh"
source "$INTEROP/engine/docker.sh"
sizes=(--cold 20 --warm 3000 --servers 50 --mebibytes 1024)
[ "${1:-}" != --quick ] || sizes=(--cold 2 --warm 100 --servers 5 --mebibytes 32)

need python3 curl unshare
install_engines
build_gateway
build_equipment
[ "$CARGO_PROFILE" = debug ] || (cd "$ROOT" && cargo build --quiet --locked --release -p safeconduct-interop-fixture)
SERVER=$TARGET/$CARGO_PROFILE/interop-mcp
fresh_run runtime
WORK=$(mktemp -d /tmp/safeconduct-bench.XXXX)
OWN=scb-$$-$RANDOM
chmod 755 "$WORK"
trap clean_up EXIT
clean_up() {
  stop_all
  [ -z "${IMAGE:-}" ] || docker rmi -f "$OWN:bench" >/dev/null 2>&1 || true
  rm -rf "$WORK"
}

start_docker
"$INTEROP/engine/image.sh" "$WORK/image"
cp "$ROOT/bench/fetch.py" "$WORK/image/srv/"
cp "$SERVER" "$WORK/image/srv/server"
ldd "$SERVER" | grep -oE '/[^ ):]+\.so[^ ):]*' | while read -r file; do
  mkdir -p "$WORK/image$(dirname "$file")"
  cp -L "$file" "$WORK/image$file"
done
IMAGE=$(tar -C "$WORK/image" -c . | docker import --change 'USER 1000' - "$OWN:bench")

GATEWAY_SECRET=$(new_secret)
export GATEWAY_SECRET
start idp "$IDP"
IDP_URL=$(url_of idp)
start http "$SERVER"
HTTP_URL=$(url_of http)
start origin python3 "$ROOT/bench/origin.py"
ORIGIN=$(url_of origin)
printf '127.0.0.1 localhost origin.test\n' >"$WORK/hosts"
GATEWAY=127.0.0.1:$(free_port) ADMIN=127.0.0.1:$(free_port)
sed -e "s|@GATEWAY@|$GATEWAY|g; s|@ADMIN@|$ADMIN|g; s|@IDP@|$IDP_URL|g; s|@HTTP@|$HTTP_URL|g; s|@SERVER@|$SERVER|g" \
  -e "s|@IMAGE@|$IMAGE|g; s|@ORIGIN@|${ORIGIN##*:}|g; s|@RUN@|$RUN|g; s|@SOCKET@|$DOCKER_SOCKET|g" \
  "$ROOT/bench/runtime.yaml" >"$RUN/safeconduct.yaml"
echo 'permit (principal in Group::"corp/support", action, resource);' >"$RUN/all.cedar"
start gateway unshare -m sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$WORK/hosts" \
  "$SAFECONDUCT" serve --config "$RUN/safeconduct.yaml"
wait_until 60 'the gateway to be ready' curl -sf "http://$ADMIN/readyz"
python3 "$ROOT/bench/runtime.py" --gateway "$GATEWAY" --admin "$ADMIN" --idp "$IDP_URL" --pid "${STARTED[-1]}" \
  --program "$SAFECONDUCT" --config "$RUN/safeconduct.yaml" --origin "${ORIGIN##*:}" "${sizes[@]}"
