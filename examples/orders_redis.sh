#!/usr/bin/env bash
# Every order of one sale straight from Redis or Valkey, with nothing but redis-cli: one line of JSON each, on standard output.
#
#     REDISCLI_AUTH=... ./orders_redis.sh giulia-milano redis.internal 6379 >>orders.jsonl
#
# A consumer group remembers in Redis what was handed out (XREADGROUP) and what is done with (XACK). What was handed out to a
# consumer that died comes again when it starts, so an order may come twice: its `id` is the same each time. One consumer a
# group keeps the order of the sale.
set -euo pipefail

sale=$1 host=${2:-127.0.0.1} port=${3:-6379}
group=order-system consumer=one stream="fs:{$sale.0}:orders"

redis() {
    redis-cli -h "$host" -p "$port" -e --raw "$@"
}

# From the first order on; MKSTREAM, as there may be none yet. That the group is there already is no error.
redis XGROUP CREATE "$stream" "$group" 0 MKSTREAM >/dev/null 2>&1 || redis XINFO GROUPS "$stream" >/dev/null

# Prints the orders of one answer, then acknowledges them. Each has five lines: id, `event`, CloudEvent, `tally`, sums.
take() {
    local id event ids=()
    while read -r id && read -r _ && read -r event && read -r _ && read -r _; do
        printf '%s\n' "$event"
        ids+=("$id")
    done < <(redis XREADGROUP GROUP "$group" "$consumer" COUNT 100 BLOCK "$2" STREAMS "$stream" "$1" | tail -n +2)
    ((${#ids[@]})) && redis XACK "$stream" "$group" "${ids[@]}" >/dev/null
}

while take 0 1; do :; done    # what was handed out before and not acknowledged
while true; do
    take '>' 5000 || redis PING >/dev/null
done
