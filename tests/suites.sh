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
summary=() skipped=() passed=0 failed=0 status=0

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
  # A test that cannot run here says so in a line of its own, and counts as passed for the harness.
  local before=${#skipped[@]}
  mapfile -t -O "$before" skipped < <(sed -nE 's/^skipped: //p' "$output")
  p=$((p - (${#skipped[@]} - before)))
  passed=$((passed + p)) failed=$((failed + f))
  [ "$code" -eq 0 ] || status=1
  summary+=("$(printf '%-12s %5.1f min  %4d passed, %d failed' "$name" "$(minutes $((SECONDS - began)))" "$p" "$f")")
}
bc_() { read -r sum; echo $((${sum:-0})); }
minutes() { awk -v s="$1" 'BEGIN { printf "%.1f", s / 60 }'; }

if [ "$mode" = test-long ]; then
  export SEQUENCER_LONG=1 SEQUENCER_KILL_REQUESTS=1000000 SEQUENCER_VERIFY_REQUESTS=10000000
  export SEQUENCER_FUZZ_SECONDS=600
fi
suite build cargo test --release --locked --no-run -p sequencer -p sequencer-acceptance -p sequencer-protocol -p sequencer-verify
suite unit cargo test --release --locked -p sequencer -p sequencer-protocol -p sequencer-verify --lib --bins
# Both packages are named, as in the build: Cargo would compile the library again with other features.
suite acceptance cargo test --release --locked -p sequencer -p sequencer-acceptance --bin sequencer-acceptance
suite docs cargo test --release --locked -p sequencer -p sequencer-protocol -p sequencer-verify --doc
suite repository cargo test --release --locked --test repository
suite fuzz cargo test --release --locked --test fuzz
suite simulation cargo test --release --locked --test sim
# The planted mistakes are compiled in only here, which takes a second build of the library.
if [ "$mode" = test-long ]; then
  suite planted cargo test --release --locked --features planted-bugs --test sim planted
fi
# Four at a time: they wait for brokers more than they compute.
suite integration cargo test --release --locked --test integration -- --test-threads=4
# Chaos and the matrix of bounces want three brokers and the machine for themselves; here a short chaos of each
# mode, and what judges them.
if [ "$mode" = test-long ]; then
  export SEQUENCER_CHAOS_MINUTES=10 SEQUENCER_BOUNCE_REQUESTS=100000
  export SEQUENCER_FAILOVER_TIMES=3 SEQUENCER_FAILOVER_SEQUENCES=1000000
  suite chaos cargo test --release --locked --test chaos -- --nocapture --test-threads=1
else
  export SEQUENCER_CHAOS_MINUTES=0.3
  suite chaos cargo test --release --locked --test chaos -- --skip bounce_of --skip failover_ --skip rescale_ --test-threads=1
fi
# What operators look at, in a real Prometheus and a real browser.
if [ "$mode" = test-long ]; then
  suite monitoring cargo test --release --locked --test monitoring -- --nocapture
fi
suite clients cargo test --release --locked --test clients
if [ "$mode" = test-long ]; then
  suite dist deploy/dist.sh target/release/sequencer
fi

echo
printf '%s\n' "${summary[@]}"
for client in "${skipped[@]}"; do echo "skipped: $client"; done
echo "$passed passed, $failed failed, ${#skipped[@]} skipped"
[ "$failed" -eq 0 ] || status=1
exit "$status"
