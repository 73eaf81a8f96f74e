#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# --keep-going takes every good line, reports the bad ones, counts them, and exits with 2.
source "$(dirname "$0")/support.bash"
need jq

for i in $(seq 1 300); do
    event "e$i"
    [ $((i % 10)) = 0 ] && echo "{\"id\":\"bad$i\""
done >"$work/input"
run 2 "$FBAT" import --keep-going "$work/store" "$work/input"
expect stdout "330 events read, 300 added, 0 already there, 30 rejected"
equal "lines reported" "$(grep -c 'expected' "$work/stderr")" 30
expect stderr "$work/input:11:14: the line ends here; expected ',' or '}'"
equal "events" "$("$FBAT" query "$work/store" --count)" 300

run 2 "$FBAT" import --keep-going --json "$work/store" "$work/input"
jq -e '.read == 330 and .added == 0 and .already == 300 and .rejected == 30' "$work/stdout" >/dev/null || fail "--json"

# Of very many, the first 100 are shown and all are counted.
yes nonsense | head -n 5000 >"$work/input" || true
run 2 "$FBAT" import --keep-going "$work/store" - <"$work/input"
expect stdout "5000 events read, 0 added, 0 already there, 5000 rejected"
expect stderr "5000 lines were rejected; the first 100 are shown"
equal "lines shown" "$(grep -c 'expected an object' "$work/stderr")" 100

# An event that the store refuses is one bad line too, wherever it stands in a batch.
{ event n1; event n2 | sed 's,/test,_system,'; event n3; event e1 '"data":"other"'; event n4; } >"$work/input"
run 2 "$FBAT" import --keep-going "$work/store" "$work/input"
expect stdout "5 events read, 3 added, 0 already there, 2 rejected"
expect stderr "$work/input:2:1: "
expect stderr "$work/input:4:1: "

# Without it, the import ends there, with what came before in the store, and a mended file adds the rest.
{ event m1; event m2; echo bad; event m3; } >"$work/input"
run 2 "$FBAT" import "$work/store" "$work/input"
expect stdout "3 events read, 2 added"
sed -i /bad/d "$work/input"
run 0 "$FBAT" import "$work/store" "$work/input"
expect stdout "3 events read, 1 added, 2 already there, 0 rejected"
