#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 0 done, 1 the answer is no or damage was found, 2 an error.
source "$(dirname "$0")/support.bash"

{ event a; event b; } >"$work/input"
run 0 "$FBAT" init "$work/store"
expect stdout "created the store"
run 0 "$FBAT" init "$work/store"
expect stdout "there is already the store"
run 0 "$FBAT" import "$work/store" "$work/input"
run 0 "$FBAT" get "$work/store" a --scope /test
run 0 "$FBAT" query "$work/store" --entity nobody
run 1 "$FBAT" get "$work/store" @999
expect stderr "there is no event '@999'"
run 1 "$FBAT" get "$work/store" 00000000-0000-4000-8000-000000000000
run 1 "$FBAT" get "$work/store" c --scope /test
run 1 "$FBAT" stream "$work/store" nobody
expect stderr "there is no stream 'nobody'"
run 1 "$FBAT" stream "$work/store" thing-1 --scope elsewhere
run 1 "$FBAT" query "$work/store" --kind thing.unmade
expect stderr "no kind is named 'thing.unmade'"
run 2 "$FBAT" append "$work/store" -e thing-1 -s /test -k k --expect none
expect stderr "2"
run 0 "$FBAT" append "$work/store" -e thing-1 -s /test -k k --expect 2
run 0 "$FBAT" check "$work/store"

# A flipped bit: damage, exit 1, with the place.
segment=$(ls "$work"/store/*.fbat)
place=$("$FBAT" dump "$work/store" | awk '/ event / { print $1; exit }')
offset=${place##*:}
printf '\xA5' | dd of="$segment" bs=1 seek=$((offset + 24)) conv=notrunc status=none
run 1 "$FBAT" check "$work/store"
grep -qE '^000001\.fbat:[0-9]+: ' "$work/stdout" || fail "check does not name the place: $(cat "$work/stdout")"
run 1 "$FBAT" check "$work/store" --json
grep -q '"damage":true' "$work/stdout" || fail "check --json does not tell of the damage"
