#!/usr/bin/env bash
# Makes the root of the image: the binary without debug information, the libraries that it loads,
# certificate authorities, and a user.
# Usage: deploy/rootfs.sh BINARY DIRECTORY
set -euo pipefail

binary=$1 root=$2
# What the binary may load; another library in this list is a build that found too much on its machine.
allowed='^(linux-vdso|ld-linux[a-z0-9-]*|libc|libm|libgcc_s|libdl|libpthread|librt)\.so'

install -D -m 0755 "$binary" "$root/usr/local/bin/sequencer"
strip --strip-debug "$root/usr/local/bin/sequencer"

while read -r name path; do
  if [[ ! $name =~ $allowed ]]; then
    echo "rootfs: the binary loads $name, which is not in the image" >&2
    exit 1
  fi
  if [ -n "$path" ]; then install -D -m 0755 "$path" "$root$path"; fi
done < <(ldd "$binary" | awk '
  $2 == "=>" { print $1, $3; next }
  { n = split($1, part, "/"); print part[n], ($1 ~ "^/" ? $1 : "") }')

install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
echo 'sequencer:x:65532:65532::/:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'sequencer:x:65532:' >"$root/etc/group"
# Names are looked up in files, then by DNS; both are in the C library itself.
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
