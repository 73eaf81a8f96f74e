#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Standard output that cannot be written to is an error at exit; a reader that has seen enough is not worth a word; a
# file that cannot be written leaves the old one as it was.
source "$(dirname "$0")/support.bash"

for i in $(seq 1 20000); do event "e$i"; done >"$work/input"
run 0 "$FBAT" import "$work/store" "$work/input"
if [ -w /dev/full ]; then
    for verb in export query stats kinds tail check dump "help config" --help --version; do
        case $verb in
        -* | help*) command=("$FBAT" $verb) ;;
        *) command=("$FBAT" "$verb" "$work/store") ;;
        esac
        got=0
        "${command[@]}" >/dev/full 2>"$work/stderr" || got=$?
        equal "exit status of $verb" "$got" 2
        expect stderr "cannot write to standard output: No space left on device"
    done
    got=0
    "$FBAT" export "$work/store" /dev/full >"$work/stdout" 2>"$work/stderr" || got=$?
    equal "exit status of an export to a full device" "$got" 2
    expect stderr "cannot write to /dev/full"
fi
for verb in export query dump; do
    { "$FBAT" "$verb" "$work/store" 2>"$work/stderr" || true; } | head -n 1 >/dev/null
    [ ! -s "$work/stderr" ] || fail "$verb: $(cat "$work/stderr")"
    # Also where SIGPIPE is ignored, as some programs leave it to their children.
    (trap '' PIPE; "$FBAT" "$verb" "$work/store" 2>"$work/stderr" || true) | head -n 1 >/dev/null
    [ ! -s "$work/stderr" ] || fail "$verb without SIGPIPE: $(cat "$work/stderr")"
done

mkdir "$work/place"
echo precious >"$work/place/old"
run 1 "$FBAT" export "$work/store" "$work/place/old" --kind no.such.kind
equal "the old file" "$(cat "$work/place/old")" precious
run 0 "$FBAT" export "$work/store" "$work/place/old"
equal "lines of the new file" "$(wc -l <"$work/place/old")" 20000
equal "files" "$(ls "$work/place")" old
run 2 "$FBAT" export "$work/store" "$work/no/such/place"
expect stderr "cannot write to $work/no/such/place"
run 0 "$FBAT" export "$work/store" /dev/null

# No progress bar and no colour when standard error is no terminal.
run 0 "$FBAT" import "$work/second" "$work/input"
[ ! -s "$work/stderr" ] || fail "something on standard error: $(cat "$work/stderr")"
