# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of this folder share. Each begins with: source "$(dirname "$0")/support.bash"
#
# FBAT is the command under test, TESTDATA the folder of ../shared/data; both have defaults for a run by hand from the
# root of the tree. $work is a directory that goes away at the end.
set -euo pipefail
export LC_ALL=C.UTF-8

FBAT=$(realpath "${FBAT:-build/release/fbat}")
TESTDATA=${TESTDATA:-../shared/data}
[ -x "$FBAT" ] || { echo "no command at $FBAT; build first"; exit 1; }

work=$(mktemp -d)
clean_up() {
    local job
    for job in $(jobs -p); do kill -9 "$job" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    echo "FAIL: $*"
    exit 1
}

skip() {
    echo "SKIP: $*"
    exit 77
}

need() { # program...
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "missing $program"
    done
}

history=$TESTDATA/redis-history.ndjson.gz
need_history() {
    [ -r "$history" ] || skip "missing ../shared/data/redis-history.ndjson.gz"
}

# run STATUS COMMAND...: runs it, keeps $work/stdout and $work/stderr, and fails if it ends otherwise.
run() {
    local wanted=$1 got=0
    shift
    "$@" >"$work/stdout" 2>"$work/stderr" || got=$?
    if [ "$got" != "$wanted" ]; then
        echo "--- stdout" && head -n 20 "$work/stdout"
        echo "--- stderr" && head -n 20 "$work/stderr"
        fail "exit status $got instead of $wanted: $*"
    fi
}

# expect FILE TEXT: $work/FILE holds TEXT.
expect() {
    grep -qF -- "$2" "$work/$1" && return
    echo "--- $1" && head -n 20 "$work/$1"
    fail "$1 does not say: $2"
}

equal() { # what, got, wanted
    [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"
}

# A CloudEvents line: event ID [member...], each member "name":value.
event() {
    local id=$1 member line
    shift
    line="{\"specversion\":\"1.0\",\"id\":\"$id\",\"source\":\"/test\",\"type\":\"thing.made\",\"subject\":\"thing-1\""
    for member in "$@"; do line+=",$member"; done
    echo "$line}"
}
