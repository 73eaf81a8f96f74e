#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 at any moment of an import, again and again: the store opens and checks, what an earlier round had added is
# there, in the order of the input, and finishing gives exactly the events of the file, once each.
source "$(dirname "$0")/support.bash"
need jq
need_history

rounds=${FBAT_KILL_ROUNDS:-20}
seed=${FBAT_TEST_SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed; FBAT_TEST_SEED=$seed repeats the delays"
zcat "$history" >"$work/input"
jq -r .id "$work/input" >"$work/ids"

# Ways to import, from fast to slow: whole batches; few events a batch; a sync for each batch.
ways=("-o segment_max_bytes=2MiB" "-o segment_max_bytes=1MiB -o batch.max_size=7" "--durable")
store=$work/store0
before=0
partial=0
for round in $(seq "$rounds"); do
    # shellcheck disable=SC2086
    "$FBAT" import ${ways[RANDOM % 3]} "$store" "$work/input" >/dev/null 2>&1 &
    importer=$!
    sleep "0.$(printf %03d $((RANDOM % 100)))"
    kill -9 "$importer" 2>/dev/null || true
    wait "$importer" 2>/dev/null || true
    [ -e "$store/store.meta" ] || continue
    now=$("$FBAT" query "$store" --count)
    [ "$now" -ge "$before" ] || fail "round $round: $now events after $before"
    before=$now
    "$FBAT" check "$store" >"$work/check" || { cat "$work/check"; fail "round $round: damage after kill -9"; }
    cmp <("$FBAT" export "$store" | jq -r .id) <(head -n "$now" "$work/ids") || fail "round $round: not the first $now"
    if [ "$now" = 34188 ]; then
        store=$work/store$round # nothing left to cut off here
        before=0
    elif [ "$now" -gt 0 ]; then
        partial=$((partial + 1))
    fi
done
echo "$partial of $rounds rounds ended in the middle"
[ "$partial" -gt 0 ] || fail "no import was killed in its middle"
run 0 "$FBAT" import "$store" "$work/input"
expect stdout "34188 events read, $((34188 - before)) added, $before already there, 0 rejected"
equal "events" "$("$FBAT" query "$store" --count)" 34188
cmp <("$FBAT" export --plain "$store" | jq -cS .) <(jq -cS . "$work/input") || fail "the export is not the input"
run 0 "$FBAT" check "$store"
expect stdout "no damage"
