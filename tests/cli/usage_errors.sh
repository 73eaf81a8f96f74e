#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Mistakes on the command line: a message that helps, exit 2, nothing on standard output, nothing made.
source "$(dirname "$0")/support.bash"
cd "$work"

complain() { # message, argument...
    local message=$1
    shift
    run 2 "$FBAT" "$@"
    expect stderr "fbat: "
    expect stderr "$message"
    [ ! -s "$work/stdout" ] || fail "something on standard output: $*"
}
complain "there is no verb 'qurey'; did you mean 'query'?" qurey store
complain "did you mean 'import'?" imprt store
complain "did you mean 'stats'?" stat store
complain "did you mean 'kinds'?" kind store
complain "there is no verb 'frobnicate'; fbat --help lists them" frobnicate
complain "unknown option '--frob'" --frob
complain "unknown option '--frob'; see fbat query --help" query store --frob
complain "unknown option '-Z'" query store -Z
complain "option '--limit' needs a value" query store --limit
complain "too few arguments; usage: fbat query DIR" query
complain "too many arguments, 'b' is one" query a b
complain "too few arguments; usage: fbat import DIR FILE|-" import store
complain "DIR is empty" query ""
complain "--limit is given twice" query store --limit 1 --limit 2
complain "--limit is 'many'; expected a number from 1" query store --limit many
complain "--limit is '0'" query store --limit 0
complain "--limit is '-1'" query store --limit -1
complain "--entity is missing" append store --scope s --kind k
complain "--scope is missing" append store --entity e --kind k
complain "--kind is missing" append store --entity e --scope s
complain "--scope is empty" append store --entity e --scope "" --kind k
complain "--expect is 'maybe'" append store -e e -s s -k k --expect maybe
complain "--type is 'xml'" append store -e e -s s -k k --type xml '<a/>'
complain "the payload is not valid JSON" append store -e e -s s -k k --type json '{'
complain "the payload is not valid UTF-8" append store -e e -s s -k k --type text "$(printf '\xff')"
complain "--time is 'noon'" append store -e e -s s -k k --time noon
complain "--header is 'novalue'" append store -e e -s s -k k --header novalue
complain "exclude each other" append store -e e -s s -k k --durable --written
complain "given twice" append store -e e -s s -k k --file /dev/null payload
complain "cannot read nowhere" append store -e e -s s -k k --file nowhere
complain "--kind-category is '16'" import store - --kind-category 16
complain "-o is 'nothing'; expected NAME=VALUE" init store -o nothing
complain "no_such_field" init store -o no_such_field=1
complain "sync.every_n_events" init store -o sync.every_n_events=0
complain "batch.max_size" import store /dev/null -o batch.max_size=5000
complain "segment_max_bytes" append store -e e -s s -k k -o segment_max_bytes=lots
complain "writer.restart_policy" init store -o writer.restart_policy=never
[ ! -e store ] || fail "a store was made"

run 0 "$FBAT" init store
complain "--since is 'soon'" query store --since soon
complain "--kind is '0x0000'" query store --kind 0x0000
complain "--category is '16'" query store --category 16
complain "--entity and --entity-prefix exclude each other" query store --entity a --entity-prefix b
complain "neither a UUID nor a sequence" get store some-id
