#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A full disk stops an import with a message; what was added stays, reads go on, and with space again the same command
# adds the rest.
source "$(dirname "$0")/support.bash"
need jq
need_history
[ "$(id -u)" = 0 ] || skip "only root can mount a small file system"
mkdir "$work/disk"
mount -t tmpfs -o size=6m tmpfs "$work/disk" 2>/dev/null || skip "no file system can be mounted here"
trap 'umount "$work/disk"; clean_up' EXIT

zcat "$history" >"$work/input"
run 2 "$FBAT" import -o segment_max_bytes=1MiB "$work/disk/store" "$work/input"
expect stderr "pace"
expect stderr "the same command adds the rest"
added=$(grep -o '[0-9]* added' "$work/stdout" | cut -d' ' -f1)
[ "$added" -gt 0 ] || fail "nothing was added before the disk was full"
equal "events that can be read" "$("$FBAT" query "$work/disk/store" --count)" "$added"
run 0 "$FBAT" check "$work/disk/store"

run 2 "$FBAT" append "$work/disk/store" -e e -s s -k k --file <(head -c 4000000 /dev/zero)
expect stderr "pace"
equal "events after a refused append" "$("$FBAT" query "$work/disk/store" --count)" "$added"

mount -o remount,size=200m "$work/disk"
run 0 "$FBAT" import -o segment_max_bytes=1MiB "$work/disk/store" "$work/input"
expect stdout "34188 events read, $((34188 - added)) added, $added already there, 0 rejected"
run 0 "$FBAT" check "$work/disk/store"
expect stdout "no damage"
cmp <("$FBAT" export --plain "$work/disk/store" | jq -cS .) <(jq -cS . "$work/input") || fail "the export is not the input"

# No room to create a store leaves none behind that could not be used later.
mkdir "$work/disk/rest"
head -c 300000000 /dev/zero >"$work/disk/rest/filler" 2>/dev/null || true
run 2 "$FBAT" init "$work/disk/new"
rm "$work/disk/rest/filler"
run 0 "$FBAT" init "$work/disk/new"
