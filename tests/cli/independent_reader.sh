#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A reader written from docs/FORMAT.md alone (tests/golden/read_store.py) reads what the library wrote, event by event
# and byte by byte; and it finds what was changed.
source "$(dirname "$0")/support.bash"
need jq python3

reader=$(realpath "$(dirname "$0")/../golden/read_store.py")

# Both sides as the same lines.
time_us='def us: capture("^(?<s>[^.Z]*)(\\.(?<f>[0-9]*))?Z$") | (.s + "Z" | fromdateiso8601) * 1000000
    + (((.f // "") + "000000")[0:6] | tonumber);'
dumped() { # store
    "$FBAT" dump --json --payload "$1" | jq -cS "$time_us"' select(.what == "event")
        | {segment, offset, bytes, sequence, revision, kind, id, scope, entity, recorded: (.recordedtime | us), hash,
           previous_hash, payload_type, payload_base64}'
}
exported() { # store
    "$FBAT" export --system "$1" | jq -cS "$time_us"' {sequence, scope: .source, entity: .subject, type,
        recorded: (.recordedtime | us), tags: (.fbattags // "[]" | fromjson)}'
}
read_as_dumped() { # file
    jq -cS '{segment, offset, bytes, sequence, revision, kind, id, scope, entity, recorded: .recorded_us, hash,
        previous_hash, payload_type, payload_base64}' "$1"
}
read_as_exported() { # file
    jq -cS 'def hex: [recurse(if . > 15 then . / 16 | floor else empty end) % 16] | reverse
            | map("0123456789abcdef"[.:. + 1]) | "000" + add | .[-4:];
        {sequence, scope, entity, type: (.kind_name // "kind.0x" + (.kind | hex)), recorded: .recorded_us, tags}' "$1"
}
compare() { # store
    run 0 "$reader" "$1"
    cp "$work/stdout" "$work/read"
    cmp <(dumped "$1") <(read_as_dumped "$work/read") || fail "$1: the reader and fbat dump differ"
    cmp <(exported "$1") <(read_as_exported "$work/read") || fail "$1: the reader and fbat export differ"
}

# ---- a small store: segments that are sealed and one that is not, batches, every field set

small=(-o segment_max_bytes=9000)
add() { run 0 "$FBAT" append "$work/store" "${small[@]}" "$@"; }
for n in {1..12}; do
    add -s shop -e "order-$((n % 5))" -k order.placed --header "n=$n" --header empty= --tag red --tag "grün-$n" \
        "{\"n\":$n}"
    add -s shop -e "order-$((n % 5))" -k order.noted --time 2024-01-31T12:00:00.25Z --type text "note $n"
done
cause=018f3b1e-1111-7abc-8def-0123456789ab
add -s shop -e order-1 -k order.paid --id $cause --durable --type bytes - </dev/null
add -e order-1 -s depot -k 0x2abc --causation $cause --correlation $cause --type msgpack x
for n in {1..40}; do
    event "018f3b1e-2222-7abc-8def-0000000000$((n + 10))" "\"causationid\":\"$cause\"" "\"data\":{\"n\":$n}"
done >"$work/lines"
run 0 "$FBAT" import "$work/store" "${small[@]}" "$work/lines"
[ -e "$work/store/000003.fbat" ] || fail "there should be sealed segments"
compare "$work/store"
equal "events" "$(wc -l <"$work/read")" "$("$FBAT" query "$work/store" --system --count)"
first='select(.entity == "order-1" and .revision == 1 and .scope == "shop")'
equal "headers" "$(jq -c "$first | .headers" "$work/read")" '[["n","MQ=="],["empty",""]]'
equal "effects" "$(jq -c "select(.causation == \"$cause\")" "$work/read" | wc -l)" 41
equal "event time" "$(jq -c 'select(.payload_base64 == "bm90ZSAx") | .event_us' "$work/read")" 1706702400250000

# ---- one that nobody closed: LOCK gone, bytes behind the last frame

cp -r "$work/store" "$work/torn"
rm "$work/torn/LOCK"
last=$(ls "$work"/torn/*.fbat | tail -n 1)
printf 'half a frame' >>"$last"
run 0 "$reader" "$work/torn"
cmp "$work/stdout" "$work/read" || fail "a torn tail changes what is read"
expect stderr "R6"

# ---- beside a writer: what is visible, and nothing of what comes after

mkfifo "$work/pipe"
"$FBAT" import "$work/live" "$work/pipe" >/dev/null &
writer=$!
exec 9>"$work/pipe"
part() { # first last
    local n
    for ((n = $1; n <= $2; n++)); do event "018f3b1e-3333-7abc-8def-000000000$n" "\"data\":{\"n\":$n}"; done
}
part 100 499 >&9
for _ in {1..200}; do # the writer has read some batches by now, and waits for more
    "$reader" "$work/live" >"$work/beside" 2>/dev/null || true
    [ "$(wc -l <"$work/beside")" -lt 200 ] || break
    sleep 0.05
done
run 0 "$reader" "$work/live"
cp "$work/stdout" "$work/beside"
seen=$(wc -l <"$work/beside")
[ "$seen" -ge 200 ] && [ "$seen" -le 401 ] || fail "beside the writer $seen events are read"
part 500 699 >&9
exec 9>&-
wait $writer || fail "the import beside the reader"
compare "$work/live"
equal "events in the end" "$(wc -l <"$work/read")" 601
cmp <(head -n "$seen" "$work/read") "$work/beside" || fail "what was read beside the writer is no prefix of the log"

# ---- damage

flip() { # file offset
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    printf "\\x$(printf %02x $((byte ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
for offset in 0 30 500 4100 4500 6000; do
    cp -r "$work/store" "$work/damaged"
    flip "$work/damaged/000002.fbat" $offset
    run 1 "$reader" "$work/damaged"
    rm -r "$work/damaged"
done
cp -r "$work/store" "$work/damaged"
rm "$work/damaged/000002.fbat"
run 1 "$reader" "$work/damaged"
expect stderr "one is missing"
cp "$work/store/000001.fbat" "$work/damaged/000002.fbat"
run 1 "$reader" "$work/damaged"
run 1 "$reader" "$work"
run 2 "$reader"

# ---- the golden store, and a real history where there is one

compare "$(dirname "$reader")/v2"
if [ -r "$history" ]; then
    zcat "$history" | "$FBAT" import "$work/redis" -o segment_max_bytes=5M - >/dev/null
    compare "$work/redis"
fi
