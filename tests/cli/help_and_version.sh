#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Help and version: on standard output, exit 0; each verb lists its options; without a verb there is a word on usage.
source "$(dirname "$0")/support.bash"

run 0 "$FBAT" --help
expect stdout "usage: fbat VERB DIR ..."
cp "$work/stdout" "$work/help"
run 0 "$FBAT" -h
cmp "$work/stdout" "$work/help" || fail "-h is not --help"
run 0 "$FBAT" help
cmp "$work/stdout" "$work/help" || fail "help is not --help"
run 0 "$FBAT" --version
grep -qE '^fbat [0-9]+\.[0-9]+\.[0-9]+$' "$work/stdout" || fail "--version: $(cat "$work/stdout")"
run 0 "$FBAT" -V

equal "verbs" "$("$FBAT" help verbs | tr '\n' ' ')" \
    "init append import export get query stream tail cursors kinds stats check dump "
for verb in $("$FBAT" help verbs); do
    grep -qE "^  $verb +[a-z]" "$work/help" || fail "--help does not list $verb"
    run 0 "$FBAT" "$verb" --help
    expect stdout "usage: fbat $verb DIR"
    for option in --help --json --option; do
        grep -qE "^  $option[ ,]" "$work/stdout" || fail "$verb --help does not list $option"
    done
    cp "$work/stdout" "$work/verb"
    run 0 "$FBAT" help "$verb"
    cmp "$work/stdout" "$work/verb" || fail "help $verb is not $verb --help"
    awk 'length > 120 { print FILENAME ": " $0; long = 1 } END { exit long }' "$work/verb" || fail "a line is too long"
done

run 0 "$FBAT" help config
for field in segment_max_bytes batch.max_size sync.every_n_events writer.restart_policy index.views; do
    expect stdout "  $field"
done
cp "$work/stdout" "$work/config"
for field in $(sed -n 's/^  \([a-z][a-z0-9_.]*\)$/\1/p' "$work/config"); do
    default=$(grep -A1 "^  $field\$" "$work/config" | sed -n 's/.*; default //p')
    run 0 "$FBAT" init "$work/store" -o "$field=$default"
done

run 2 "$FBAT"
expect stderr "fbat: a verb is missing"
