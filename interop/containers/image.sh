#!/usr/bin/env bash
# image.sh DIRECTORY SITE NODE SERVERS: the root of an image with the public servers in it, made of this machine's own
# Python, git and busybox, and of what pip (SITE) and npm (NODE, SERVERS) have installed. Nothing is fetched.
set -euo pipefail
root=$1 site=$2 node=$3 servers=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

"$here/../engine/image.sh" "$root"
with_libraries() { # FILE PLACE: a program, and what it is linked with
  cp -L "$1" "$root$2"
  ldd "$1" | grep -oE '/[^ ):]+\.so[^ ):]*' | sort -u | while read -r file; do
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
}
with_libraries "$(readlink -f "$node")" /usr/bin/node
with_libraries "$(command -v git)" /usr/bin/git
# What wheels are linked with and do not bring along.
find "$site" -name '*.so' -exec ldd {} + 2>/dev/null | grep -oE '=> /(usr/)?lib[^ ):]+\.so[^ ):]*' | cut -c4- | sort -u |
  while read -r file; do
    mkdir -p "$root$(dirname "$file")"
    [ -e "$root$file" ] || cp -L "$file" "$root$file"
  done

mkdir -p "$root/opt/site"
cp -r "$site/." "$root/opt/site/"
# The servers stand where they do outside: they are compared with themselves.
modules=${servers%/@modelcontextprotocol}
mkdir -p "$root$modules/@modelcontextprotocol"
for name in "$modules"/*; do
  case ${name##*/} in @modelcontextprotocol | node | node-bin-* | node-linux-* | .bin) continue ;; esac
  cp -r "$name" "$root$modules/"
done
cp -r "$servers"/server-{everything,filesystem} "$servers/sdk" "$root$servers/"
cp "$here"/{clouds_server,misbehaves}.py "$root/srv/"
find "$root/opt" "$root/srv" "$root$modules" -type d -exec chmod a+rx {} + -o -type f -exec chmod a+r {} +
