#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a store by docs/FORMAT.md alone, and verifies all it says: tests/golden/read_store.py DIR

Prints one JSON object a line for each event, in sequence order, the store's own included. Standard library only;
written from the document, not from the library's source: that it reads what the library wrote shows that the document
is enough. The one thing left out is XXH3-64 itself: id and name hashes are taken from the footer, and used to probe its
slots.

Exit status 0 when everything is right, 1 when the store is damaged (standard error says where), 2 on wrong usage.
"""

import base64
import fcntl
import hashlib
import json
import os
import re
import struct
import sys
import uuid

HEADER_BYTES, FRAME_BYTES, RECORD_BYTES, LIVE_BYTES, TRAILER_BYTES, PART_BYTES = 4096, 32, 160, 512, 256, 32
PAYLOAD_TYPES = ["bytes", "json", "msgpack", "text", "cbor", "protobuf"]


class Damage(Exception):
    pass


def require(condition, text):
    if not condition:
        raise Damage(text)


# ---- CRC-32C


def make_table():
    table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
        table.append(register)
    return table


CRC_TABLE = make_table()


def crc32c(seed, data):
    register, table = ~seed & 0xFFFFFFFF, CRC_TABLE
    for byte in data:
        register = register >> 8 ^ table[(register ^ byte) & 0xFF]
    return ~register & 0xFFFFFFFF


require(crc32c(0, b"123456789") == 0xE3069283, "this program's CRC-32C is wrong")


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def i64(data, at):
    return struct.unpack_from("<q", data, at)[0]


# ---- store.meta, LOCK


def check_versioned(data, name):
    """Version and flags of store.meta and of a segment's header, once magic and checksum are known to be right."""
    require(u32(data, 8) == 2, f"{name}: disk version {u32(data, 8)}, this reader knows 2")
    require(u32(data, 20) == 0, f"{name}: incompatible flags 0x{u32(data, 20):x} are set: written by a newer version")


def read_meta(folder):
    with open(os.path.join(folder, "store.meta"), "rb") as file:
        data = file.read(128)
    require(len(data) == 128 and data[:8] == b"FBATMETA", "store.meta: not what it should be")
    require(u32(data, 124) == crc32c(0, data[:124]), "store.meta: wrong checksum")
    check_versioned(data, "store.meta")
    require(u32(data, 12) == 128 and not any(data[48:124]), "store.meta: reserved bytes are not zero")
    return data[24:40]


class Live:
    """What LOCK says and counts."""

    def __init__(self, folder, store_id):
        self.state, self.durable, self.visible, self.held = 0, 0, None, False
        try:
            file = open(os.path.join(folder, "LOCK"), "rb")
        except FileNotFoundError:
            return
        with file:
            data = file.read(LIVE_BYTES)
            self.held = self.is_held(file)
        if len(data) < LIVE_BYTES or data[:8] != b"FBATLIVE" or u32(data, 8) != 2 or data[16:32] != store_id:
            return
        state = u32(data, 12)
        if state == 2 and u32(data, 508) == crc32c(0, data[:508]):
            self.state, self.durable = 2, u64(data, 56)
        elif state == 1:
            self.state = 1
            self.durable = u64(data, 56) if u64(data, 56) ^ u64(data, 64) == 2**64 - 1 else 0
        if self.state and self.held:
            self.visible = max(u64(data, 48), self.durable)

    @staticmethod
    def is_held(file):
        question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, question))
        return answer[0] != fcntl.F_UNLCK


# ---- frames and records


def walk_list(data, sizes):
    """The parts of encoded tags (sizes: one length byte) or headers (two lengths of two bytes)."""
    found, at = [], 0
    while at < len(data):
        if sizes == 1:
            lengths = [data[at]]
            at += 1
        else:
            require(at + 4 <= len(data), "a header is cut")
            lengths = list(struct.unpack_from("<HH", data, at))
            at += 4
        require(1 <= lengths[0] <= 255 and at + sum(lengths) <= len(data), "a tag or header is cut or has a bad length")
        parts = []
        for length in lengths:
            parts.append(data[at:at + length])
            at += length
        parts[0] = parts[0].decode("utf-8")
        found.append(parts)
    return found


class Record:
    def __init__(self, data, at, end, sequence, index):
        require(at + RECORD_BYTES <= end, "a record does not fit its frame")
        (offset, payload, self.kind, self.payload_type, self.flags, scope, entity, tags, headers, lane, self.revision,
         self.recorded_us, self.event_us) = struct.unpack_from("<IIHBBHHHHIQqq", data, at)
        self.fixed = data[at:at + RECORD_BYTES]
        place = at + RECORD_BYTES
        parts = []
        for size in (scope, entity, tags, headers, payload):
            require(place + size <= end, "a record does not fit its frame")
            parts.append(data[place:place + size])
            place += size
        self.end = at + (place - at + 7) // 8 * 8
        require(self.end <= end, "a record does not fit its frame")
        self.sequence = sequence
        self.scope, self.entity, self.tags, self.headers, self.payload = parts
        self.id, self.correlation, self.causation = (self.fixed[n:n + 16] for n in (48, 64, 80))
        self.previous_hash, self.hash = self.fixed[96:128], self.fixed[128:160]
        require(offset == index, "a record's sequence offset is not its place in the frame")
        require(self.flags <= 1 and lane == 0 and not any(data[place:self.end]), "reserved bytes are not zero")
        require(self.revision >= 1 and any(self.id), "a record without revision or id")
        for name in (self.scope, self.entity):
            require(1 <= len(name) <= 1024 and 0 not in name, "a name has a bad length or a zero byte")
            name.decode("utf-8")
        self.tag_list, self.header_list = walk_list(self.tags, 1), walk_list(self.headers, 2)
        require(self.compute_hash() == self.hash, "the hash is not that of the event's fields")

    def compute_hash(self):
        content = hashlib.sha256(self.headers + self.payload).digest()
        image = struct.pack("<Q", self.sequence) + self.fixed[4:128] + content
        return hashlib.sha256(image + self.scope + self.entity + self.tags).digest()


EVENTS, STAGED, COMMIT = 1, 2, 3


class Frame:
    def __init__(self, data, at, end, salt):
        """The frame at `at` of data, or Damage."""
        require(at + FRAME_BYTES <= end, "too few bytes for a frame")
        crc, size, self.first, self.durable, self.count, self.kind, zero = struct.unpack_from("<IIQQIHH", data, at)
        require(size % 8 == 0 and 48 <= size <= min(2**30, end - at), "a frame's length is out of range")
        require(zero == 0 and self.durable < self.first, "a frame's fields are out of range")
        if self.kind == COMMIT:
            self.last, self.staged = struct.unpack_from("<QQ", data, at + FRAME_BYTES)
            require(size == 48 and self.count == 0 and self.last >= self.first and self.staged % 8 == 0 < self.staged,
                    "a commit's fields are out of range")
        else:
            require(self.kind in (EVENTS, STAGED) and size >= 192 and 1 <= self.count <= 4096,
                    "a frame's fields are out of range")
        require(crc32c(salt, data[at + 4:at + size]) == crc, "a frame's checksum is wrong")
        self.offset, self.end = at, at + size
        self.data = data

    def records(self):
        place = self.offset + FRAME_BYTES
        for index in range(self.count):
            record = Record(self.data, place, self.end, self.first + index, index)
            record.offset = place
            yield record
            place = record.end
        require(place == self.end, "the records do not fill their frame")


# ---- segments


class Segment:
    def __init__(self, folder, segment_id, store_id):
        self.id = segment_id
        with open(os.path.join(folder, f"{segment_id:06}.fbat"), "rb") as file:
            self.data = file.read()
        header = self.data[:HEADER_BYTES]
        self.valid = (len(header) == HEADER_BYTES and header[:8] == b"\x89FBAT\r\n\x1a" and
                      u32(header, 4092) == crc32c(0, header[:4092]) and u32(header, 12) == HEADER_BYTES)
        self.salt = crc32c(0, store_id + struct.pack("<QQ", segment_id, 0))
        if not self.valid:
            return
        check_versioned(header, f"segment {segment_id}")
        self.first, self.durable, self.last_recorded = u64(header, 56), u64(header, 80), i64(header, 88)
        self.last_hash = header[96:128]
        self.valid = (header[24:40] == store_id and u64(header, 40) == segment_id and
                      1 <= self.first and self.durable < self.first and not any(header[128:4092]))
        self.salt = crc32c(0, header[24:56])
        self.footer = Footer.of(self)
        self.end = self.footer.frames_end if self.footer else len(self.data)


class Footer:
    """A valid footer; Footer.of answers None where there is none."""

    @staticmethod
    def of(segment):
        try:
            return Footer(segment)
        except Damage as damage:
            if segment.data[-TRAILER_BYTES:][:8] == b"FBATEND2":
                print(f"segment {segment.id}: no valid footer: {damage}", file=sys.stderr)
            return None

    def __init__(self, segment):
        data, header = segment.data, segment.data[:HEADER_BYTES]
        trailer = data[-TRAILER_BYTES:]
        require(len(data) >= HEADER_BYTES + TRAILER_BYTES and trailer[:8] == b"FBATEND2", "no trailer")
        require(u32(trailer, 252) == crc32c(0, trailer[:252]), "the trailer's checksum is wrong")
        require(u32(trailer, 8) == 2 and not any(trailer[204:208]) and not any(trailer[216:252]),
                "the trailer is of another version")
        require(trailer[16:48] == header[24:56] and u64(trailer, 72) == segment.first, "it is another segment's")
        self.trailer, self.frames_end = trailer, u64(trailer, 48)
        kept_end = self.frames_end + u64(trailer, 208)
        count, table = u32(trailer, 12), u64(trailer, 192)
        require(1 <= count <= 16 and table + count * PART_BYTES + TRAILER_BYTES == len(data), "offsets out of range")
        require(u32(trailer, 200) == crc32c(0, data[table:table + count * PART_BYTES]), "the table's checksum is wrong")
        self.parts, place = {}, (kept_end + 63) // 64 * 64
        require(HEADER_BYTES <= self.frames_end and kept_end <= place <= table and u64(trailer, 208) % 8 == 0 and
                not any(data[kept_end:place]), "the padding behind the frames is not zero")
        for index in range(count):
            kind, crc, offset, size, elements = struct.unpack_from("<IIQQQ", data, table + index * PART_BYTES)
            require(offset == place and size % 64 == 0 and size <= table - offset, "a part is out of place")
            place += size
            part = data[offset:place]
            require(crc32c(0, part) == crc, "a part's checksum is wrong")
            self.parts.setdefault(kind, (part, elements))
        require(place == table, "the parts do not reach the table")
        self.events, self.streams = u64(trailer, 56), u64(trailer, 64)
        for kind, wanted, width in ((1, self.events, 64), (2, self.streams, 32)):
            require(kind in self.parts and self.parts[kind][1] == wanted >= 1, "the counts do not agree")
            require(wanted * width <= len(self.parts[kind][0]), "a part is too small")
        require((self.row(0)[0], self.row(self.events - 1)[0]) == struct.unpack_from("<QQ", trailer, 72),
                "the rows do not begin and end as the trailer says")
        for kind, wanted in ((3, self.events), (4, self.streams)):
            require(kind in self.parts, "slots are missing")
            size = self.parts[kind][1]
            require(size > wanted and size & (size - 1) == 0 and size * 4 <= len(self.parts[kind][0]), "bad slots")

    def row(self, index):
        return struct.unpack_from("<QqQQIIIIHHIQ", self.parts[1][0], index * 64)

    def stream(self, index):
        return struct.unpack_from("<QIIIHHII", self.parts[2][0], index * 32)

    def leads_to(self, kind, value_hash, number):
        part, size = self.parts[kind]
        place = value_hash >> 64 - (size.bit_length() - 1)
        for _ in range(size):
            found = u32(part, place * 4)
            if found == 0:
                return False
            if found == number:
                return True
            place = (place + 1) % size
        return False


# ---- the log


class Reader:
    def __init__(self, folder):
        self.folder = folder
        self.store_id = read_meta(folder)
        self.live = Live(folder, self.store_id)
        self.next_sequence, self.last_recorded, self.last_hash = 1, None, bytes(32)
        self.last_made = bytes(16)
        self.streams, self.ids, self.kinds = {}, set(), {}

    def segment_ids(self):
        ids = []
        for name in os.listdir(self.folder):
            match = re.fullmatch(r"(\d{6,12})\.fbat", name)
            if match and f"{int(match.group(1)):06}" == match.group(1) and int(match.group(1)) > 0:
                ids.append(int(match.group(1)))
        return sorted(ids)

    def read(self, give):
        ids = self.segment_ids()
        require(ids == list(range(1, len(ids) + 1)), f"segment ids are {ids}: one is missing")
        segments = [Segment(self.folder, segment_id, self.store_id) for segment_id in ids]
        while segments and not segments[-1].valid:
            self.judge_broken_header(segments.pop())
        for segment, after in zip(segments, segments[1:] + [None]):
            require(segment.valid, f"segment {segment.id}: the header is broken (R2)")
            require(segment.first == self.next_sequence, f"segment {segment.id}: events are missing before it")
            require(segment.last_hash == self.last_hash and segment.last_recorded == (self.last_recorded or 0),
                    f"segment {segment.id}: it does not follow the event before it")
            self.read_segment(segment, after, give)
        require(self.live.held or self.live.durable < self.next_sequence,
                f"the log ends at {self.next_sequence - 1}, but {self.live.durable} was durable")

    def judge_broken_header(self, segment):
        """R3 discards it; an intact frame in it would be R1. A writer at work may be making it."""
        for at in range(HEADER_BYTES, len(segment.data) - FRAME_BYTES, 8):
            if self.live.held or not any(segment.data[at:at + 8]):
                continue
            try:
                Frame(segment.data, at, len(segment.data), segment.salt)
            except Damage:
                continue
            raise Damage(f"segment {segment.id}: the header is broken, but frames follow it (R1)")

    def fits(self, frame, fence):
        """What is told by docs/FORMAT.md, "What belongs to the log": `fence` are the staged frames directly before."""
        following = fence[-1].first + fence[-1].count if fence else None
        if frame.kind == STAGED and fence and frame.first == following and frame.offset == fence[-1].end:
            require(frame.durable < self.next_sequence, "a staged frame knows its own fence durable")
            return fence + [frame]
        require(frame.first == self.next_sequence, f"sequence {frame.first} stands where {self.next_sequence} should")
        if frame.kind == COMMIT:
            require(fence and frame.offset == fence[-1].end and frame.last == following - 1 and
                    frame.staged == frame.offset - fence[0].offset, "a commit does not fit the fence before it")
        return [frame] if frame.kind == STAGED else []

    def read_segment(self, segment, after, give):
        at, end, rows, fault, fence = HEADER_BYTES, HEADER_BYTES, [], None, []
        superseded = after.first if after and after.valid else 2**64
        while (self.next_sequence < superseded and segment.end - at >= FRAME_BYTES and
               any(segment.data[at:at + 8])):
            if self.live.visible is not None and self.next_sequence > self.live.visible:
                return
            try:
                frame = Frame(segment.data, at, segment.end, segment.salt)
                staged, fence = fence, self.fits(frame, fence)
                belonging = {EVENTS: [frame], STAGED: [], COMMIT: staged}[frame.kind]
                records = [(each, record) for each in belonging for record in each.records()]
            except (Damage, UnicodeDecodeError) as damage:
                fault = damage
                break
            for each, record in records:
                self.take(segment, record, give)
                rows.append((each, record))
            at = frame.end
            end = end if frame.kind == STAGED else at
        at = end
        if segment.footer:
            require(at == segment.end, f"segment {segment.id}, offset {at}: {fault or 'the frames end too early'}")
            self.check_footer(segment, rows)
        elif not self.live.held:
            self.judge_end(segment, after, at, fault)

    def judge_end(self, segment, after, at, fault):
        """The decision table, for a segment with a valid header and no valid footer."""
        if after:
            require(self.next_sequence >= after.first,
                    f"segment {segment.id}, offset {at}: {fault}: events are gone (R1)")
            return  # R4
        missing = self.live.durable >= self.next_sequence
        for place in range(at + 8, len(segment.data) - FRAME_BYTES, 8):
            if not any(segment.data[place:place + 8]):
                continue
            try:
                missing |= Frame(segment.data, place, len(segment.data), segment.salt).durable >= self.next_sequence
            except Damage:
                continue
        require(not missing, f"segment {segment.id}, offset {at}: {fault}: durable events are gone (R1)")
        if any(segment.data[at:]):
            print(f"segment {segment.id}, offset {at}: a torn tail is passed over (R6)", file=sys.stderr)

    def take(self, segment, record, give):
        place = f"segment {segment.id}, offset {record.offset}"
        stream = (record.scope, record.entity)
        revision, last_hash = self.streams.get(stream, (0, bytes(32)))
        require(record.revision == revision + 1, f"{place}: revision {record.revision} follows {revision}")
        require(record.previous_hash == last_hash, f"{place}: the chain is broken")
        require(record.id not in self.ids, f"{place}: the id occurs twice")
        require(self.last_recorded is None or record.recorded_us >= self.last_recorded, f"{place}: time goes back")
        self.streams[stream] = (record.revision, record.hash)
        self.ids.add(record.id)
        self.next_sequence, self.last_recorded, self.last_hash = record.sequence + 1, record.recorded_us, record.hash
        if record.flags & 1:
            self.last_made = record.id
        if record.kind == 1 and stream == (b"_system", b"_kinds"):
            self.kinds[struct.unpack_from("<H", record.payload)[0]] = record.payload[2:].decode("utf-8")
        give(self, segment, record)

    # ---- a footer against the frames

    def check_footer(self, segment, rows):
        footer, streams = segment.footer, {}
        require(footer.events == len(rows), f"segment {segment.id}: the footer counts {footer.events} events")
        numbers, places = {}, []  # row numbers of each stream; of each row its stream and its place among them
        for number, (_, record) in enumerate(rows, 1):
            stream = streams.setdefault((record.scope, record.entity), len(streams))
            own = numbers.setdefault(stream, [0])
            places.append((stream, len(own)))
            own.append(number)
        for index, (frame, record) in enumerate(rows):
            stream, place = places[index]
            own = numbers[stream]
            row = footer.row(index)
            following = own[place + 1] if place + 1 < len(own) else 0
            wanted = (record.sequence, record.recorded_us, record.revision, row[3], record.offset // 8, stream,
                      own[place - 1], following, record.kind, 0, frame.offset // 8, 0)
            require(row == wanted, f"segment {segment.id}: row {index + 1} does not say what the frames say")
            require(footer.leads_to(3, row[3], index + 1), f"segment {segment.id}: the id slots miss row {index + 1}")
        require(footer.streams == len(streams), f"segment {segment.id}: the footer counts {footer.streams} streams")
        for stream, own in numbers.items():
            entry = footer.stream(stream)
            require(entry[:4] == (entry[0], own[1], own[-1], len(own) - 1) and entry[5] == 0,
                    f"segment {segment.id}: stream {stream} is wrong")
            require(footer.leads_to(4, entry[0], stream + 1), f"segment {segment.id}: the stream slots miss {stream}")
        self.check_views(segment, [record for _, record in rows], numbers)
        self.check_trailer(segment, [record for _, record in rows])

    def check_views(self, segment, records, numbers):
        """Kinds, scopes, scope numbers, tiles and groups, where they are, against the records."""
        footer, parts = segment.footer, segment.footer.parts
        tile_count, scopes = 1 + (len(records) + 63) // 64, {}
        for index, record in enumerate(records):
            scopes.setdefault(record.scope, (len(scopes), index + 1))
        scope_of = [scopes[record.scope][0] for record in records]
        for kind, wanted in ((5, [record.kind for record in records]), (7, scope_of)):
            if kind in parts:
                require(parts[kind][1] == len(records) and
                        list(struct.unpack_from(f"<{len(records)}H", parts[kind][0])) == wanted,
                        f"segment {segment.id}: the column of part {kind} is wrong")
        if 6 in parts:
            firsts = [struct.unpack_from("<QII", parts[6][0], at * 16)[1:] for at in range(parts[6][1])]
            require(firsts == [(first, 0) for _, first in scopes.values()], f"segment {segment.id}: scopes are wrong")
        if 8 in parts:
            require(parts[8][1] == tile_count, f"segment {segment.id}: the number of tiles is wrong")
            tiles = [struct.unpack_from("<QQ", parts[8][0], at * 16) for at in range(tile_count)]
            for index, record in enumerate(records):
                kinds = 1 << (record.kind >> 12) | 1 << (16 + record.kind * 40503 % 65536 // 1366)
                for tile in (tiles[0], tiles[1 + index // 64]):
                    require(tile[0] & kinds == kinds and (6 not in parts or tile[1] >> scope_of[index] % 64 & 1),
                            f"segment {segment.id}: a tile misses row {index + 1}")
        self.check_stream_views(segment, numbers, scope_of if 6 in parts else None)

    def check_stream_views(self, segment, numbers, scope_of):
        part, count = segment.footer.parts.get(9, (b"", 0))
        before = 0
        for stream, own in sorted(numbers.items()):
            scope, _, first, last = segment.footer.stream(stream)[4:]
            groups = (len(own) - 1 + 13) // 14 if count and len(own) > 2 else 0
            require((first, last) == ((before + 1, before + groups) if groups else (0, 0)) and
                    scope == (scope_of[own[1] - 1] if scope_of else 0), f"segment {segment.id}: stream {stream} is wrong")
            for at in range(groups):
                rows = (own[1:][at * 14:at * 14 + 14] + [0] * 14)[:14]
                wanted = [before + at + 2 if at + 1 < groups else 0, before + at if at > 0 else 0] + rows
                require(list(struct.unpack_from("<16I", part, (before + at) * 64)) == wanted,
                        f"segment {segment.id}: group {before + at + 1} is wrong")
            before += groups
        require(before == count, f"segment {segment.id}: groups are of nothing")

    def check_trailer(self, segment, records):
        ids = [record.id for record in records]
        wanted = struct.pack("<QQqq", records[0].sequence, records[-1].sequence, records[0].recorded_us,
                             records[-1].recorded_us) + min(ids) + max(ids) + self.last_made + records[-1].hash
        wanted += struct.pack("<Q", sum(record.kind >> 12 == 0 for record in records))
        require(segment.footer.trailer[72:192] == wanted, f"segment {segment.id}: the trailer is wrong")


# ---- output


def uuid_text(data):
    return str(uuid.UUID(bytes=data)) if any(data) else None


def print_event(reader, segment, record):
    kind = record.payload_type
    print(json.dumps({
        "segment": segment.id,
        "offset": record.offset,
        "bytes": record.end - record.offset,
        "sequence": record.sequence,
        "revision": record.revision,
        "kind": record.kind,
        "kind_name": reader.kinds.get(record.kind),
        "id": uuid_text(record.id),
        "correlation": uuid_text(record.correlation),
        "causation": uuid_text(record.causation),
        "scope": record.scope.decode("utf-8"),
        "entity": record.entity.decode("utf-8"),
        "recorded_us": record.recorded_us,
        "event_us": record.event_us,
        "tags": [tag for tag, in record.tag_list],
        "headers": [[name, base64.b64encode(value).decode()] for name, value in record.header_list],
        "payload_type": PAYLOAD_TYPES[kind] if kind < len(PAYLOAD_TYPES) else str(kind),
        "payload_base64": base64.b64encode(record.payload).decode(),
        "previous_hash": record.previous_hash.hex(),
        "hash": record.hash.hex(),
    }, ensure_ascii=False))


def main():
    if len(sys.argv) != 2:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        Reader(sys.argv[1]).read(print_event)
    except (Damage, OSError, UnicodeDecodeError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
