#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every option of a region narrows what query shows, alone and together, forwards and backwards.
source "$(dirname "$0")/support.bash"
need jq

for i in $(seq 1 40); do
    echo "{\"specversion\":\"1.0\",\"id\":\"e$i\",\"source\":\"/s$((i % 2))\",\"type\":\"kind$((i % 4))\",\"subject\":\"file:$((i % 5))\",\"time\":\"2020-01-01T00:00:$((10 + i))Z\",\"data\":$i}"
done >"$work/input"
run 0 "$FBAT" import "$work/store" "$work/input"
run 0 "$FBAT" append "$work/store" -e file:9 -s /s9 -k 3:7 99

# ask WANTED OPTION...: the payloads, in order, and --count of the same.
ask() {
    local wanted=$1
    shift
    equal "query $*" "$("$FBAT" query "$work/store" --payload "$@" | tr '\n' ' ')" "$wanted"
    case " $* " in
    *" --limit "* | *" -n "*) ;;
    *) equal "count $*" "$("$FBAT" query "$work/store" --count "$@")" "$(wc -w <<<"$wanted" | tr -d ' ')" ;;
    esac
}
ask "$(seq -s ' ' 1 40) 99 "
ask "99 40 39 " --reverse --limit 3
ask "1 2 3 " -n 3
ask "5 10 15 20 25 30 35 40 " --entity file:0
ask "10 20 30 40 " --entity file:0 --scope /s0
ask "40 30 " --entity file:0 --scope /s0 -r -n 2
ask "1 5 9 13 17 21 25 29 33 37 " --kind kind1
ask "5 25 " --kind kind1 --entity file:0
ask "99 " --category 3
ask "99 " --kind 0x3007
ask "99 " --kind 3:7
ask "" --category 4
ask "$(seq -s ' ' 1 40) 99 " --entity-prefix file:
ask "" --entity-prefix fill
ask "" --entity file
first=$("$FBAT" get "$work/store" e7 --scope /s1 --json | jq .sequence)
last=$("$FBAT" get "$work/store" e11 --scope /s1 --json | jq .sequence)
ask "7 8 9 10 11 " --from-seq "$first" --to-seq "$last"
ask "11 10 9 8 7 " --from-seq "$first" --to-seq "$last" --reverse
ask "8 10 " --from-seq "$first" --to-seq "$last" --scope /s0
ask "1 2 3 4 5 6 7 8 9 10 99 " --to-rev 1
ask "10 20 " --entity file:0 --scope /s0 --from-rev 1 --to-rev 2
ask "30 40 " --entity file:0 --scope /s0 --from-rev 3
ask "$(seq -s ' ' 1 40) 99 " --since -1h
ask "" --until -1h
ask "" --since 2999-01-01
ask "" --until 2020-12-31
ask "$(seq -s ' ' 1 40) 99 " --since 2020-12-31 --until now
between=$("$FBAT" get "$work/store" e7 --scope /s1 --json | jq -r .recordedtime)
equal "from one event's time" "$("$FBAT" query "$work/store" --since "$between" --count)" \
    "$("$FBAT" query "$work/store" --json | jq --arg t "$between" 'select(.recordedtime >= $t)' | jq -s length)"
[ "$("$FBAT" query "$work/store" --system --count)" -gt 41 ] || fail "--system shows nothing more"

equal "stream" "$("$FBAT" stream "$work/store" file:0 --scope /s0 --payload | tr '\n' ' ')" "10 20 30 40 "
equal "stream backwards" "$("$FBAT" stream "$work/store" file:0 --scope /s0 --payload -r -n 2 | tr '\n' ' ')" "40 30 "
equal "stream by revision" "$("$FBAT" stream "$work/store" file:0 --scope /s0 --payload --from-rev 2 --to-rev 3 |
    tr '\n' ' ')" "20 30 "
equal "the only scope" "$("$FBAT" stream "$work/store" file:9 --payload)" 99
run 2 "$FBAT" stream "$work/store" file:0
expect stderr "'file:0' is in several scopes; choose one with --scope: "
expect stderr "/s0"
expect stderr "/s1"

# The columns of a line.
run 0 "$FBAT" query "$work/store" --entity file:0 --scope /s0 --limit 1
grep -qE '^ +[0-9]+  2020-01-01T00:00:20Z  kind2 +  /s0 file:0@1 +  10$' "$work/stdout" || fail "line: $(cat "$work/stdout")"

# --explain: how, instead of what. The ways answer what the events answer.
explain() {
    "$FBAT" query "$work/store" --explain --json "$@" | jq -r '[(.strategies | join("+")), .events] | join(" ")'
}
equal "explain all" "$(explain --system)" "range $("$FBAT" query "$work/store" --system --count)"
equal "explain a stream" "$(explain --entity file:0 --scope /s0)" "groups 4"
equal "explain an entity" "$(explain --entity file:0)" "merge 8"
equal "explain a kind by columns" "$(explain --kind kind1 -o index.views=soa)" "columns 10"
equal "explain a kind by rows" "$(explain --kind kind1 -o index.views=none)" "rows 10"
equal "explain a stream by links" "$(explain --entity file:0 --scope /s0 -o index.views=none)" "links 4"
equal "explain nothing" "$(explain --category 4)" " 0"
equal "explain counts" "$("$FBAT" query "$work/store" --explain -c --kind kind1 | grep '^events ' | tr -s ' ')" "events 10"
equal "explain a skipped segment" "$("$FBAT" query "$work/store" --explain --category 4 --json | jq .segments_skipped)" 1
