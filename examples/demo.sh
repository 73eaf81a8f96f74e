#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A tour of fbat in a minute: `make demo`, or examples/demo.sh after a build.
#
# Takes the history of this source tree's git repository as events (a tree without git: a made-up history of orders), and
# shows what can be asked of them, and what damage looks like. Works in a directory of its own, which is removed at the
# end. FBAT is the command to use, default build/release/fbat. Exit status 0 when everything was as shown.
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "$0")/.." && pwd)
fbat=${FBAT:-$root/build/release/fbat}
width=100
lines_max=10

if ! command -v "$fbat" >/dev/null; then
    echo "demo: $fbat is not there; build it with make, or set FBAT" >&2
    exit 2
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/fbat-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fbat=$(cd "$(dirname "$(command -v "$fbat")")" && pwd)/$(basename "$fbat")
cd "$work"

chapter=0
caption() { # title, then lines of explanation
    chapter=$((chapter + 1))
    printf '\n%d. %s\n' "$chapter" "$1"
    shift
    [ $# -eq 0 ] || printf '   %s\n' "$@"
    printf '\n'
}

say_command() {
    printf '   $ %s\n' "$*"
}

# Standard input, indented and cut to the width; of many lines the first and how many more there are.
show() {
    local line count=0
    while IFS= read -r line || [ -n "$line" ]; do
        count=$((count + 1))
        [ "$count" -le "$lines_max" ] || continue
        line="   $line"
        [ ${#line} -le $width ] || line="${line:0:width-3}..."
        printf '%s\n' "$line"
    done
    [ "$count" -le "$lines_max" ] || printf '   (and %d more)\n' $((count - lines_max))
}

# The same for sentences: they are wrapped.
show_text() {
    fold -s -w $((width - 3)) | sed 's/ *$//' | show
}

# What to import: sets history (the file), source and maker (what it is), stream_prefix (of the entities to choose
# from) and story_meaning.
make_history() {
    history=history.ndjson
    if [ -e "$root/.git" ] && command -v git >/dev/null && command -v python3 >/dev/null &&
        "$root/examples/git-to-cloudevents" --name fbat "$root" >$history 2>history.log; then
        source="the git history of this source tree"
        maker="examples/git-to-cloudevents"
        stream_prefix=file:
        story_meaning="a commit is the cause of the changes to its files."
        return
    fi
    "$root/examples/orders-to-cloudevents" >$history
    source="a made-up history of orders (no git history could be taken here)"
    maker="examples/orders-to-cloudevents"
    stream_prefix=order-
    story_meaning="a placed order is the cause of its payment, and that of its shipment."
}

# The entity with the most events; names that JSON has to escape are passed over.
find_busiest_entity() {
    "$fbat" query store --entity-prefix "$stream_prefix" --json |
        grep -o "\"subject\":\"$stream_prefix[^\"\\\\]*\"" | sort | uniq -c | sort -k1,1nr -k2 |
        sed -n '1s/^ *[0-9]* "subject":"\(.*\)"$/\1/p' || true
}

# The story (the id that its events share) with the most events that still fit on the screen; of several the newest.
find_story() {
    "$fbat" query store --json | awk -v most="$lines_max" '
        match($0, /"correlationid":"[^"]*"/) {
            story = substr($0, RSTART + 17, RLENGTH - 18)
            if (count[story]++ == 0)
                order[++stories] = story
        }
        END {
            for (i = 1; i <= stories; i++) {
                rank = count[order[i]] <= most ? count[order[i]] : 0.5
                if (rank >= best_rank) { best_rank = rank; best = order[i] }
            }
            print best
        }'
}

# SEQUENCE TYPE SUBJECT of CloudEvents lines.
shorten_events() {
    sed -E 's/.*"type":"([^"]*)","subject":"(([^"\\]|\\.)*)".*"sequence":"?([0-9]+)"?[,}].*/\4  \1  \2/'
}

# Changes the lowest bit of the byte in the middle of a file.
flip_bit() { # file
    local offset byte
    offset=$(($(stat -c %s "$1") / 2))
    byte=$(od -An -tu1 -j "$offset" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059
    printf "\\$(printf %03o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$offset" conv=notrunc status=none
    printf '   (the byte at offset %s of %s was %d and is %d now)\n' "$offset" "$1" "$byte" $((byte ^ 1))
}

echo "fbat: an append-only, hash-chained log of events in a directory, and everything to find them again."
echo "This tour works in $work, which is removed at the end."
"$fbat" --version | show

make_history
caption "Import: $source." \
    "$maker wrote one event a line, as CloudEvents JSON."
say_command "fbat import store history.ndjson"
"$fbat" import store $history | show
events=$(wc -l <$history)
if [ "$events" -lt 5000 ]; then
    printf '\n   That was short. So that the speed means something, 20,000 made-up orders into another store:\n\n'
    say_command "examples/orders-to-cloudevents 20000 >orders.ndjson; fbat import orders orders.ndjson"
    "$root/examples/orders-to-cloudevents" 20000 >orders.ndjson
    "$fbat" import orders orders.ndjson | show
fi

caption "Import the same again: every event has an id, so nothing is added twice."
say_command "fbat import store history.ndjson"
"$fbat" import store $history | show

entity=$(find_busiest_entity)
caption "The stream of one entity, the busiest one." \
    "Columns: sequence in the store, time, kind, scope, entity@revision, payload."
if [ -n "$entity" ]; then
    say_command "fbat stream store $entity"
    "$fbat" stream store "$entity" | show
else
    echo "   (this history has none)"
fi

story=$(find_story)
caption "What one event caused." \
    "Each event knows the event that caused it (causationid) and the one that began its story" \
    "(correlationid): $story_meaning" \
    "Shortened to sequence, kind, entity:"
say_command "fbat query store --json | grep '\"correlationid\":\"$story\"'"
"$fbat" query store --json | grep "\"correlationid\":\"$story\"" | shorten_events | show

caption "How many events of each kind."
say_command "fbat kinds store"
"$fbat" kinds store | show

caption "Check: every checksum, every hash, every link of every stream's chain, from the bytes alone." \
    "The store's own events, such as the names of kinds, count as well."
say_command "fbat check store"
"$fbat" check store | show_text

caption "Now damage: a copy of the store with one bit flipped in the middle of its log."
say_command "cp -r store copy"
cp -r store copy
segments=(copy/*.fbat)
flip_bit "${segments[0]}"
say_command "fbat check copy"
status=0
"$fbat" check copy >findings 2>&1 || status=$?
show_text <findings
say_command "echo \$?"
echo "   $status"
if [ "$status" -ne 1 ]; then
    echo "demo: the check ended with $status, where 1 was due for the damage" >&2
    exit 1
fi

command_path=${fbat#"$root"/}
caption "Your turn, from the directory of the source."
cat <<END
   $command_path append /tmp/mine -e order-17 -s shop -k order.placed '{"total":12}'
   $command_path tail /tmp/mine --follow       # and append more from another terminal
   examples/git-to-cloudevents ANY/REPOSITORY | $command_path import /tmp/its-history -

$command_path help lists the verbs; README.md and docs/ go on from here.
END
