# The container engines of this machine. Sourced after lib.sh.
DOCKER_SOCKET=${DOCKER_SOCKET:-/var/run/docker.sock}
export DOCKER_HOST=unix://$DOCKER_SOCKET

install_engines() {
  [ "$(id -u)" = 0 ] || fail 'needs root: it starts container engines'
  local program
  for program in dockerd podman docker-registry runc crun busybox newuidmap ip /usr/bin/python3; do
    command -v "$program" >/dev/null && continue
    note 'installing the engines'
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      docker.io podman runc crun netavark uidmap docker-registry busybox-static iproute2 python3 >/dev/null
    break
  done
  need docker dockerd podman docker-registry setpriv unshare ip
}

start_docker() { # uses the one that runs, if there is one
  docker info >/dev/null 2>&1 && return 0
  note 'starting dockerd'
  start dockerd dockerd
  wait_until 60 'dockerd to answer' docker info
}

# A second dockerd below a directory, for it will be killed: its pid is in $DOCKERD_KILLED. It needs no bridge: instances
# and the gateway meet inside.
start_second_docker() { # DIRECTORY
  [ -z "${DOCKERD_KILLED:-}" ] || wait "$DOCKERD_KILLED" 2>/dev/null || true
  # Its containerd died with it, but where nobody reaps, its number still seems to be in use.
  rm -f "$1/docker/pid" "$1/docker/exec/containerd/containerd.pid"
  start dockerd-killed dockerd --data-root "$1/docker/data" --exec-root "$1/docker/exec" \
    --pidfile "$1/docker/pid" --host "unix://$1/docker.sock" --bridge none --iptables=false
  DOCKERD_KILLED=${STARTED[-1]}
  wait_until 60 'the second dockerd to answer' docker --host "unix://$1/docker.sock" info
}
