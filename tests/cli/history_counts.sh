#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The public history of Redis goes in whole, and what is counted in the store is what is in the file.
source "$(dirname "$0")/support.bash"
need jq
need_history

zcat "$history" >"$work/input"
run 0 "$FBAT" import "$work/store" - <"$work/input"
expect stdout "34188 events read, 34188 added, 0 already there, 0 rejected"

while read -r kind count; do
    equal "events of $kind" "$("$FBAT" query "$work/store" --kind "$kind" --count)" "$count"
done <<'END'
commit.made 9083
file.added 2310
file.modified 21978
file.deleted 687
file.renamed 130
END

"$FBAT" kinds "$work/store" --json | jq -r '"\(.count) \(.name)"' | sort >"$work/kinds"
jq -r .type "$work/input" | sort | uniq -c | sed 's/^ *//' | sort >"$work/kinds.wanted"
diff "$work/kinds.wanted" "$work/kinds" || fail "counts by kind"

equal "the stream of src/server.c" "$("$FBAT" stream "$work/store" file:src/server.c --json | wc -l)" 840
equal "its count" "$("$FBAT" stream "$work/store" file:src/server.c --count)" 840
equal "its last revision" "$("$FBAT" stream "$work/store" file:src/server.c --reverse --limit 1 |
    grep -o 'file:src/server.c@[0-9]*')" file:src/server.c@840

"$FBAT" export "$work/store" | jq -r .subject | sort | uniq -c >"$work/subjects"
jq -r .subject "$work/input" | sort | uniq -c >"$work/subjects.wanted"
cmp "$work/subjects.wanted" "$work/subjects" || fail "counts by subject"
equal "streams" "$("$FBAT" stats "$work/store" --json | jq .streams)" "$(wc -l <"$work/subjects.wanted")"
equal "events" "$("$FBAT" stats "$work/store" --json | jq .events)" 34188

run 0 "$FBAT" check "$work/store"
expect stdout "no damage"
