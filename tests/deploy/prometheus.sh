#!/usr/bin/env bash
# Prints the folder of prometheus and promtool: those of the system, else Debian's, unpacked into .tools
# without installing anything. Where neither can be had it says so in a line that begins "skipped: ".
# Usage: tests/deploy/prometheus.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

if command -v promtool >/dev/null 2>&1 && command -v prometheus >/dev/null 2>&1; then
  dirname "$(command -v promtool)"
  exit 0
fi
unpacked=$PWD/.tools/prometheus
# Several tests ask at the same time.
mkdir -p .tools
exec 9>.tools/prometheus.lock
flock 9
if [ ! -x "$unpacked/usr/bin/promtool" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  if ! (cd "$work" && apt-get download prometheus) >/dev/null 2>&1; then
    echo "skipped: prometheus (install it, or apt-get update for its package)"
    exit 0
  fi
  rm -rf "$unpacked"
  mkdir -p "$unpacked"
  dpkg -x "$work"/prometheus_*.deb "$unpacked"
fi
echo "$unpacked/usr/bin"
