#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tail shows the last events; tail -f shows what another process appends, once each, in order, until Ctrl-C.
source "$(dirname "$0")/support.bash"
need jq

for i in $(seq 1 25); do event "e$i" "\"data\":$i"; done >"$work/input"
run 0 "$FBAT" import "$work/store" "$work/input"
run 0 "$FBAT" append "$work/store" -e other -s s -k other 0
equal "the last ten" "$("$FBAT" tail "$work/store" --payload | tr '\n' ' ')" "17 18 19 20 21 22 23 24 25 0 "
equal "the last three" "$("$FBAT" tail "$work/store" -n 3 --payload | tr '\n' ' ')" "24 25 0 "
equal "none" "$("$FBAT" tail "$work/store" -n 0)" ""
equal "more than all" "$("$FBAT" tail "$work/store" -n 1000 --payload | wc -l)" 26

env --default-signal=INT "$FBAT" tail "$work/store" -n 2 -f --json >"$work/followed" 2>"$work/stderr" &
follower=$!
env --default-signal=INT "$FBAT" tail "$work/store" -n 0 -f --kind other --payload >"$work/others" &
second=$!
wait_for_lines() { # file count
    for _ in $(seq 400); do
        [ "$(wc -l <"$work/$1")" -ge "$2" ] && return
        sleep 0.025
    done
    fail "$1 has $(wc -l <"$work/$1") lines instead of $2"
}
wait_for_lines followed 2

for i in $(seq 26 1500); do
    if [ $((i % 100)) = 0 ]; then event "e$i" "\"data\":$i" | sed s/thing.made/other/; else event "e$i" "\"data\":$i"; fi
done >"$work/more"
run 0 "$FBAT" import "$work/store" "$work/more"
wait_for_lines followed 1477
run 0 "$FBAT" append "$work/store" -e e -s s -k other 'true'
wait_for_lines followed 1478
wait_for_lines others 16
kill -INT "$follower" "$second"
got=0
wait "$follower" || got=$?
equal "exit status after Ctrl-C" "$got" 130
wait "$second" || true
jq -c .data "$work/followed" >"$work/got"
{ echo 25; echo 0; seq 26 1500; echo true; } >"$work/wanted"
cmp "$work/got" "$work/wanted" || fail "the events followed are not the ones appended"
equal "the other kind" "$(wc -l <"$work/others")" 16
equal "messages" "$(cat "$work/stderr")" ""
