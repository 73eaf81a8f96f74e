#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# append: payload from argument, file and standard input; what type it is; ids, causes, headers, tags, times; retry
# and conflict; expected revisions.
source "$(dirname "$0")/support.bash"
need jq

add() { run 0 "$FBAT" append "$work/store" --entity order-1 --scope shop --kind order.placed "$@"; }
last() { "$FBAT" query "$work/store" --reverse --limit 1 --json | jq -c "$1"; }

add '{"total":12}'
grep -qE '^sequence [0-9]+, revision 1, id [0-9a-f-]{36}, written$' "$work/stdout" || fail "receipt: $(cat "$work/stdout")"
equal "event" "$(last '[.subject,.source,.type,.data,.datacontenttype]')" \
    '["order-1","shop","order.placed",{"total":12},"application/json"]'
equal "an event's story is its own" "$(last '.id == .correlationid')" true
add --durable 'just text'
expect stdout ", durable"
equal "text" "$(last '[.data,.datacontenttype]')" '["just text","text/plain"]'
add --written
equal "empty" "$(last '[has("data"),has("data_base64"),has("datacontenttype")]')" '[false,false,false]'
printf '\x00\xff\x01' >"$work/binary"
add --file "$work/binary"
equal "bytes" "$(last '[.data_base64,.datacontenttype]')" '["AP8B","application/octet-stream"]'
run 0 "$FBAT" append "$work/store" --entity order-1 --scope shop --kind order.placed - <"$work/binary"
equal "bytes of standard input" "$(last .data_base64)" '"AP8B"'
cmp <("$FBAT" get "$work/store" "$("$FBAT" query "$work/store" --json -r -n 1 | jq .sequence)" --payload) "$work/binary" ||
    fail "get --payload is not the payload"
add --type msgpack --file "$work/binary"
equal "msgpack" "$(last .datacontenttype)" '"application/msgpack"'
add --type text 12
equal "a number as text" "$(last .data)" '"12"'
add 12
equal "a number" "$(last .data)" 12
add -- --help
equal "a payload like an option" "$(last .data)" '"--help"'

id=018f3b1e-1111-7abc-8def-0123456789ab
add --id $id --correlation $id --causation story-9 --time 2024-01-31T12:00:00.5+02:00 --header a=1 --header b= \
    --header c=x=y --tag red --tag green '"first"'
expect stdout "id $id"
equal "all fields" "$(last '[.id,.correlationid,.causationid,.time,.a,.b,.c,.fbattags]')" \
    "[\"$id\",\"$id\",\"story-9\",\"2024-01-31T12:00:00.5+02:00\",\"1\",\"\",\"x=y\",\"[\\\"red\\\",\\\"green\\\"]\"]"
first=$(cat "$work/stdout")
add --id $id --correlation $id --causation story-9 --time 2024-01-31T12:00:00.5+02:00 --header a=1 --header b= \
    --header c=x=y --tag red --tag green '"first"'
equal "a retry's receipt" "$(sed 's/, [a-z]*, was there already$//' "$work/stdout")" "${first%, *}"
expect stdout "was there already"
run 2 "$FBAT" append "$work/store" --entity order-1 --scope shop --kind order.placed --id $id '"second"'
[ -s "$work/stderr" ] || fail "no message for a used id"
add --id my-own-id 1
equal "an id that is no UUID" "$(last .id)" '"my-own-id"'
run 0 "$FBAT" get "$work/store" my-own-id --scope shop --json
add --id my-own-id 1
expect stdout "was there already"
run 0 "$FBAT" append "$work/store" --entity order-1 --scope other --kind order.placed --id my-own-id 2
! grep -q already "$work/stdout" || fail "the same id in another scope is another event"

revision=$("$FBAT" stream "$work/store" order-1 --scope shop --count)
add --expect "$revision"
run 2 "$FBAT" append "$work/store" --entity order-1 --scope shop --kind order.placed --expect "$revision"
expect stderr "$((revision + 1))"
run 2 "$FBAT" append "$work/store" --entity order-1 --scope shop --kind order.placed --expect none
add --expect exists
add --expect any
run 0 "$FBAT" append "$work/store" --entity order-2 --scope shop --kind order.placed --expect none
run 2 "$FBAT" append "$work/store" --entity order-3 --scope shop --kind order.placed --expect exists

for kind in 0x2001 8193 2:1; do run 0 "$FBAT" append "$work/store" -e numbers -s shop -k "$kind"; done
equal "three ways to write a number" "$("$FBAT" query "$work/store" --kind 0x2001 --count)" 3
equal "a kind without a name" "$(last .type)" '"kind.0x2001"'
run 0 "$FBAT" append "$work/store" -e numbers -s shop -k audit.done --category 3
equal "a category" "$("$FBAT" query "$work/store" --category 3 --count)" 1
for kind in 0x0001 0xd001 13:1 0; do run 2 "$FBAT" append "$work/store" -e e -s s -k "$kind"; done
run 2 "$FBAT" append "$work/store" -e e -s _system -k k
run 2 "$FBAT" append "$work/store" -e "$(head -c 1025 /dev/zero | tr '\0' e)" -s s -k k
run 2 "$FBAT" append "$work/store" -e "$(printf '\xff')" -s s -k k
run 0 "$FBAT" check "$work/store"
