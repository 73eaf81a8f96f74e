#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A directory that may not be written to: writing is refused with a message, reading works.
source "$(dirname "$0")/support.bash"

as_other=()
if [ "$(id -u)" = 0 ]; then
    command -v setpriv >/dev/null || skip "missing setpriv, and root may write everywhere"
    as_other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod 755 "$work"
    cp "$FBAT" "$work/fbat"
    FBAT=$work/fbat
    "${as_other[@]}" "$FBAT" --version >/dev/null 2>&1 || skip "another user cannot run the command here"
fi

{ event a; event b; } >"$work/input"
run 0 "$FBAT" import "$work/store" "$work/input"
chmod -R a+rX,a-w "$work/store"
for verb in "import $work/store $work/input" "append $work/store -e e -s s -k k"; do
    # shellcheck disable=SC2086
    run 2 "${as_other[@]}" "$FBAT" $verb
    expect stderr "ermission"
done
run 0 "${as_other[@]}" "$FBAT" query "$work/store" --count
equal "events" "$(cat "$work/stdout")" 2
for verb in query stats kinds check dump export tail; do
    run 0 "${as_other[@]}" "$FBAT" "$verb" "$work/store"
done

mkdir "$work/closed"
chmod 555 "$work/closed"
run 2 "${as_other[@]}" "$FBAT" init "$work/closed/store"
expect stderr "ermission"
run 2 "${as_other[@]}" "$FBAT" import "$work/closed/store" "$work/input"
expect stderr "ermission"
equal "what was made" "$(ls -A "$work/closed")" ""

run 0 "$FBAT" query "$work/store" --count
equal "events afterwards" "$(cat "$work/stdout")" 2
chmod -R u+w "$work/store" "$work/closed"
