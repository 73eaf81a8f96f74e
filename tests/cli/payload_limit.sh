#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A payload at the limit goes in, one over it is refused with the limit and the option that raises it; so for import
# and append; and a line that is too long to be read at all is named.
source "$(dirname "$0")/support.bash"

limit=$((16 * 1024 * 1024))
data() { # bytes of payload: a JSON string
    printf '{"specversion":"1.0","id":"%s","source":"/s","type":"big","subject":"e","data":"' "$1"
    head -c "$(($2 - 2))" /dev/zero | tr '\0' x
    echo '"}'
}
{ event a; data fits "$limit"; } >"$work/input"
run 0 "$FBAT" import "$work/store" "$work/input"
expect stdout "2 added"
"$FBAT" query "$work/store" --kind big --payload | tr -d '\n' | wc -c >"$work/size"
equal "bytes of the payload" "$(cat "$work/size")" "$limit"

{ event b; data over "$((limit + 1))"; event c; } >"$work/input"
run 2 "$FBAT" import "$work/store" "$work/input"
expect stderr "$work/input:2:1: "
expect stderr "single_append_max_bytes"
equal "events" "$("$FBAT" query "$work/store" --count)" 3
run 0 "$FBAT" import -o single_append_max_bytes=17MiB "$work/store" "$work/input"
expect stdout "2 added, 1 already there"

head -c 1001 /dev/zero | tr '\0' x >"$work/payload"
run 2 "$FBAT" append "$work/store" -e e -s s -k k -o single_append_max_bytes=1000 --file "$work/payload"
expect stderr "the payload is over 1000 bytes"
run 0 "$FBAT" append "$work/store" -e e -s s -k k -o single_append_max_bytes=1001 --file "$work/payload"

{ event d; head -c $((100 * 1024 * 1024)) /dev/zero | tr '\0' ' '; event e; } >"$work/input"
run 2 "$FBAT" import "$work/store" "$work/input"
expect stderr "$work/input:2:1: the line is longer than 96.0 MiB"
equal "events" "$("$FBAT" query "$work/store" --count)" 7
