#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ctrl-C in the middle of an import closes the store properly, says what is in, exits with 130; the same command
# finishes.
source "$(dirname "$0")/support.bash"

for i in $(seq 1 3000); do event "e$i" "\"data\":$i"; done >"$work/input"
mkfifo "$work/pipe"
env --default-signal=INT "$FBAT" import "$work/store" "$work/pipe" >"$work/stdout" 2>"$work/stderr" &
importer=$!
exec 9>"$work/pipe"
head -n 1000 "$work/input" >&9
for _ in $(seq 200); do
    [ "$("$FBAT" query "$work/store" --count 2>/dev/null)" = 1000 ] && break
    sleep 0.05
done
kill -INT "$importer"
got=0
wait "$importer" || got=$?
exec 9>&-
equal "exit status" "$got" 130
expect stderr "interrupted; 1000 events are in the store, and the same command adds the rest"
expect stdout "1000 events read, 1000 added"
equal "closed properly" "$("$FBAT" stats "$work/store" --json | grep -o '"clean":[a-z]*')" '"clean":true'
run 0 "$FBAT" import "$work/store" "$work/input"
expect stdout "3000 events read, 2000 added, 1000 already there"

# While reading a file as fast as it can.
for i in $(seq 1 60); do cat "$work/input"; done | sed '=' | paste -d' ' - - |
    sed 's/^\([0-9]*\) \(.*\)"id":"[^"]*"/\2"id":"n\1"/' >"$work/large"
env --default-signal=INT "$FBAT" import "$work/second" "$work/large" >"$work/stdout" 2>"$work/stderr" &
importer=$!
for _ in $(seq 400); do
    [ "$("$FBAT" query "$work/second" --count 2>/dev/null || echo 0)" -gt 0 ] && break
done
kill -INT "$importer" 2>/dev/null || true
got=0
wait "$importer" || got=$?
[ "$got" = 130 ] || [ "$got" = 0 ] || fail "exit status $got instead of 130"
run 0 "$FBAT" import "$work/second" "$work/large"
equal "events in the end" "$("$FBAT" query "$work/second" --count)" 180000
run 0 "$FBAT" check "$work/second"
