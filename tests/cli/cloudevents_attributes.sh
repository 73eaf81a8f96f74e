#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every attribute of a CloudEvent comes back from export as it went in: ids that are no UUIDs, times in any form,
# extensions of each JSON type, texts, bytes, media types; and so from a second store, and importing an export adds
# nothing.
source "$(dirname "$0")/support.bash"
need jq

{
    event plain
    event 11111111-2222-4333-8444-555555555555
    event AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE
    event 00000000-0000-0000-0000-000000000000
    event 'with \"quotes\" and \u00fc \ud83d\ude00'
    for time in 2009-03-22T09:30:00Z 2009-03-22T09:30:00.5Z 2009-03-22T09:30:00.123Z 2009-03-22T09:30:00.123456Z \
        2009-03-22T09:30:00.123456789Z 2009-03-22T09:30:00+05:30 2009-03-22T09:30:00-00:00 2009-03-22t09:30:00z \
        0000-01-01T00:00:00Z 9999-12-31T23:59:59.999999Z 1969-12-31T23:59:59.999999Z 2016-12-31T23:59:60Z \
        2024-02-29T00:00:00.000Z; do
        event "time $time" "\"time\":\"$time\""
    done
    event links '"correlationid":"story-1"' '"causationid":"plain"'
    event own '"correlationid":"own"'
    event uuids '"correlationid":"11111111-2222-4333-8444-555555555555"' \
        '"causationid":"AAAAAAAA-BBBB-4CCC-8DDD-EEEEEEEEEEEE"'
    event extensions '"text":"a \"b\" \\ \n"' '"empty":""' '"integer":-17' '"boolean":true' '"other":false' \
        '"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"' '"dataschema":"http://example.com/s"' \
        '"list":[1,{"a":null}]' '"real":1.50'
    event json '"datacontenttype":"application/json"' '"data":{"b" : [1, 2.50 ,-0,1e400,12345678901234567890],"a":"\u00e9\/"}'
    event vendor '"datacontenttype":"application/vnd.thing+json; charset=utf-8"' '"data":{"a":1}'
    event untyped '"data":"a string"'
    event text '"datacontenttype":"text/plain"' '"data":"line 1\nline 2 \u0000 \"\\"'
    event html '"datacontenttype":"text/html"' '"data":"<p>"'
    event "text that is no string" '"datacontenttype":"text/plain"' '"data":{"not":"text"}'
    event octets '"datacontenttype":"application/octet-stream"' '"data_base64":"AAEC/w=="'
    event bytes '"data_base64":"AAEC/w=="'
    event msgpack '"datacontenttype":"application/msgpack"' '"data_base64":"gaFhAQ=="'
    event xmsgpack '"datacontenttype":"application/x-msgpack"' '"data_base64":"gaFhAQ=="'
    event "json in base64" '"datacontenttype":"application/json"' '"data_base64":"eyJhIjoxfQ=="'
    event "broken json in base64" '"datacontenttype":"application/json"' '"data_base64":"eyJhIjox"'
    event image '"datacontenttype":"image/png"' '"data_base64":"iVBORw=="'
    event "no data but a type" '"datacontenttype":"image/png"'
    event "null data" '"datacontenttype":"application/json"' '"data":null'
    event "escaped names" | sed 's/"subject"/"\\u0073ubject"/'
    event "names with escapes" '"source":"/\u00fc/\ud83d\ude00"' | sed 's,"source":"/test"\,,,'
    event "many names" "\"data\":{$(for i in $(seq 40); do printf '"k%d":%d,' "$i" "$i"; done)\"k\":0}"
    event tags '"fbattags":"[\"one\",\"tw\\\"o\"]"'
    event headers '"fbatheaders":"[[\"x y\",\"v\"],[\"x y\",\"w\"],[\"b\",{\"base64\":\"/w==\"}]]"'
    event number | sed 's/thing.made/kind.0x4abc/'
    event category '"fbatcategory":5' | sed 's/thing.made/thing.five/'
    event "own payload type" '"fbatpayloadtype":200' '"data_base64":"AQI="'
    event "old time" '"fbattime":"-99999999999999999"'
} >"$work/input"
count=$(wc -l <"$work/input")
run 0 "$FBAT" import "$work/one" "$work/input"
expect stdout "$count added"

# What export adds: a time, the correlation, where they were not given, and the usual media type.
"$FBAT" export --plain "$work/one" >"$work/exported"
paste -d '\n' <(jq -c . "$work/input") <(jq -c . "$work/exported") | jq -s -c '
    range(0; length; 2) as $i | .[$i] as $in | .[$i + 1] as $out | $in | to_entries[] | . as {$key, $value}
    | select($value != null or $key == "data")
    | select($out[$key] != $value or ($out | has($key) | not))
    | {id: $in.id, key: $key, wanted: $value, got: $out[$key]}' >"$work/differences"
# JSON that was given in base64 comes back as JSON.
jq -c 'select(.id != "json in base64")' "$work/differences" >"$work/real"
[ ! -s "$work/real" ] || { cat "$work/real"; fail "attributes changed"; }
equal "JSON given in base64" "$(jq -c 'select(.id == "json in base64") | .data' "$work/exported")" '{"a":1}'

# The payload keeps its bytes.
equal "bytes of the payload" "$("$FBAT" get "$work/one" json --scope /test --payload)" \
    '{"b" : [1, 2.50 ,-0,1e400,12345678901234567890],"a":"\u00e9\/"}'
grep -qF '"data":{"b" : [1, 2.50 ,-0,1e400,12345678901234567890],"a":"\u00e9\/"}' "$work/exported" ||
    fail "export changes the payload's bytes"
"$FBAT" get "$work/one" text --scope /test --payload | cmp - <(printf 'line 1\nline 2 \0 "\\') || fail "the text's bytes"

# Ids link: a cause given by its text is the event that has it.
cause=$("$FBAT" get "$work/one" plain --scope /test | sed -n 's/^id  *//p')
equal "cause" "$("$FBAT" get "$work/one" links --scope /test | sed -n 's/^causation  *//p')" "$cause"

# Round and round.
run 0 "$FBAT" import "$work/one" "$work/input"
expect stdout "0 added, $count already there"
run 0 "$FBAT" import "$work/one" "$work/exported"
expect stdout "0 added, $count already there"
run 0 "$FBAT" import "$work/two" "$work/exported"
expect stdout "$count added"
cmp <("$FBAT" export --plain "$work/two") "$work/exported" || fail "the second store's export is another"
cmp <("$FBAT" dump "$work/one" --json --payload | jq -c 'select(.what == "event" and .scope != "_system") |
        [.sequence, .revision, .kind, .id, .scope, .entity, .payload_type, .payload_base64]') \
    <("$FBAT" dump "$work/two" --json --payload | jq -c 'select(.what == "event" and .scope != "_system") |
        [.sequence, .revision, .kind, .id, .scope, .entity, .payload_type, .payload_base64]') ||
    fail "the second store's records are others"
run 0 "$FBAT" check "$work/two"

# Events that the command line made, with payloads and headers no CloudEvent would have.
printf '{\n  "pretty": true\n}\n' >"$work/pretty"
printf '\xc3\x28' >"$work/binary"
run 0 "$FBAT" append "$work/three" -e e -s s -k k --file "$work/pretty"
run 0 "$FBAT" append "$work/three" -e e -s s -k k --header id=other --header 'two words=x' --tag a --tag 'b"\' x
run 0 "$FBAT" append "$work/three" -e e -s s -k k --header "bin=$(cat "$work/binary")" --header bin=again --file "$work/binary"
run 0 "$FBAT" append "$work/three" -e e -s s -k k --header x:json=notjson --header subject=s --header time=12 1
run 0 "$FBAT" append "$work/three" -e e -s s -k k --header n:json=5 --header z=1 --header datacontenttype=text/plain '"q"'
"$FBAT" export "$work/three" >"$work/exported"
run 0 "$FBAT" import "$work/three" "$work/exported"
expect stdout "0 added, 5 already there"
run 0 "$FBAT" import "$work/four" "$work/exported"
cmp <("$FBAT" export --plain "$work/three") <("$FBAT" export --plain "$work/four") || fail "exports differ"
cmp <("$FBAT" query "$work/three" --payload) <("$FBAT" query "$work/four" --payload) || fail "payloads differ"
equal "pretty JSON for a person with jq" "$("$FBAT" query "$work/three" --json --limit 1 | jq -c .data)" '{"pretty":true}'
