#!/usr/bin/env bash
# Runs the test suites one after another, prints the minutes of each and one count over all.
# Usage: tests/suites.sh test|test-long
set -u -o pipefail
cd "$(dirname "$0")/.."

need() { command -v "$1" >/dev/null 2>&1 || { echo "sequencer: $1 is missing: $2" >&2; exit 1; }; }
need cargo "install Rust 1.91 or newer"
need cc "install a C compiler and make (Debian: apt-get install build-essential perl)"
need java "install Java 17 and Maven (Debian: apt-get install openjdk-17-jre-headless maven)"
need mvn "install Java 17 and Maven (Debian: apt-get install openjdk-17-jre-headless maven)"

mode=${1:-test}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
summary=() passed=0 failed=0 status=0

# A suite is one command; its libtest result lines are added up.
suite() {
  local name=$1 began=$SECONDS
  shift
  echo "== $name: $*"
  : >"$output"
  "$@" 2>&1 | tee "$output"
  local code=${PIPESTATUS[0]}
  local p f
  p=$(sed -nE 's/^test result: .* ([0-9]+) passed.*/\1/p' "$output" | paste -sd+ - | sed 's/^$/0/' | bc_)
  f=$(sed -nE 's/^test result: .* ([0-9]+) failed.*/\1/p' "$output" | paste -sd+ - | sed 's/^$/0/' | bc_)
  passed=$((passed + p)) failed=$((failed + f))
  [ "$code" -eq 0 ] || status=1
  summary+=("$(printf '%-12s %5.1f min  %4d passed, %d failed' "$name" "$(minutes $((SECONDS - began)))" "$p" "$f")")
}
bc_() { read -r sum; echo $((${sum:-0})); }
minutes() { awk -v s="$1" 'BEGIN { printf "%.1f", s / 60 }'; }

suite build cargo test --release --locked --no-run
suite unit cargo test --release --locked --lib --bins
suite docs cargo test --release --locked --doc
suite repository cargo test --release --locked --test repository
if [ "$mode" = test-long ]; then
  export SEQUENCER_KILL_REQUESTS=1000000 SEQUENCER_LONG=1
fi
suite integration cargo test --release --locked --test integration

echo
printf '%s\n' "${summary[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] || status=1
exit "$status"
