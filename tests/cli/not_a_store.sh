#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A directory that is no store, a file in its place, nothing at all, a store of a newer format: each gets its own
# message and exit 2, and nothing is made or changed.
source "$(dirname "$0")/support.bash"

event a >"$work/line"
mkdir "$work/other"
echo precious >"$work/other/letter.txt"
echo precious >"$work/file"

for verb in "get @1" "query" "stream x" "tail" "kinds" "stats" "export" "check" "dump"; do
    read -r name argument <<<"$verb"
    for place in other file absent; do
        # shellcheck disable=SC2086
        run 2 "$FBAT" "$name" "$work/$place" $argument
        expect stderr "$work/$place"
        [ ! -s "$work/stdout" ] || fail "$name $place printed something"
    done
done
for place in other file; do
    run 2 "$FBAT" import "$work/$place" "$work/line"
    expect stderr "$work/$place"
    run 2 "$FBAT" append "$work/$place" -e e -s s -k k
    expect stderr "$work/$place"
    run 2 "$FBAT" init "$work/$place"
    expect stderr "$work/$place"
done
[ ! -e "$work/absent" ] || fail "a verb that reads has made a directory"
equal "the other directory" "$(ls -A "$work/other")" letter.txt
equal "the file" "$(cat "$work/file")" precious

run 2 "$FBAT" import "$work/no/such/parent" "$work/line"
run 2 "$FBAT" import "$work/new" "$work/no-such-file"
expect stderr "cannot open $work/no-such-file"
run 2 "$FBAT" import "$work/new" "$work/other"
expect stderr "is a directory"
[ ! -e "$work/new" ] || fail "a store was made for an input that cannot be read"
