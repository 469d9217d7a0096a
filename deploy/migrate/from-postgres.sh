#!/usr/bin/env bash
# Moves a counter of PostgreSQL's to Sequencer: reads the last number that may have been given, and
# defines the sequence above it. See docs/migration.md.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/migrate/define.sh
source "$here/define.sh"

help() {
  cat <<'HELP'
Usage: from-postgres.sh --as NAME --sequence SCHEMA.SEQUENCE [--brokers HOST:PORT[,…]] [--yes]
       from-postgres.sh --as NAME --query SQL [--increment N]  [--brokers HOST:PORT[,…]] [--yes]

  --as NAME            name of the sequence in Sequencer
  --sequence S         a PostgreSQL sequence, such as public.orders_id_seq
  --query SQL          whatever gives one row with the last number: the maximum of a column, the
                       row of a counter, the end of a Leaf segment, the level of a number range
  --increment N        step from one number to the next with --query; 1
  --margin N           numbers left out above the last one; 0
  --brokers B          Kafka; settings for TLS and SASL go in the file that KCAT_CONFIG names
  --requests TOPIC     sequencer.requests
  --replies TOPIC      sequencer.replies
  --yes                define it; without this it only shows what it would do

The database is libpq's: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSFILE, PGSERVICE.
HELP
}

sequence='' query='' increment=1
while [ $# -gt 0 ]; do
  if common_option "$@"; then
    shift "$taken"
    continue
  fi
  case $1 in
    --help | -h) help; exit 0 ;;
    --sequence) sequence=${2-} ;;
    --query) query=${2-} ;;
    --increment) increment=${2-} ;;
    *) usage_error "unknown option $1" ;;
  esac
  [ $# -ge 2 ] || usage_error "$1 needs a value"
  shift 2
done
check_options
[ -n "$sequence" ] || [ -n "$query" ] || usage_error "--sequence or --query is required"
[ -z "$sequence" ] || [ -z "$query" ] || usage_error "--sequence and --query exclude each other"
need psql "install PostgreSQL's client (Debian: apt-get install postgresql-client)"

psql=(psql --no-psqlrc --quiet --no-align --tuples-only --field-separator=' ' --set=ON_ERROR_STOP=1)
if [ -n "$sequence" ]; then
  # A sequence that was never called, or was set with is_called false, has not given its last_value
  # yet. One with CACHE has last_value at the end of what its sessions hold.
  row=$("${psql[@]}" --set=sequence="$sequence" <<'SQL'
SELECT :'sequence'::regclass AS relation \gset
SELECT CASE WHEN s.is_called THEN s.last_value ELSE s.last_value - p.seqincrement END, p.seqincrement
  FROM :relation AS s, pg_sequence AS p WHERE p.seqrelid = :'sequence'::regclass;
SQL
  ) || fail "cannot read $sequence"
  read -r last increment <<<"$row"
  [ -n "$last" ] || fail "$sequence is no sequence"
else
  row=$("${psql[@]}" <<<"$query") || fail "the query failed"
  [[ $row =~ ^-?[0-9]+$ ]] || fail "the query must give one row with one integer, got '$row'"
  last=$row
fi
define "$last" "$increment"
