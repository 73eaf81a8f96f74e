#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# While one process writes, a second is refused with the holder's pid, readers go on, and after kill -9 of the first the
# second may.
source "$(dirname "$0")/support.bash"

mkfifo "$work/pipe"
"$FBAT" import "$work/store" "$work/pipe" >/dev/null 2>&1 &
writer=$!
exec 9>"$work/pipe"
event a >&9
for _ in $(seq 200); do
    [ "$("$FBAT" query "$work/store" --count 2>/dev/null)" = 1 ] && break
    sleep 0.05
done
event b >"$work/line"
run 2 "$FBAT" append "$work/store" -e e -s s -k k
expect stderr "$writer"
run 2 "$FBAT" import "$work/store" "$work/line"
expect stderr "$writer"
run 0 "$FBAT" query "$work/store" --count
equal "events for a reader" "$(cat "$work/stdout")" 1
run 0 "$FBAT" check "$work/store"
run 0 "$FBAT" init "$work/store"
expect stdout "there is already the store"

kill -9 "$writer"
wait "$writer" 2>/dev/null || true
exec 9>&-
run 0 "$FBAT" import "$work/store" "$work/line"
expect stdout "1 added"
equal "events" "$("$FBAT" query "$work/store" --count)" 2
