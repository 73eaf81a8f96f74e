#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tail --cursor shows each event once, whatever ends it; cursors lists, sets and forgets names.
source "$(dirname "$0")/support.bash"
need jq

tail_cursor() { "$FBAT" tail "$work/store" --cursor "$1" --payload "${@:2}" | tr '\n' ' '; }
for i in $(seq 1 20); do event "e$i" "\"data\":$i"; done >"$work/input"
run 0 "$FBAT" import "$work/store" "$work/input"
equal "none yet" "$("$FBAT" cursors "$work/store" --json)" ""
equal "from the beginning" "$(tail_cursor mailer)" "$(seq 1 20 | tr '\n' ' ')"
equal "nothing new" "$(tail_cursor mailer)" ""
run 0 "$FBAT" append "$work/store" -e other -s s -k other 21
equal "what is new" "$(tail_cursor mailer)" "21 "
equal "another name" "$(tail_cursor second -k other)" "21 "

last=$("$FBAT" query "$work/store" --system --json | jq -s 'map(.sequence | tonumber) | max')
equal "listed" "$("$FBAT" cursors "$work/store" --json | jq -c '[.name, .lag]' | tr '\n' ' ')" '["mailer",0] ["second",0] '
run 0 "$FBAT" cursors "$work/store" --reset "mailer=$((last - 1))"
equal "lag" "$("$FBAT" cursors "$work/store" --json | jq -c 'select(.name == "mailer") | .lag')" 1
equal "once more" "$(tail_cursor mailer)" "21 "
run 0 "$FBAT" cursors "$work/store" --remove second
run 1 "$FBAT" cursors "$work/store" --remove second
equal "one left" "$("$FBAT" cursors "$work/store" --json | jq -r .name)" mailer
"$FBAT" cursors "$work/store" | grep -q ' mailer$' || fail "the table has no mailer"
run 2 "$FBAT" cursors "$work/store" --reset mailer
run 2 "$FBAT" cursors "$work/store" --reset "mailer=$((last + 1))"
run 2 "$FBAT" tail "$work/store" --cursor mailer --lines 3
run 2 "$FBAT" tail "$work/store" --cursor ''

# Killed while it follows: what was printed and committed does not come again, and nothing is left out.
run 0 "$FBAT" cursors "$work/store" --reset mailer=0
"$FBAT" tail "$work/store" --cursor mailer --payload -f >"$work/followed" &
follower=$!
for _ in $(seq 400); do [ "$(wc -l <"$work/followed")" -ge 21 ] && break; sleep 0.025; done
kill -9 "$follower"
wait "$follower" 2>/dev/null || true
run 0 "$FBAT" append "$work/store" -e other -s s -k other 22
tail_cursor mailer | tr ' ' '\n' >"$work/rest"
cat "$work/followed" "$work/rest" | sort -n | uniq >"$work/got"
seq 1 22 >"$work/wanted"
cmp "$work/got" "$work/wanted" || fail "an event is missing after the kill"
run 0 "$FBAT" check "$work/store"
