#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is exported equals what was imported, in order; importing again adds nothing; a second store from the export
# exports the same.
source "$(dirname "$0")/support.bash"
need jq
need_history

zcat "$history" >"$work/input"
run 0 "$FBAT" import "$work/one" "$work/input"
"$FBAT" export "$work/one" >"$work/exported"
jq -cS . "$work/input" >"$work/wanted"
jq -cS 'del(.sequence, .recordedtime)' "$work/exported" >"$work/got"
cmp "$work/wanted" "$work/got" || fail "the export is not the input"
jq -s -e 'map(.sequence) | . == sort and (unique | length) == length' "$work/exported" >/dev/null ||
    fail "sequences are not in order"
"$FBAT" export --plain "$work/one" >"$work/plain"
cmp "$work/plain" <(jq -c 'del(.sequence, .recordedtime)' "$work/exported") || fail "--plain"

run 0 "$FBAT" import "$work/one" "$work/input"
expect stdout "34188 events read, 0 added, 34188 already there, 0 rejected"
run 0 "$FBAT" import "$work/one" "$work/exported"
expect stdout "34188 events read, 0 added, 34188 already there, 0 rejected"

run 0 "$FBAT" export "$work/one" "$work/file"
expect stdout "34188 events written"
cmp "$work/exported" "$work/file" || fail "export to a file"

run 0 "$FBAT" import "$work/two" "$work/exported"
expect stdout "34188 added"
"$FBAT" export --plain "$work/two" >"$work/plain.two"
cmp "$work/plain" "$work/plain.two" || fail "the second store's export is another"
cmp <("$FBAT" kinds "$work/one") <("$FBAT" kinds "$work/two") || fail "the second store's kinds are others"
