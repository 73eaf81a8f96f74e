#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Inputs that are unusual and all right: empty, blank lines, no last newline, CRLF, a byte order mark, white space
# around, members in any order, a pipe that is slow.
source "$(dirname "$0")/support.bash"

run 0 "$FBAT" import "$work/empty" /dev/null
expect stdout "0 events read, 0 added, 0 already there, 0 rejected"
: >"$work/nothing"
run 0 "$FBAT" import "$work/empty" "$work/nothing"
expect stdout "0 events read"
run 0 "$FBAT" check "$work/empty"

printf '\n\n  \n\r\n' >"$work/blank"
run 0 "$FBAT" import "$work/empty" "$work/blank"
expect stdout "0 events read"

{
    printf '\xEF\xBB\xBF'
    event a | sed 's/$/\r/'
    printf '\n   \t\n'
    event b | sed 's/^/ \t/; s/,/ , /g; s/:"/ : "/g; s/$/  /'
    echo '{"subject":"e","type":"t","source":"/s","id":"c","specversion":"1.0"}'
    echo '{"specversion":"1.0","id":"d","source":"/s","type":"t","subject":"e","time":null,"data":null,"ext":null}'
    event e | tr -d '\n'
} >"$work/odd"
run 0 "$FBAT" import "$work/odd.store" "$work/odd"
expect stdout "5 events read, 5 added"
equal "the null payload" "$("$FBAT" get "$work/odd.store" d --scope /s --payload)" null

echo '{"specversion":"1.0","id":"a","source":"/s","type":"t"}' >"$work/line"
run 0 "$FBAT" import --subject everything "$work/subject" "$work/line"
equal "the default subject" "$("$FBAT" stream "$work/subject" everything --count)" 1

# What a slow pipe gives is in the store before more comes.
mkfifo "$work/pipe"
"$FBAT" import "$work/slow" "$work/pipe" >"$work/stdout" 2>"$work/stderr" &
importer=$!
exec 9>"$work/pipe"
event first >&9
for _ in $(seq 200); do
    [ "$("$FBAT" query "$work/slow" --count 2>/dev/null)" = 1 ] && break
    sleep 0.05
done
equal "events while the pipe waits" "$("$FBAT" query "$work/slow" --count)" 1
event second >&9
exec 9>&-
wait "$importer"
expect stdout "2 events read, 2 added"
