#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the golden store of disk version 2: tests/golden/make_v2.sh, with FBAT naming the command.
#
#   v2/              the store, closed: one sealed segment and one that is not
#   v2.ndjson        what `fbat export --system` says of it
#   v2.dump.ndjson   what `fbat dump --json --payload` says of it
#
# Files of a released disk version are never made again: a library that cannot read them has broken its promise, and
# new bytes would only hide that. Until version 2 is released, a change of the format is followed by a run of this
# script, and by the bytes shown in docs/FORMAT.md, which it prints at its end (tests/unit/test_format_doc.c compares
# them).
set -euo pipefail
cd "$(dirname "$0")"
FBAT=${FBAT:-../../build/release/fbat}

rm -rf v2
small=(-o segment_max_bytes=6400)
add() { "$FBAT" append v2 "${small[@]}" "$@" >/dev/null; }

"$FBAT" init v2 "${small[@]}" >/dev/null
add -e order-1 -s shop -k order.placed --id 01890a5d-ac96-774b-bcce-b302099a8057 --time 2023-06-30T12:00:00Z \
    --header by=web --tag new '{"total":12}'
add -e order-1 -s shop -k order.paid --causation 01890a5d-ac96-774b-bcce-b302099a8057 \
    --correlation 01890a5d-ac96-774b-bcce-b302099a8057 'paid in full'
printf '\x00\x01\xfe\xff' | add -e order-1 -s depot -k order.packed --category 2 --type bytes -
add -e grün-7 -s shop -k 0x1fff --type msgpack --id 01890a5d-ac96-774b-bcce-b302099a8058 --header a= --header "b=x=y" \
    --tag red --tag grün ''
# One batch, one frame: three events, the last caused by the first.
batch_event() { # end of the id, kind, entity, minute of the time, further members
    printf '{"specversion":"1.0","source":"shop","id":"01890a5d-ac96-774b-bcce-b302099a80%s",' "$1"
    printf '"type":"%s","subject":"%s","time":"2023-06-30T13:%s:00Z",%s}\n' "$2" "$3" "$4" "$5"
}
first='"01890a5d-ac96-774b-bcce-b302099a8061"'
{
    batch_event 61 order.placed order-2 00 '"data":{"total":7}'
    batch_event 62 order.placed order-3 01 '"data":{"total":8}'
    batch_event 63 order.paid order-2 02 "\"causationid\":$first,\"correlationid\":$first,\"data\":\"paid\""
} | "$FBAT" import v2 "${small[@]}" - >/dev/null
# A payload that opens the second segment.
add -e order-2 -s shop -k order.noted --type text "$(printf 'a long note, %.0s' {1..40})"
add -e order-1 -s shop -k order.closed --expect 2

"$FBAT" export --system v2 >v2.ndjson
"$FBAT" dump --json --payload v2 >v2.dump.ndjson
[ -e v2/000002.fbat ] && [ ! -e v2/000003.fbat ] || { echo "make_v2.sh: there should be two segments" >&2; exit 1; }

hex() { # file offset bytes
    od -An -v -tx1 -j "$2" -N "$3" "$1" | sed 's/^ //'
}
echo "header bytes 24 to 55 of segment 1:"
hex v2/000001.fbat 24 32
while read -r offset bytes; do
    echo "the frame of sequence 2, at offset $offset:"
    hex v2/000001.fbat "$offset" "$bytes"
done < <(sed -nE 's/.*"what":"frame","segment":1,"offset":([0-9]+),"bytes":([0-9]+).*"first_sequence":2,.*/\1 \2/p' \
    v2.dump.ndjson)
