#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each kind of bad line stops an import with its place and what was expected, and loses nothing of what came before.
source "$(dirname "$0")/support.bash"


# reject COLUMN MESSAGE LINE: the line is refused as the third one.
number=0
reject() {
    number=$((number + 1))
    local store=$work/store$number
    { event a; event b; printf '%s\n' "$3"; event c; } >"$work/input"
    run 2 "$FBAT" import "$store" "$work/input"
    expect stderr "fbat: import: $work/input:3:$1: "
    expect stderr "$2"
    expect stderr "the 2 events before it are in the store"
    expect stdout "3 events read, 2 added, 0 already there, 1 rejected"
    equal "events after: $3" "$("$FBAT" query "$store" --count)" 2
    "$FBAT" check "$store" >/dev/null || fail "the store is damaged after: $3"
}

# Malformed JSON.
reject 1 "found 'h'; expected an object" 'hello'
reject 1 "found '['; expected an object" '[1,2]'
reject 2 "the line ends here; expected a member's name in quotes, or '}'" '{'
reject 8 "found '}'; expected a value" '{"id":'" }"
reject 7 "expected ':' after a member's name" '{"id" "x"}'
reject 11 "expected ',' or '}'" '{"id":"x" "source":"y"}'
reject 11 "expected a member's name in quotes" '{"id":"x",}'
reject 8 "the line ends here; expected the closing '\"'" '{"id":"'
reject 9 "expected one of" '{"id":"\q"}'
reject 12 "four hexadecimal digits" '{"id":"\u12g4"}'
reject 7 "expected a value" '{"id":nul}'
reject 8 "expected a digit" '{"n":1.}'
reject 7 "expected ',' or '}'" '{"n":01}'
reject 12 "expected nothing after the object" '{"id":"x"} {"id":"y"}'

# Values that are not what CloudEvents says.
reject 1 "the attribute specversion is missing" '{"id":"x","source":"/s","type":"t","subject":"e"}'
reject 16 "specversion is '0.3'; expected '1.0'" '{"specversion":"0.3","id":"x","source":"/s","type":"t","subject":"e"}'
reject 16 "specversion is no string" '{"specversion":1.0,"id":"x","source":"/s","type":"t","subject":"e"}'
reject 1 "the attribute id is missing" '{"specversion":"1.0","source":"/s","type":"t","subject":"e"}'
reject 1 "the attribute id is missing" '{"specversion":"1.0","id":null,"source":"/s","type":"t","subject":"e"}'
reject 1 "the attribute source is missing" '{"specversion":"1.0","id":"x","type":"t","subject":"e"}'
reject 1 "the attribute type is missing" '{"specversion":"1.0","id":"x","source":"/s","subject":"e"}'
reject 1 "--subject NAME" '{"specversion":"1.0","id":"x","source":"/s","type":"t"}'
reject 27 "id is empty" '{"specversion":"1.0","id":"","source":"/s","type":"t","subject":"e"}'
reject 27 "id is no string" '{"specversion":"1.0","id":17,"source":"/s","type":"t","subject":"e"}'
reject 95 "expected one like 2009-03-22T09:30:00Z" "$(event c '"time":"yesterday"')"
reject 95 "time is no RFC 3339 time" "$(event c '"time":"2023-02-29T00:00:00Z"')"
reject 95 "time is no string" "$(event c '"time":1700000000')"
reject 102 "data_base64 is not base64" "$(event c '"data_base64":"???"')"
reject 111 "data or data_base64" "$(event c '"data":1' '"data_base64":"AA=="')"
reject 88 "this cannot be the name of an attribute" "$(event c '"a:b":"c"')"
reject 108 "occurs twice" "$(event c '"data":{"k":1,"j":2,"k":3}')"

# Names, kinds, sizes.
long=$(printf 'n%.0s' {1..1025})
reject 78 "subject is 1025 bytes long; expected at most 1024" "$(event c | sed "s/thing-1/$long/")"
reject 40 "source is 1025 bytes long; expected at most 1024" "$(event c | sed "s,/test,$long,")"
reject 55 "type is 300 bytes long; expected at most 255" "$(event c | sed "s/thing.made/${long:0:300}/")"
reject 78 "subject holds a NUL character" "$(event c | sed 's/thing-1/a\\u0000b/')"
reject 1 "_system" "$(event c | sed 's,/test,_system,')"
reject 1 "kind" "$(event c | sed 's,thing.made,kind.0x0001,')"
reject 1 "kind" "$(event c | sed 's,thing.made,kind.0xd001,')"
reject 55 "without control characters" "$(event c | sed 's,thing.made,two\\nlines,')"

# Bytes that are no text.
{ event a; event b; printf '{"id":"\xff"}\n'; } >"$work/input"
run 2 "$FBAT" import "$work/utf8" "$work/input"
expect stderr ":3:8: found byte 0xff; expected valid UTF-8"
{ event a; event b; printf '{"id":\0"x"}\n'; } >"$work/input"
run 2 "$FBAT" import "$work/nul" "$work/input"
expect stderr ":3:7: found a NUL byte"
equal "events after a NUL byte" "$("$FBAT" query "$work/nul" --count)" 2

# Columns count characters, not bytes.
{ event a; event b; echo '{"äöü":x}'; } >"$work/input"
run 2 "$FBAT" import "$work/columns" "$work/input"
expect stderr ":3:8: found 'x'; expected a value"
