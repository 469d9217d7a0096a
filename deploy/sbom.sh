#!/usr/bin/env bash
# Makes the list of what is compiled into the binary (SBOM, CycloneDX) in target/dist, for scanners.
# Usage: deploy/sbom.sh [TARGET]
set -euo pipefail
cd "$(dirname "$0")/.."
CYCLONEDX=0.5.9
# In each binary: the client library and OpenSSL, which are C. Without them, a scanner would find nothing where it matters.
NAMED=(rdkafka-sys openssl-src)

need() { command -v "$1" >/dev/null 2>&1 || { echo "sbom: $1 is missing: $2" >&2; exit 1; }; }
need python3 "install Python 3.11 or newer, which checks the list"
cargo=${CARGO:-cargo}
target=${1:-$(rustc -vV | sed -n 's/^host: //p')}
version=$(sed -nE '/^\[package\]/,/^\[/ s/^version = "(.*)"/\1/p' Cargo.toml)
if ! .tools/bin/cargo-cyclonedx cyclonedx --version 2>/dev/null | grep -qF "$CYCLONEDX"; then
  "$cargo" install --locked --root .tools "cargo-cyclonedx@$CYCLONEDX"
fi
file=$PWD/target/dist/sequencer-$version-$target.cdx.json
# It writes a list beside the manifest of each member of the workspace. The one in target is ignored by git, and stays.
trap 'git ls-files -z --others --exclude-standard "*/$(basename "$file")" "$(basename "$file")" | xargs -0 rm -f' EXIT
PATH=$PWD/.tools/bin:$PATH "$cargo" cyclonedx --quiet --format json --spec-version 1.5 --target "$target" \
  --override-filename "$(basename "$file" .json)"
mkdir -p target/dist
cp "$(basename "$file")" "$file"
python3 - "$file" "$version" "${NAMED[@]}" <<'PYTHON'
import json
import sys

file, version, *named = sys.argv[1:]
bom = json.load(open(file, encoding="utf-8"))
subject = bom["metadata"]["component"]
found = {component["name"] for component in bom["components"]}
missing = [name for name in named if name not in found]
if (subject["name"], subject["version"]) != ("sequencer", version) or missing:
    sys.exit(f"sbom: {file} is of {subject['name']} {subject['version']} and lacks {missing}")
print(f"{file}: {len(found)} components, CycloneDX {bom['specVersion']}")
PYTHON
