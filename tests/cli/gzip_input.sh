#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compressed input is recognised; a compressed file that ends early gives its whole lines, an error that names the cut
# one, and nothing lost.
source "$(dirname "$0")/support.bash"
need gzip

for i in $(seq 1 2000); do event "e$i" "\"data\":{\"n\":$i,\"text\":\"$RANDOM$RANDOM\"}"; done >"$work/input"
gzip -k "$work/input"

run 2 "$FBAT" import "$work/store" "$work/input.gz"
expect stderr "is gzip; use: zcat FILE | fbat import $work/store -"
run 2 "$FBAT" import "$work/store" - <"$work/input.gz"
expect stderr "is gzip"
[ ! -e "$work/store" ] || fail "a store was made"

size=$(stat -c %s "$work/input.gz")
head -c $((size / 2)) "$work/input.gz" >"$work/cut.gz"
zcat "$work/cut.gz" >"$work/cut" 2>/dev/null || true
whole=$(tr -dc '\n' <"$work/cut" | wc -c)
[ "$whole" -gt 100 ] || fail "the test's cut left too little"
got=0
{ zcat "$work/cut.gz" 2>/dev/null || true; } | "$FBAT" import "$work/store" - >"$work/stdout" 2>"$work/stderr" || got=$?
if [ -n "$(tail -c 1 "$work/cut")" ]; then
    equal "exit status" "$got" 2
    expect stderr "fbat: import: -:$((whole + 1)):"
    expect stderr "was the input cut off?"
fi
equal "events" "$("$FBAT" query "$work/store" --count)" "$whole"

zcat "$work/input.gz" | "$FBAT" import "$work/store" - >"$work/stdout"
expect stdout "2000 events read, $((2000 - whole)) added, $whole already there, 0 rejected"

# Cut at every place of a short file: whole lines in, and never a part of one.
{ event x1; event x2 '"data":{"a":[1,2,{"b":"\u00e9ü"}]}'; } >"$work/short"
first=$(head -n 1 "$work/short" | wc -c)
for cut in 1 "$((first - 2))" $(seq $((first + 1)) 7 $(($(wc -c <"$work/short") - 2))); do
    head -c "$cut" "$work/short" >"$work/cut"
    run 2 "$FBAT" import "$work/cuts$cut" "$work/cut"
    equal "events with $cut bytes" "$("$FBAT" query "$work/cuts$cut" --count)" $((cut > first))
done
