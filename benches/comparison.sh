#!/usr/bin/env bash
# The rates of docs/comparison.md that this machine can measure: counters in a PostgreSQL and in a Redis that it starts
# and ends itself. Fails when it could not measure one of them.
# Usage: benches/comparison.sh [SECONDS]
set -euo pipefail
seconds=${1:-10}
# As many callers as keep two cores busy.
CLIENTS=16
NAMES=100

initdb=$(command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' | tail -n 1 || true)
work=$(mktemp -d)
postgres='' redis='' missing=0
# PostgreSQL refuses to be root's.
as_postgres() { "$@"; }
if [ "$(id -u)" -eq 0 ]; then
  as_postgres() { (cd / && setpriv --reuid postgres --regid postgres --clear-groups "$@"); }
  chmod 755 "$work"
fi
finish() {
  if [ -n "$postgres" ]; then as_postgres "$postgres" -D "$work/data" -m immediate stop >/dev/null || true; fi
  if [ -n "$redis" ]; then kill "$redis" && wait "$redis" || true; fi
  rm -rf "$work"
}
trap finish EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
not_measured() { echo "$1: NOT MEASURED, $2 is missing"; missing=1; }

# rate NAME SQL: transactions a second of callers that each wait for their answer, commits on disk.
rate() {
  printf '%s\n' "$2" >"$work/script.sql"
  local tps
  tps=$(pgbench -h 127.0.0.1 -p "$port" -U postgres -n -M prepared -c "$CLIENTS" -j 2 -T "$seconds" -f "$work/script.sql" postgres \
    | sed -n 's/^tps = \([0-9]*\).*/\1/p')
  echo "PostgreSQL, $1: $tps/s"
}

if [ -z "$initdb" ] || ! command -v pgbench >/dev/null; then
  not_measured PostgreSQL 'initdb or pgbench (apt-get install postgresql)'
else
  mkdir "$work/data"
  if [ "$(id -u)" -eq 0 ]; then chown postgres "$work/data"; fi
  as_postgres "$initdb" -D "$work/data" -U postgres -A trust >/dev/null
  port=$(free_port)
  as_postgres "$(dirname "$initdb")/pg_ctl" -D "$work/data" -w -l "$work/data/log" \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start >/dev/null
  postgres=$(dirname "$initdb")/pg_ctl
  psql -q -h 127.0.0.1 -p "$port" -U postgres postgres <<SQL
create sequence numbers;
create table counters (name int primary key, last bigint not null) with (fillfactor = 10);
insert into counters select name, 0 from generate_series(1, $NAMES) name;
SQL
  rate 'a sequence' "select nextval('numbers');"
  rate 'a counter row, all callers on one' 'update counters set last = last + 1 where name = 1 returning last;'
  rate "a counter row, callers spread over $NAMES" "\\set name random(1, $NAMES)
update counters set last = last + 1 where name = :name returning last;"
fi

if ! command -v redis-server >/dev/null || ! command -v redis-benchmark >/dev/null; then
  not_measured Redis 'redis-server or redis-benchmark (apt-get install redis)'
else
  port=$(free_port)
  redis-server --port "$port" --bind 127.0.0.1 --dir "$work" --appendonly yes --save '' >/dev/null &
  redis=$!
  until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
  echo "Redis, INCR: $(redis-benchmark -p "$port" -c "$CLIENTS" -n $((seconds * 30000)) -t incr --csv | sed -n 's/^"INCR","\([0-9]*\).*/\1/p')/s"
fi
exit "$missing"
