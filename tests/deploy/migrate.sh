#!/usr/bin/env bash
# The migration scripts against a PostgreSQL, a Redis and a Kafka that it starts and ends itself.
# Usage: tests/deploy/migrate.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/../.."
binary=$(readlink -f "${1:-target/release/sequencer}")

need() { command -v "$1" >/dev/null 2>&1 || { echo "migrate-check: $1 is missing: apt-get install $2" >&2; exit 1; }; }
need psql postgresql
need redis-server redis-server
need kcat kcat
need java openjdk-17-jre-headless
initdb=$(command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' | tail -n 1)
[ -n "$initdb" ] || { echo "migrate-check: initdb is missing: apt-get install postgresql" >&2; exit 1; }
[ -x "$binary" ] || { echo "migrate-check: $binary is missing: make build" >&2; exit 1; }

work=$(mktemp -d)
pids=() postgres=()
# PostgreSQL refuses to be root's.
as_postgres() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
  as_postgres() { (cd / && setpriv --reuid postgres --regid postgres --clear-groups "$@"); }
  chmod 755 "$work"
fi
finish() {
  if [ "${#postgres[@]}" -gt 0 ]; then as_postgres "${postgres[@]}" -m immediate stop >/dev/null || true; fi
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Waits for a command to succeed.
until_ok() {
  local deadline=$((SECONDS + 120))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "migrate-check: not there in time: $*" >&2; exit 1; }
    sleep 0.2
  done
}

passed=0 failed=0
# check NAME PATTERN COMMAND…: the output has the pattern.
check() {
  local what=$1 pattern=$2 output
  shift 2
  output=$("$@" 2>&1) || true
  if grep -qE -- "$pattern" <<<"$output"; then
    passed=$((passed + 1))
    echo "ok     $what"
  else
    failed=$((failed + 1))
    printf 'FAILED %s\n%s\n' "$what" "$output"
  fi
}

# A PostgreSQL with every kind of sequence, and counters in rows.
mkdir "$work/postgres"
if [ "$(id -u)" -eq 0 ]; then chown postgres "$work/postgres"; fi
export PGHOST=127.0.0.1 PGUSER=postgres PGDATABASE=postgres PGPORT
PGPORT=$(free_port)
as_postgres "$initdb" -D "$work/postgres/data" -U postgres -A trust >/dev/null
postgres=("$(dirname "$initdb")/pg_ctl" -D "$work/postgres/data" -w -l "$work/postgres/log"
  -o "-p $PGPORT -k $work/postgres -h 127.0.0.1")
as_postgres "${postgres[@]}" start >/dev/null
psql -qX -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
CREATE SEQUENCE fresh;
CREATE SEQUENCE used; SELECT nextval('used') FROM generate_series(1, 41);
CREATE SEQUENCE pending; SELECT setval('pending', 500, false);
CREATE SEQUENCE tens INCREMENT 10 START 10; SELECT nextval('tens') FROM generate_series(1, 3);
CREATE SEQUENCE cached CACHE 20; SELECT nextval('cached');
CREATE SEQUENCE down INCREMENT -1;
CREATE SEQUENCE vast; SELECT setval('vast', 9007199254740991);
CREATE SEQUENCE "Odd ""Name"""; SELECT setval('"Odd ""Name"""', 7);
CREATE TABLE leaf_alloc (biz_tag text PRIMARY KEY, max_id bigint, step int);
INSERT INTO leaf_alloc VALUES ('orders', 48000, 2000);
SQL

# A Redis with a counter, and a key that is none.
redis_port=$(free_port)
redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --dir "$work" >"$work/redis.log" &
pids+=($!)
redis=redis://127.0.0.1:$redis_port/0
until_ok redis-cli -u "$redis" PING
redis-cli -u "$redis" INCRBY invoices 1233 >/dev/null
redis-cli -u "$redis" INCR invoices >/dev/null
redis-cli -u "$redis" SET words hello >/dev/null
redis-cli -u "$redis" RPUSH list 1 >/dev/null

from_postgres() { deploy/migrate/from-postgres.sh --as orders "$@"; }
from_redis() { deploy/migrate/from-redis.sh --as orders --redis "$redis" "$@"; }
check "a sequence that was never called starts at its start" '"start":1}' from_postgres --sequence fresh
check "one that gave 41 goes on at 42" '"start":42}' from_postgres --sequence public.used
check "one that was set, but did not give it, starts there" '"start":500}' from_postgres --sequence pending
check "a step is kept" '"start":40,"increment":10}' from_postgres --sequence tens
check "what a session holds in its cache is left out" '"start":21}' from_postgres --sequence cached
check "a margin is left out" '"start":142}' from_postgres --sequence used --margin 100
check "above 2^53-1 the maximum is raised" '"start":9007199254740992,"max":9223372036854775807}' from_postgres --sequence vast
check "a quoted name is read" '"start":8}' from_postgres --sequence '"Odd ""Name"""'
check "the end of a Leaf segment is the last number" '"start":48001}' \
  from_postgres --query "SELECT max_id FROM leaf_alloc WHERE biz_tag = 'orders'"
check "one that counts down is refused" 'only sequences that count up' from_postgres --sequence down
check "a name that is no sequence is refused" 'cannot read leaf_alloc' from_postgres --sequence leaf_alloc
check "a query without a row is refused" 'one row with one integer' from_postgres --query 'SELECT 1 WHERE false'
check "an injected name is a name" 'cannot read' from_postgres --sequence 'used; DROP SEQUENCE used'
check "INCR goes on above its last number" '"start":1235}' from_redis --key invoices
check "a key that is no counter is refused" 'no counter' from_redis --key words
check "a list is refused" 'no counter' from_redis --key list
check "a missing key is refused" 'there is no key' from_redis --key nothing
check "without --yes nothing is written" 'Nothing was written' from_redis --key invoices
check "--yes wants brokers" 'required with --yes' from_redis --key invoices --yes
check "a bad margin is refused" 'margin' from_redis --key invoices --margin -1

# A Kafka and the service.
"$binary" dev --no-demo --directory "$work/kafka" --http '' >"$work/dev.log" 2>&1 &
pids+=($!)
until_ok grep -q '^Kafka  ' "$work/dev.log"
brokers=$(awk '$1 == "Kafka" { print $2; exit }' "$work/dev.log" | tr -d ,)
check "PostgreSQL's orders are defined above 41" 'ok: orders goes on at 42' \
  from_postgres --sequence used --brokers "$brokers" --yes
check "and the next ID is 42" '^42$' "$binary" next orders --brokers "$brokers"
check "Redis's invoices are defined above 1234" 'ok: r:invoices goes on at 1235' \
  deploy/migrate/from-redis.sh --as r:invoices --redis "$redis" --key invoices --brokers "$brokers" --yes
check "and the next ID is 1235" '^1235$' "$binary" next r:invoices --brokers "$brokers"
check "a sequence in use is not defined again" 'refused; .* set_next' \
  from_postgres --sequence vast --brokers "$brokers" --yes

echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
