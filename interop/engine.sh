#!/usr/bin/env bash
# Confinement, asserted from inside containers of real engines: Docker and Podman, and every way in which an instance
# and the gateway can meet. Installs the engines (Debian, as root), starts what does not run and stops it again.
# `engine.sh docker-inside podman-rootless ...` runs these only.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$INTEROP/engine/docker.sh"

ALL=(inside docker-inside docker-bridge docker-joined docker-killed podman-inside podman-rootless podman-killed)
[ $# -gt 0 ] || set -- "${ALL[@]}"

install_engines

fresh_run engine
# What other users and containers read too; sockets have short paths.
WORK=$(mktemp -d /tmp/safeconduct-engine.XXXX)
MEMORY=/dev/shm/${WORK##*/}
# The name of all that is made in an engine, which others may be using too.
OWN=sce-$$-$RANDOM
passed=0 failed=0
chmod 755 "$WORK"
mkdir -p "$WORK/shared" "$MEMORY"
chmod 1777 "$WORK/shared"
trap clean_up EXIT

clean_up() {
  if [ -S "$DOCKER_SOCKET" ]; then
    docker ps -a --format '{{.ID}} {{.Label "safeconduct.owner"}}' | ours | xargs -r docker rm -f >/dev/null 2>&1 || true
    docker network ls --format '{{.ID}} {{.Label "safeconduct.owner"}}' | ours | xargs -r docker network rm >/dev/null 2>&1 || true
    docker rm -f "$OWN-gateway" >/dev/null 2>&1 || true
    docker rmi -f "$OWN:probe" "$OWN:root" ${PULLED:+"$PULLED"} >/dev/null 2>&1 || true
  fi
  for home in podman rootless; do
    [ -d "$WORK/$home" ] || continue
    as_"$home" podman rm -af >/dev/null 2>&1 || true
    as_"$home" podman system prune -af >/dev/null 2>&1 || true
  done
  stop_all
  # The user's own namespaces are held by a process of its own.
  if id -u "$OWN" >/dev/null 2>&1; then
    as_rootless podman system migrate >/dev/null 2>&1 || true
    userdel -r "$OWN" >/dev/null 2>&1 || true
  fi
  for mount in $(awk -v work="$WORK" 'index($5, work) == 1 {print $5}' /proc/self/mountinfo | sort -r); do
    umount -l "$mount" 2>/dev/null || true
  done
  rm -rf "$WORK" "$MEMORY"
}

ours() { awk -v own="$OWN-" 'index($2, own) == 1 {print $1}'; }

# ---- engines

import() { # COMMAND...: makes the two images, and sets IMAGE and ROOT_IMAGE
  local program='CMD ["/usr/bin/python3", "/probe.py"]'
  "$@" import --change 'USER 1000' --change "$program" "$WORK/image.tar" "$OWN:probe" >/dev/null 2>&1
  "$@" import --change "$program" "$WORK/image.tar" "$OWN:root" >/dev/null 2>&1
  IMAGE=$("$@" inspect --type image -f '{{.Id}}' "$OWN:probe" 2>/dev/null)
  ROOT_IMAGE=$("$@" inspect --type image -f '{{.Id}}' "$OWN:root" 2>/dev/null)
  [ -n "$IMAGE" ] && [ -n "$ROOT_IMAGE" ] || fail "no image: $*"
  IMAGE=sha256:${IMAGE#sha256:} ROOT_IMAGE=sha256:${ROOT_IMAGE#sha256:}
}

# A registry on loopback with the image in it, which is then removed here: PULL is its name by digest.
publish() { # COMMAND...
  if [ -z "${REGISTRY:-}" ]; then
    REGISTRY=127.0.0.1:$(free_port)
    printf 'version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/registry\nhttp:\n  addr: %s\n' "$WORK" "$REGISTRY" \
      >"$WORK/registry.yml"
    start registry docker-registry serve "$WORK/registry.yml"
    wait_until 20 'the registry to answer' curl -sf "http://$REGISTRY/v2/"
    printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$REGISTRY" >"$WORK/registries.conf"
    # Another image than the one that is here: removing it leaves that alone.
    cp -r "$WORK/image" "$WORK/pulled"
    touch "$WORK/pulled/srv/pulled"
    tar -C "$WORK/pulled" -c . >"$WORK/pulled.tar"
  fi
  local name=$REGISTRY/probe:1
  "$@" import --change 'USER 1000' --change 'CMD ["/usr/bin/python3", "/probe.py"]' "$WORK/pulled.tar" "$name" >/dev/null 2>&1
  "$@" push "$name" >/dev/null 2>&1 || fail "cannot push: $*"
  local digest
  digest=$(curl -sfI -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
    -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$REGISTRY/v2/probe/manifests/1" |
    tr -d '\r' | sed -n 's/^Docker-Content-Digest: //Ip')
  "$@" rmi -f "$name" >/dev/null 2>&1
  PULL=$REGISTRY/probe@$digest
}

as_podman() {
  CONTAINERS_CONF=$WORK/containers.conf CONTAINERS_REGISTRIES_CONF=$WORK/registries.conf \
    CONTAINERS_STORAGE_CONF=$WORK/podman/storage.conf "$@"
}

start_podman() {
  mkdir -p "$WORK/podman"
  printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/podman/root"\nrunroot = "%s/podman/run"\n' "$WORK" "$WORK" \
    >"$WORK/podman/storage.conf"
  # What the service has in its own environment must not get into a container.
  as_podman start podman env -C "$WORK" HTTP_PROXY=http://leaked.test:1 podman system service --time=0 "unix://$WORK/podman.sock"
  PODMAN_PID=${STARTED[-1]}
  wait_until 60 'podman to answer' curl -sf --unix-socket "$WORK/podman.sock" http://engine/_ping
}

rootless_id() { id -u "$OWN"; }

as_rootless() {
  setpriv --reuid="$(rootless_id)" --regid="$(rootless_id)" --clear-groups env -i -C / HOME="/home/$OWN" PATH="$PATH" \
    XDG_RUNTIME_DIR="$MEMORY/rootless" CONTAINERS_CONF="$WORK/containers.conf" \
    CONTAINERS_REGISTRIES_CONF="$WORK/registries.conf" "$@"
}

start_rootless() {
  id -u "$OWN" >/dev/null 2>&1 || useradd -m "$OWN"
  mkdir -p "$MEMORY/rootless" "$WORK/rootless"
  chown "$OWN" "$MEMORY/rootless"
  chmod 700 "$MEMORY/rootless"
  start rootless setpriv --reuid="$(rootless_id)" --regid="$(rootless_id)" --clear-groups env -i -C / \
    HOME="/home/$OWN" PATH="$PATH" XDG_RUNTIME_DIR="$MEMORY/rootless" CONTAINERS_CONF="$WORK/containers.conf" \
    CONTAINERS_REGISTRIES_CONF="$WORK/registries.conf" \
    podman system service --time=0 "unix://$MEMORY/rootless/podman.sock"
  wait_until 60 'rootless podman to answer' curl -sf --unix-socket "$MEMORY/rootless/podman.sock" http://engine/_ping
}

# ---- runs

count() { # NAME: adds up what the tests said
  local line ok=0 bad=0 any=0
  while read -r line; do
    any=1
    ok=$((ok + $(sed -E 's/.* ([0-9]+) passed.*/\1/' <<<"$line")))
    bad=$((bad + $(sed -E 's/.* ([0-9]+) failed.*/\1/' <<<"$line")))
  done < <(grep -E '^test result: ' "$RUN/$1.out" || true)
  [ "$any" = 1 ] || bad=1
  [ "$bad" = 0 ] || { grep -E '^(test .*FAILED|thread .*panicked|---- )' -A 3 "$RUN/$1.out" | tail -n 60 >&2 || true; }
  passed=$((passed + ok)) failed=$((failed + bad))
  printf '%-16s %3d passed, %d failed\n' "$1" "$ok" "$bad"
}

settings() { # KEY=VALUE...: for `env`
  SETTINGS=(SAFECONDUCT_TEST_INSIDE="$WORK/bin/inside" SAFECONDUCT_TEST_IMAGE="$IMAGE"
    SAFECONDUCT_TEST_ROOT_IMAGE="$ROOT_IMAGE" SAFECONDUCT_TEST_SHARED="$WORK/shared"
    SAFECONDUCT_TEST_PULL="${PULL:-}" SAFECONDUCT_TEST_ROOTLESS=0 SAFECONDUCT_TEST_UNLIMITED=0 SAFECONDUCT_TEST_DNS=1
    SAFECONDUCT_TEST_LINK=inside SAFECONDUCT_TEST_MANY=50 SAFECONDUCT_TEST_OWNER="$OWN")
  local pair
  for pair in "$@"; do SETTINGS+=("SAFECONDUCT_TEST_$pair"); done
}

run_inside() {
  env SAFECONDUCT_TEST_INSIDE="$WORK/bin/inside" "$WORK/bin/unit" inside::tests >"$RUN/inside.out" 2>&1 || true
}

docker_settings() {
  start_docker
  import docker
  publish docker
  PULLED=$PULL
  settings NAME=docker ENGINE=unix:///var/run/docker.sock TAG="$OWN:probe" "$@"
}

run_docker-inside() {
  docker_settings
  env "${SETTINGS[@]}" "$WORK/bin/confinement" >"$RUN/docker-inside.out" 2>&1 || true
}

run_docker-bridge() { # as an ordinary user who may speak to Docker
  docker_settings LINK=bridge DNS=0
  local group
  group=$(stat -c %g /var/run/docker.sock)
  (cd / && setpriv --reuid=65534 --regid="$group" --clear-groups env -i PATH="$PATH" "${SETTINGS[@]}" \
    "$WORK/bin/confinement") >"$RUN/docker-bridge.out" 2>&1 || true
}

run_docker-joined() { # the gateway is a container itself
  docker_settings LINK=joined
  mkdir -p "$MEMORY/joined"
  local pairs=() pair
  for pair in "${SETTINGS[@]}"; do pairs+=(--env "$pair"); done
  docker run --rm --name "$OWN-gateway" --user 0 --read-only --security-opt no-new-privileges --cap-drop ALL \
    --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER -v /var/run/docker.sock:/var/run/docker.sock -v "$WORK:$WORK" \
    -v "$MEMORY/joined:/run/safeconduct" -v /lib:/lib:ro -v /lib64:/lib64:ro -v /usr/lib:/usr/lib:ro "${pairs[@]}" \
    "$ROOT_IMAGE" "$WORK/bin/confinement" >"$RUN/docker-joined.out" 2>&1 || true
}

run_docker-killed() {
  start_second_docker "$WORK"
  import docker --host "unix://$WORK/docker.sock"
  settings NAME=docker ENGINE="unix://$WORK/docker.sock" TAG="$OWN:probe" PID="$DOCKERD_KILLED"
  killed docker-killed
  start_second_docker "$WORK"
  back docker-killed
  docker --host "unix://$WORK/docker.sock" rmi -f "$OWN:probe" "$OWN:root" >/dev/null 2>&1 || true
}

killed() { env "${SETTINGS[@]}" "$WORK/bin/engine_killed" --exact who_waits_is_told_that_the_engine_is_gone >"$RUN/$1.out" 2>&1 || true; }

back() { env "${SETTINGS[@]}" "$WORK/bin/engine_killed" --exact what_was_left_behind_is_found_when_it_is_back >>"$RUN/$1.out" 2>&1 || true; }

podman_settings() {
  [ -S "$WORK/podman.sock" ] || start_podman
  import as_podman podman
  publish as_podman podman
  settings NAME=podman MANY=20 ENGINE="unix://$WORK/podman.sock" TAG="localhost/$OWN:probe" "$@"
}

run_podman-inside() {
  podman_settings
  env "${SETTINGS[@]}" "$WORK/bin/confinement" >"$RUN/podman-inside.out" 2>&1 || true
}

run_podman-killed() {
  podman_settings PID="$PODMAN_PID"
  killed podman-killed
  wait "$PODMAN_PID" 2>/dev/null || true
  rm -f "$WORK/podman.sock"
  start_podman
  back podman-killed
}

run_podman-rootless() {
  start_rootless
  import as_rootless podman
  publish as_rootless podman
  local skip=()
  settings NAME=podman MANY=20 ENGINE="unix://$MEMORY/rootless/podman.sock" TAG="localhost/$OWN:probe" ROOTLESS=1
  if [ "$(as_rootless podman info -f '{{.Host.CgroupsVersion}}' 2>/dev/null)" != v2 ]; then
    # Without control groups of version 2 nothing is limited there. That this is refused is one of the tests.
    note 'this machine has control groups of version 1, with which an ordinary user'\''s engine limits nothing: that it is refused is judged, limits are not'
    settings NAME=podman MANY=20 ENGINE="unix://$MEMORY/rootless/podman.sock" TAG="localhost/$OWN:probe" ROOTLESS=1 UNLIMITED=1
    skip=(--skip limits::a_fork_bomb --skip limits::a_memory_bomb --skip limits::processors)
  fi
  as_rootless env "${SETTINGS[@]}" "$WORK/bin/confinement" "${skip[@]}" >"$RUN/podman-rootless.out" 2>&1 || true
}

# ---- what runs

note 'building the tests and the image'
need cargo
build() { # TEST NAME: builds one and copies it to where everybody may read it
  local file
  file=$(cd "$ROOT" && cargo test --quiet --locked -p safeconduct-runtime --features engine-tests "$@" --no-run \
    --message-format=json 2>/dev/null | python3 -c '
import json, sys
found = [json.loads(line) for line in sys.stdin if line.startswith("{")]
print([item["executable"] for item in found if item.get("executable") and item.get("profile", {}).get("test")][-1])')
  cp "$file" "$WORK/bin/$2"
}
mkdir -p "$WORK/bin"
for test in confinement engine_killed; do
  build --test "$test"
done
build --lib unit
(cd "$ROOT" && cargo build --quiet --locked -p safeconduct-runtime --example inside)
cp "$TARGET/debug/examples/inside" "$WORK/bin/inside"
"$INTEROP/engine/image.sh" "$WORK/image"
tar -C "$WORK/image" -c . >"$WORK/image.tar"
# crun does not know hybrid control groups; there is no systemd to ask for them; and no limit may be raised here.
printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >"$WORK/containers.conf"
printf '[containers]\ndefault_ulimits = ["nofile=1024:8192", "nproc=4096:4096"]\n' >>"$WORK/containers.conf"
: >"$WORK/registries.conf"

for run in "$@"; do
  note "$run"
  run_"$run"
  count "$run"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
