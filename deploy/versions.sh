#!/usr/bin/env bash
# Checks that everything that is released together has this version, and prints its section of the change log.
# Usage: deploy/versions.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1
expect() { [ "$2" = "$version" ] || { echo "versions: $1 has ${2:-no version}, not $version" >&2; exit 1; }; }
expect Cargo.toml "$(sed -nE '/^\[package\]/,/^\[/ s/^version = "(.*)"/\1/p' Cargo.toml)"
chart=deploy/helm/sequencer/Chart.yaml
expect "version of $chart" "$(sed -nE 's/^version: "?([^"]*)"?$/\1/p' $chart)"
expect "appVersion of $chart" "$(sed -nE 's/^appVersion: "?([^"]*)"?$/\1/p' $chart)"

notes=$(awk -v head="## $version" '
  /^## / { on = ($0 == head || index($0, head ",") == 1); next }
  on' CHANGELOG.md)
[ -n "${notes//[[:space:]]/}" ] || { echo "versions: CHANGELOG.md has no section for $version" >&2; exit 1; }
echo "$notes"
