#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A store whose files say a newer disk version is not touched, and the message says so.
source "$(dirname "$0")/support.bash"
need python3

run 0 "$FBAT" init "$work/store"
# The disk version is the u32 at offset 8 of store.meta; the checksum at 124 is made again, so that only the version is
# new.
python3 - "$work/store/store.meta" <<'END'
import struct
import sys

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF

with open(sys.argv[1], "rb+") as file:
    meta = bytearray(file.read())
    assert struct.unpack_from("<I", meta, 124)[0] == crc32c(meta[:124])
    struct.pack_into("<I", meta, 8, 3)
    struct.pack_into("<I", meta, 124, crc32c(meta[:124]))
    file.seek(0)
    file.write(meta)
END
sum=$(cat "$work"/store/* | md5sum)
for verb in "query" "stats" "export" "check"; do
    run 2 "$FBAT" "$verb" "$work/store"
    expect stderr "newer"
done
event a >"$work/line"
run 2 "$FBAT" import "$work/store" "$work/line"
expect stderr "newer"
run 2 "$FBAT" append "$work/store" -e e -s s -k k
expect stderr "newer"
equal "the files" "$(cat "$work"/store/* | md5sum)" "$sum"
