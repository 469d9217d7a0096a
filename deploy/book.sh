#!/usr/bin/env bash
# Builds the documents as a site in target/book, and checks its links.
# Usage: deploy/book.sh
set -euo pipefail
cd "$(dirname "$0")/.."
MDBOOK=0.5.4
MERMAID=11.6.0

need() { command -v "$1" >/dev/null 2>&1 || { echo "book: $1 is missing: $2" >&2; exit 1; }; }
need npm "install Node.js, with which Mermaid is fetched"
need python3 "install Python 3.11 or newer, which checks the links"
if ! .tools/bin/mdbook --version 2>/dev/null | grep -qF "$MDBOOK"; then
  "${CARGO:-cargo}" install --locked --root .tools "mdbook@$MDBOOK"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p target
(cd "$work" && npm pack --silent "mermaid@$MERMAID" >/dev/null && tar -xzf "mermaid-$MERMAID.tgz" package/dist/mermaid.min.js)
cp "$work/package/dist/mermaid.min.js" target/mermaid.min.js

# The documents link to files beside docs/, so the site has those as well, in the same places.
source=target/book-source
rm -rf "$source" && mkdir -p "$source"
git ls-files -z '*.md' LICENSE docs config deploy examples clients/java/pom.xml | xargs -0 cp --parents -t "$source"
{
  echo '[Sequencer](README.md)'
  sed -E '1d; s/\]\(([^)]*\.md)\)/](docs\/\1)/' docs/SUMMARY.md
  printf '\n# Clients\n\n- [Examples](examples/README.md)\n'
  for client in clients/*/; do printf -- '- [%s](%sREADME.md)\n' "$(sed -n '1s/^# //p' "$client/README.md")" "$client"; done
  printf -- '\n---\n\n[Changes](CHANGELOG.md)\n[Contributing](CONTRIBUTING.md)\n'
} >"$source/SUMMARY.md"
rm "$source/docs/SUMMARY.md"
.tools/bin/mdbook build
deploy/links.py target/book
