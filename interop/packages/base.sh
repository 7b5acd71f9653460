#!/usr/bin/env bash
# base.sh DIRECTORY: the root of a base image for packages, made of this machine's own Python with pip and Node.js with
# npm (nothing is fetched): what `python:slim` and `node:slim` are elsewhere.
set -euo pipefail
root=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/../engine/image.sh" "$root"

python=$(readlink -f /usr/bin/python3)
library=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
# pip, as its own wheel has it, without what a distribution does to it.
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$root/tmp" pip
mkdir -p "$root$library/site-packages" "$root/usr/local/lib"
"$python" -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' "$root"/tmp/pip-*.whl \
  "$root$(dirname "$library")/python3/dist-packages"
rm -f "$root"/tmp/pip-*.whl

node=$(readlink -f "$(command -v node)")
npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
cp "$node" "$root/usr/bin/node"
ldd "$node" | grep -oE '/[^ ):]+\.so[^ ):]*' | sort -u | while read -r file; do
  mkdir -p "$root$(dirname "$file")"
  cp -L "$file" "$root$file"
done
mkdir -p "$root/usr/lib/node_modules"
cp -rL "$npm" "$root/usr/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/bin/npm"
ln -s ../../bin/busybox "$root/usr/bin/env"

# What wheels are linked with (manylinux).
for name in librt.so.1 libdl.so.2 libutil.so.1 libpthread.so.0 libm.so.6 libgcc_s.so.1 libstdc++.so.6 libresolv.so.2; do
  for file in /lib/*-linux-gnu/"$name" /usr/lib/*-linux-gnu/"$name"; do
    [ -e "$file" ] || continue
    mkdir -p "$root$(dirname "$file")"
    cp -L "$file" "$root$file"
  done
done

mkdir -p "$root/etc/ssl/certs"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
