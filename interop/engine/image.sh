#!/usr/bin/env bash
# image.sh DIRECTORY: the root of a small image, made of this machine's own Python and busybox (nothing is fetched).
# What runs in it is probe.py: it does what it is told over its standard input, and says what came of it.
set -euo pipefail
root=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Debian's own: its parts stand where everybody may read them.
python=$(readlink -f /usr/bin/python3)
library=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')

rm -rf "$root"
mkdir -p "$root"/{bin,etc,lib,lib64,usr/bin,usr/lib,tmp,run/safeconduct,var/tmp,home/app,proc,sys,dev,data,srv}
cp "$(command -v busybox)" "$root/bin/busybox"
for name in sh ls cat id mount ps sleep; do ln -s busybox "$root/bin/$name"; done
# A program that would make whoever runs it root, were that still possible.
cp "$root/bin/busybox" "$root/bin/rootme"
chmod 4755 "$root/bin/rootme"

mkdir -p "$root$(dirname "$python")" "$root$(dirname "$library")"
cp "$python" "$root/usr/bin/python3"
cp -r "$library" "$root$(dirname "$library")/"
rm -rf "$root$library"/{test,idlelib,lib2to3,ensurepip,turtledemo,tkinter,dist-packages} "$root$library"/config-*
find "$root$library" -name __pycache__ -prune -exec rm -rf {} +
{ ldd "$python"; find "$library/lib-dynload" -name '*.so' -exec ldd {} + || true; } 2>/dev/null |
  grep -oE '/[^ ):]+\.so[^ ):]*' | sort -u | while read -r file; do
  mkdir -p "$root$(dirname "$file")"
  cp -L "$file" "$root$file"
done
# Names are looked up in files and by asking; both are libraries on some systems.
for file in /lib/*-linux-gnu/libnss_{files,dns}.so.2; do
  [ -e "$file" ] && cp -L "$file" "$root$file"
done

printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
printf 'root:x:0:0:root:/:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\nsneaky:x:0:0::/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\napp:x:1000:\n' >"$root/etc/group"
chown -R 1000:1000 "$root/home/app" "$root/data"
chmod 1777 "$root/tmp" "$root/var/tmp"
cp "$here/probe.py" "$root/probe.py"
