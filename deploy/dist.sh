#!/usr/bin/env bash
# Makes the archive of a release and its checksum in target/dist, then runs it from an empty directory.
# Usage: deploy/dist.sh BINARY
set -euo pipefail

binary=$(realpath "$1")
cd "$(dirname "$0")/.."
# A first look should not wait for a download; today it is 20 MB.
BINARY_BYTES_MAX=30000000

need() { command -v "$1" >/dev/null 2>&1 || { echo "dist: $1 is missing: $2" >&2; exit 1; }; }
need python3 "install Python 3.11 or newer, which collects the licences"
need strip "install binutils"

version=$(sed -nE '/^\[package\]/,/^\[/ s/^version = "(.*)"/\1/p' Cargo.toml)
target=$(rustc -vV | sed -n 's/^host: //p')
name=sequencer-$version-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/$name
mkdir -p "$root/config" "$root/completions" "$root/man/man1"

install -m 0755 "$binary" "$root/sequencer"
strip "$root/sequencer"
bytes=$(stat -c %s "$root/sequencer")
[ "$bytes" -le "$BINARY_BYTES_MAX" ] || { echo "dist: the binary has $bytes bytes, more than $BINARY_BYTES_MAX" >&2; exit 1; }
install -m 0644 README.md LICENSE CHANGELOG.md "$root"
install -m 0644 config/default.toml "$root/config"
cp -r docs "$root/docs"
deploy/licences.py "$target" >"$root/LICENSES-OF-DEPENDENCIES"
for shell in bash zsh fish; do "$root/sequencer" completions "$shell" >"$root/completions/sequencer.$shell"; done
"$root/sequencer" man "$root/man/man1"

# The same inputs give the same bytes.
mkdir -p target/dist
archive=target/dist/$name.tar.gz
tar -C "$work" --sort=name --mtime="@$(git log -1 --format=%ct)" --owner=0 --group=0 --numeric-owner -c "$name" \
  | gzip -9n >"$archive"
(cd target/dist && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")

# As a user unpacks it: nothing of this repository is near.
archive=$(realpath "$archive")
mkdir "$work/empty" && cd "$work/empty"
(cd "$(dirname "$archive")" && sha256sum -c --quiet "$name.tar.gz.sha256")
tar -xzf "$archive" && cd "$name"
run() { env -i PATH=/usr/bin:/bin HOME="$work" ./sequencer "$@"; }
[ "$(run --version)" = "sequencer $version" ] || { echo "dist: the binary is not of version $version" >&2; exit 1; }
run config check --config config/default.toml >/dev/null
for file in LICENSE LICENSES-OF-DEPENDENCIES completions/sequencer.bash man/man1/sequencer.1 man/man1/sequencer-next.1; do
  [ -s "$file" ] || { echo "dist: $file is missing" >&2; exit 1; }
done
echo "$archive: $(stat -c %s "$archive") bytes, the binary $bytes"
