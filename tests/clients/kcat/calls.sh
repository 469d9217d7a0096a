#!/bin/sh
# 100 calls at once and one that fails, each answer told by its request_id.
set -eu
prefix=$1
requests() {
  for call in $(seq 0 99); do
    echo "$prefix-$((call % 5)):{\"request_id\":\"$call\"}"
  done
  echo "$prefix-0:{\"count\":0,\"request_id\":\"100\"}"
}
replies() {
  kcat -C -b "$KAFKA_BROKERS" -t sequencer.replies -o beginning -e -q | grep "^{\"sequence\":\"$prefix-" || true
}

requests | kcat -P -b "$KAFKA_BROKERS" -t sequencer.requests -K:
until [ "$(replies | wc -l)" -ge 101 ]; do sleep 0.2; done
replies | sed -E \
  -e 's/.*"sequence":"([^"]*)","first":([0-9]+),"last":([0-9]+),.*"request_id":"([0-9]+)".*/{"call":\4,"name":"\1","first":\2,"last":\3}/' \
  -e 's/.*"error":\{"code":"([a-z_]+)".*"request_id":"([0-9]+)".*/{"call":\2,"error":"\1"}/'
