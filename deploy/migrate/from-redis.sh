#!/usr/bin/env bash
# Moves a counter of Redis's (INCR, INCRBY) to Sequencer: reads the last number that was given, and
# defines the sequence above it. See docs/migration.md.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=deploy/migrate/define.sh
source "$here/define.sh"

help() {
  cat <<'HELP'
Usage: from-redis.sh --as NAME --key KEY [--redis redis://HOST:PORT/DB] [--brokers HOST:PORT[,…]] [--yes]

  --as NAME            name of the sequence in Sequencer
  --key KEY            key of the counter in Redis
  --redis URL          redis://127.0.0.1:6379/0; rediss:// for TLS; the password is in REDISCLI_AUTH
  --margin N           numbers left out above the last one; 0. Redis may have lost its latest
                       increments in a crash or a failover: leave out what it can give in that time
  --brokers B          Kafka; settings for TLS and SASL go in the file that KCAT_CONFIG names
  --requests TOPIC     sequencer.requests
  --replies TOPIC      sequencer.replies
  --yes                define it; without this it only shows what it would do
HELP
}

key='' redis=redis://127.0.0.1:6379/0
while [ $# -gt 0 ]; do
  if common_option "$@"; then
    shift "$taken"
    continue
  fi
  case $1 in
    --help | -h) help; exit 0 ;;
    --key) key=${2-} ;;
    --redis) redis=${2-} ;;
    *) usage_error "unknown option $1" ;;
  esac
  [ $# -ge 2 ] || usage_error "$1 needs a value"
  shift 2
done
check_options
[ -n "$key" ] || usage_error "--key is required"
need redis-cli "install Redis's client (Debian: apt-get install redis-tools)"

# redis-cli prints errors like answers and exits 0; what is no integer is refused below.
last=$(redis-cli -u "$redis" --no-auth-warning --raw GET "$key") || fail "cannot read from $redis"
[ -n "$last" ] || fail "there is no key $key"
[[ $last =~ ^-?[0-9]+$ ]] || fail "$key is no counter: '$last'"
define "$last" 1
