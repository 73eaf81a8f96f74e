#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 at any moment of an import, again and again: the store opens and checks, what an earlier round had added is
# there, and finishing gives exactly the events of the file, once each.
source "$(dirname "$0")/support.bash"
need jq
need_history

rounds=${FBAT_KILL_ROUNDS:-20}
seed=${FBAT_TEST_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed; FBAT_TEST_SEED=$seed repeats the delays"
zcat "$history" >"$work/input"
before=0
killed=0
for round in $(seq "$rounds"); do
    "$FBAT" import -o segment_max_bytes=2MiB "$work/store" "$work/input" >/dev/null 2>&1 &
    importer=$!
    sleep "0.$(printf %03d $((RANDOM % 150)))"
    kill -9 "$importer" 2>/dev/null && killed=$((killed + 1))
    wait "$importer" 2>/dev/null || true
    [ -e "$work/store/store.meta" ] || continue
    now=$("$FBAT" query "$work/store" --count)
    [ "$now" -ge "$before" ] || fail "round $round: $now events after $before"
    before=$now
    "$FBAT" check "$work/store" >"$work/check" || { cat "$work/check"; fail "round $round: damage after kill -9"; }
done
echo "$killed of $rounds imports killed, $before events then"
[ "$killed" -gt 0 ] || fail "no import was killed"
run 0 "$FBAT" import "$work/store" "$work/input"
expect stdout "34188 events read, $((34188 - before)) added, $before already there, 0 rejected"
equal "events" "$("$FBAT" query "$work/store" --count)" 34188
cmp <("$FBAT" export --plain "$work/store" | jq -cS .) <(jq -cS . "$work/input") || fail "the export is not the input"
run 0 "$FBAT" check "$work/store"
expect stdout "no damage"
