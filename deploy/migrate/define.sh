# shellcheck shell=bash
# The part that from-postgres.sh and from-redis.sh share: options, and the record that defines the
# sequence. Sourced, not run.

# A reply comes in milliseconds; a service that is starting or restoring takes seconds.
REPLY_WAIT_S=30
# The reply topic is read from this long before the request, since clocks differ.
CLOCKS_DIFFER_MS=60000
# The default maximum of a sequence, 2^53-1, and the highest that a definition may say, 2^63-1.
MAX_DEFAULT=9007199254740991
MAX_HIGHEST=9223372036854775807

name='' brokers='' margin=0 yes=false requests=sequencer.requests replies=sequencer.replies

fail() { echo "${0##*/}: $*" >&2; exit 1; }
usage_error() { echo "${0##*/}: $*; --help shows how" >&2; exit 2; }
need() { command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $2"; }

# Takes one option of both scripts; false for another. Sets `taken` to how many words it had.
common_option() {
  taken=2
  case $1 in
    --as) name=${2-} ;;
    --brokers) brokers=${2-} ;;
    --margin) margin=${2-} ;;
    --requests) requests=${2-} ;;
    --replies) replies=${2-} ;;
    --yes) yes=true taken=1 ;;
    *) return 1 ;;
  esac
  [ "$taken" -eq 1 ] || [ $# -ge 2 ] || usage_error "$1 needs a value"
}

check_options() {
  [ -n "$name" ] || usage_error "--as NAME is required: the name of the sequence"
  [ "${#name}" -le 255 ] || usage_error "--as must be 1 to 255 bytes"
  [[ $name != *[[:cntrl:]]* ]] || usage_error "--as must not contain control characters"
  [[ $margin =~ ^[0-9]{1,18}$ ]] || usage_error "--margin must be 0 or a whole number, got '$margin'"
  if $yes && [ -z "$brokers" ]; then usage_error "--brokers HOST:PORT[,…] is required with --yes"; fi
}

# define LAST INCREMENT: the sequence goes on above LAST.
define() {
  local last=$1 increment=$2 start value
  [[ $last =~ ^-?[0-9]{1,19}$ ]] || fail "the last number is '$last', which is no 64-bit integer"
  [[ $increment =~ ^[0-9]{1,18}$ ]] && [ "$increment" -gt 0 ] ||
    fail "the increment is $increment: only sequences that count up are moved; define it by hand (docs/concepts.md)"
  start=$((last + margin + increment))
  # An overflow of 64 bits comes out below.
  [ "$start" -gt "$last" ] && [ "$start" -ge 1 ] ||
    fail "the next number would be $start: it must be 1 to $MAX_HIGHEST"
  value="{\"op\":\"define\",\"start\":$start"
  if [ "$increment" -ne 1 ]; then value+=",\"increment\":$increment"; fi
  if [ "$start" -gt "$MAX_DEFAULT" ]; then value+=",\"max\":$MAX_HIGHEST"; fi
  echo "last number: $last"
  echo "definition:  $name $value}"
  if ! $yes; then
    echo "Nothing was written. Stop whoever takes numbers from the old counter, then add --yes."
    return
  fi
  send "$value" "$start"
}

# send VALUE START: VALUE lacks its closing brace.
send() {
  local value=$1 start=$2 id now reply deadline
  need kcat "install it (Debian: apt-get install kcat); its settings for TLS and SASL go in the file that KCAT_CONFIG names"
  id="migrate-$(date +%s%N)-$$"
  now=$(date +%s%3N)
  value+=",\"requester\":\"${0##*/}\",\"request_id\":\"$id\"}"
  # Home is where murmur2 says; librdkafka's own default would make it a stray, which works as well.
  printf '%s\x01%s\n' "$name" "$value" |
    kcat -P -b "$brokers" -t "$requests" -K $'\x01' -X partitioner=murmur2_random -X acks=all
  deadline=$((SECONDS + REPLY_WAIT_S))
  while [ "$SECONDS" -lt "$deadline" ]; do
    reply=$(kcat -C -b "$brokers" -t "$replies" -o "s@$((now - CLOCKS_DIFFER_MS))" -e -q -f '%s\n' |
      grep -F "\"request_id\":\"$id\"" | head -n 1 || true)
    [ -z "$reply" ] || break
    sleep 0.5
  done
  [ -n "$reply" ] || fail "no reply within $REPLY_WAIT_S s; the record is in $requests and is answered when the service runs"
  echo "reply:       $reply"
  case $reply in
    *'"code":"invalid_definition"'*)
      fail "refused; a sequence that is in use already is moved with set_next, see docs/concepts.md" ;;
    *'"error":'*) fail "refused" ;;
    *"\"next\":$start,"*) echo "ok: $name goes on at $start" ;;
    *) fail "the next number is not $start; look at the reply" ;;
  esac
}
