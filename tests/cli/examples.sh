#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every example program runs, in a directory of its own, and finds what it says true.
set -euo pipefail
examples=$(dirname "$FBAT")/examples
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0
for program in "$examples"/*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    "$program" "$work/$(basename "$program")" >"$work/out" || { cat "$work/out"; echo "failed: $program"; exit 1; }
    count=$((count + 1))
done
[ "$count" -ge 4 ] || { echo "only $count examples were built"; exit 1; }
