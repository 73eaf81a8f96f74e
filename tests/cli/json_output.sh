#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --json of every verb is JSON: one object a line for events, one object for a report; and names what it must.
source "$(dirname "$0")/support.bash"
need jq

events() { # how many lines, expression true of each
    jq -e "$2" "$work/stdout" >"$work/true" || fail "not true of every line: $2"
    equal "lines" "$(jq -c . "$work/stdout" | wc -l)" "$(wc -l <"$work/stdout")"
    equal "events" "$(wc -l <"$work/stdout")" "$1"
    ! grep -qv '^true$' "$work/true" || fail "not true of every line: $2"
}
report() {
    equal "objects" "$(jq -c . "$work/stdout" | wc -l)" 1
    jq -e "$1" "$work/stdout" >/dev/null || { cat "$work/stdout"; fail "not true of the report: $1"; }
}

run 0 "$FBAT" init "$work/store" --json
report '.created == true and (.store | length) == 36 and .disk_version == 2'
run 0 "$FBAT" init "$work/store" --json
report '.created == false'
{ event a '"data":{"n":1}'; event b '"data":"text \u0001 \"quoted\""'; event c '"data_base64":"/wD+"'; } >"$work/input"
run 0 "$FBAT" import "$work/store" "$work/input" --json
report '.read == 3 and .added == 3 and .already == 0 and .rejected == 0 and .interrupted == false and .duration_us > 0'
run 0 "$FBAT" append "$work/store" -e "$(printf 'od\td\x1b[31m\xc2\x9b')" -s 's"\' -k some.kind --tag t --header h=v --json 'plain'
report '.revision == 1 and .replayed == false and (.hash | length) == 64 and .level == "written" and .sequence > 3'
run 0 "$FBAT" query "$work/store" --json
events 4 '.specversion == "1.0" and (.id | length) > 0 and .sequence > 0'
run 0 "$FBAT" export "$work/store" --json
events 4 '.recordedtime | endswith("Z")'
run 0 "$FBAT" get "$work/store" b --scope /test --json
events 1 '.id == "b" and .data == "text \u0001 \"quoted\"" and .datacontenttype == "application/json"'
run 0 "$FBAT" stream "$work/store" thing-1 --json
events 3 '.subject == "thing-1" and .source == "/test"'
run 0 "$FBAT" tail "$work/store" -n 2 --json
events 2 '.type == "thing.made" or .type == "some.kind"'
run 0 "$FBAT" query "$work/store" --count --json
report '.count == 4'
run 0 "$FBAT" kinds "$work/store" --json
events 2 '.kind >= 4096 and .category == 1 and .count > 0 and (.name | length) > 0'
run 0 "$FBAT" stats "$work/store" --json
report '.events == 4 and .streams == 2 and .frontier.visible == .last_sequence and .open.clean == true'
run 0 "$FBAT" check "$work/store" --json
report '.findings == [] and .damage == 0 and .streams >= 2'
run 0 "$FBAT" dump "$work/store" --json
jq -e . "$work/stdout" >/dev/null || fail "dump"
equal "entities in the dump" "$(jq -r 'select(.what == "event") | .entity' "$work/stdout" | grep -c thing-1)" 3
run 0 "$FBAT" dump "$work/store" --json --payload
jq -e 'select(.what == "event") | .payload_base64 | @base64d' "$work/stdout" >/dev/null || fail "dump --payload"

# Text output never sends control characters to the terminal.
for verb in "query" "tail" "export" "dump --payload" "get @$("$FBAT" query "$work/store" --json --reverse --limit 1 |
    jq .sequence)"; do
    # shellcheck disable=SC2086
    run 0 "$FBAT" ${verb%% *} "$work/store" ${verb#"${verb%% *}"}
    ! grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$work/stdout" || fail "control characters in $verb"
done
