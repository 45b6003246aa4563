#!/usr/bin/env bash
# Every order of the shop with nothing but curl and Python: one line of JSON each, on standard output.
#
#     SHOP_URL=http://127.0.0.1:8080 SHOP_KEY=... ./orders_curl.sh orders.cursor >>orders.jsonl
#
# The file holds the cursor. It is replaced once the orders of an answer are written, so those of one answer may come twice when
# this is killed: an order's `id` is the same each time.
set -euo pipefail

cursor_file=$1
cursor=$(cat "$cursor_file" 2>/dev/null || true)

# Fails, and says nothing, unless this is an answer about orders.
read_answer() {
    python3 -c '
import json, sys
answer = json.load(sys.stdin)
print(answer["cursor"])
for event in answer["events"]:
    print(json.dumps(event))'
}

# The key comes from standard input: what stands on a command line everybody on the machine can read.
ask() {
    printf 'header = "Authorization: Bearer %s"\n' "$SHOP_KEY" |
        curl --config - --silent --show-error --fail-with-body --max-time 90 --get \
            --data-urlencode "after=$cursor" --data "wait=30" "$SHOP_URL/v1/orders"
}

while true; do
    if answer=$(ask) && lines=$(read_answer <<<"$answer" 2>/dev/null); then
        tail -n +2 <<<"$lines"
        cursor=$(head -n 1 <<<"$lines")
        printf '%s' "$cursor" >"$cursor_file.new"
        mv "$cursor_file.new" "$cursor_file"
    else
        printf 'no orders from %s now: %s\n' "$SHOP_URL" "${answer:-no answer}" >&2
        sleep 5
    fi
done
