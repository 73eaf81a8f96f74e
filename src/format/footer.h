/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The footer of a sealed segment: its own index, in the layout used in memory, so that opening maps it and copies
 * nothing. It is derived from the frames and can be made again from them.
 *
 *     frames | superseded bytes | zeros to 64 | part | part | ... | part table | trailer | end of file
 *
 * Superseded bytes are what the next segment has taken over after a failed sync: nothing of the log any more, but
 * readers that opened the segment before may still look there, so sealing leaves them as they are. Usually there are
 * none.
 *
 * Each part starts at a multiple of 64 and is padded with zeros to the next; its checksum covers the padding. Part
 * table: for each part 32 bytes:
 *
 *     OFFSET  SIZE  FIELD
 *          0     4  type       1 rows, 2 streams, 3 id slots, 4 stream slots, 5 kinds, 6 scopes, 7 scope numbers, 8 tiles,
 *                             9 groups; a reader ignores types it does not know
 *          4     4  CRC-32C    of the part's bytes
 *          8     8  offset     in the file
 *         16     8  bytes      with padding
 *         24     8  count      of elements
 *
 * Trailer: the last 256 bytes of the file:
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  magic                46 42 41 54 45 4E 44 32 ("FBATEND2")
 *          8     4  disk version         2
 *         12     4  part count           1..16
 *         16    16  store identity
 *         32     8  segment id
 *         40     8  generation
 *         48     8  frames end           offset after the last frame
 *         56     8  event count
 *         64     8  stream count
 *         72     8  first sequence       of the first event
 *         80     8  last sequence        of the last
 *         88     8  first recorded time
 *         96     8  last recorded time
 *        104    16  least id             in byte order
 *        120    16  greatest id
 *        136    16  last id made         by the store, up to the end of this segment; zero if none
 *        152    32  last hash            of the last event
 *        184     8  system event count   events of category 0
 *        192     8  part table offset
 *        200     4  CRC-32C              of the part table
 *        204     4  zero
 *        208     8  superseded bytes     behind frames end; a multiple of 8
 *        216     8  led event count      of events that their ids lead to; the others are in the id slots
 *        224    28  zero
 *        252     4  CRC-32C              of bytes 0 to 251
 *
 * A footer is valid if and only if the trailer's magic, checksum and identity are right, the parts lie between the
 * superseded bytes and the part table, each part's checksum is right, and the counts and the ends of the rows agree.
 * An invalid footer is ignored and made again from the frames.
 *
 * Row: one for each event, in sequence order, 64 bytes. Row numbers in links are counted from 1; 0 means none.
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  sequence
 *          8     8  recorded time
 *         16     8  revision
 *         24     8  id hash              XXH3-64 of the id
 *         32     4  record offset        in the file, in words of 8 bytes
 *         36     4  stream               index into the streams
 *         40     4  previous in stream   row number
 *         44     4  next in stream       row number
 *         48     2  kind
 *         50     2  flags                1: the id carries the sequence (base/id.h), and is in no slot
 *         52     4  frame offset         in the file, in words of 8 bytes
 *         56     8  zero
 *
 * Stream: one for each stream with an event in the segment, in order of first appearance, 32 bytes. Its names stand in
 * the record of its first row.
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  name hash     XXH3-64 of the entity, seeded with the XXH3-64 of the scope
 *          8     4  first row     row number
 *         12     4  last row      row number
 *         16     4  event count
 *         20     2  scope number  with scopes: the number of its scope, 65535 where that has none; else 0
 *         22     2  zero
 *         24     4  first group   with groups: the first of its groups, counted from 1; 0 when it has one event; else 0
 *         28     4  last group    likewise the last
 *
 * Ids that the store makes lead to their events by themselves; other ids are found by slots.
 *
 * Slots: open addressing with linear probing over 2^n 32-bit numbers (n >= 1); an element is looked for from the slot
 * that the top n bits of its hash number, and 0 is an empty slot. Id slots hold row numbers, placed by id hash;
 * stream slots hold stream indexes counted from 1, placed by name hash.
 *
 * Views: parts 5 to 9 repeat what rows and streams say, in forms that answer some questions faster. Each may be absent,
 * and one whose count is not the one expected here counts as absent.
 *
 *     kinds          16 bits for each row: its kind
 *     scopes         an entry for each scope, in order of first appearance, at most 65,535: its number is its place
 *     scope numbers  16 bits for each row: the number of its scope. Only with scopes
 *     tiles          a summary of the whole segment, then one for each 64 rows
 *     groups         each stream's row numbers, ascending, the streams in their order. The groups of a stream stand
 *                    one behind the other, 14 rows each but for its last one; a stream of one event has none
 *
 * Scope:
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  name hash     XXH3-64 of the scope
 *          8     4  first row     row number; its record holds the name
 *         12     4  zero
 *
 * Tile: which kinds and scopes its rows have. More bits may be set than needed, never fewer.
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  kinds         bit c for category c; bit 16 + (kind x 40503 mod 65536) / 1366 for a kind
 *          8     8  scopes        bit n mod 64 for scope number n; says nothing without scopes
 *
 * Group:
 *
 *     OFFSET  SIZE  FIELD
 *          0     4  next          the stream's next group, counted from 1; 0 none
 *          4     4  previous      its previous one; 0 none
 *          8    56  rows          14 row numbers, 0 behind the last
 */
#ifndef FBAT_FORMAT_FOOTER_H
#define FBAT_FORMAT_FOOTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

enum footer_row_flags { FOOTER_ROW_ID_LEADS = 1 };

struct footer_row {
    uint64_t sequence;
    int64_t recorded_us;
    uint64_t revision;
    uint64_t id_hash;
    uint32_t record_words;       /* record offset / 8 */
    uint32_t stream;             /* index */
    uint32_t previous_in_stream; /* row number, 0 none */
    uint32_t next_in_stream;     /* row number, 0 none; written later than the rest while the segment is active */
    uint16_t kind;
    uint16_t flags;       /* enum footer_row_flags */
    uint32_t frame_words; /* frame offset / 8 */
    uint64_t zero1;
};

struct footer_stream {
    uint64_t name_hash;
    uint32_t first_row;   /* row number */
    uint32_t last_row;    /* row number; grows while the segment is active */
    uint32_t event_count; /* likewise */
    uint16_t scope;       /* number, with scopes */
    uint16_t zero0;
    uint32_t first_group; /* counted from 1, 0 none; with groups. Written later than the rest while active */
    uint32_t last_group;  /* likewise; grows */
};

enum { FOOTER_SCOPE_NONE = UINT16_MAX, FOOTER_SCOPES_MAX = UINT16_MAX, FOOTER_GROUP_ROWS = 14, FOOTER_TILE_ROWS = 64 };

struct footer_scope {
    uint64_t name_hash;
    uint32_t first_row;
    uint32_t zero0;
};

struct footer_tile {
    uint64_t kinds;
    uint64_t scopes;
};

struct footer_group {
    uint32_t next;
    uint32_t previous;
    uint32_t rows[FOOTER_GROUP_ROWS];
};

/* Bits of a kind in a tile's summary. */
static inline uint64_t footer_kind_bits(uint16_t kind) {
    unsigned spread = (unsigned)(uint16_t)(kind * 40503u) / 1366u; /* 0 to 47 */
    return UINT64_C(1) << (kind >> 12) | UINT64_C(1) << (16 + spread);
}

enum footer_part_type {
    FOOTER_PART_ROWS = 1,
    FOOTER_PART_STREAMS = 2,
    FOOTER_PART_ID_SLOTS = 3,
    FOOTER_PART_STREAM_SLOTS = 4,
    FOOTER_PART_NEEDED = 4, /* the types up to this one must be there */
    FOOTER_PART_KINDS = 5,
    FOOTER_PART_SCOPES = 6,
    FOOTER_PART_SCOPE_NUMBERS = 7,
    FOOTER_PART_TILES = 8,
    FOOTER_PART_GROUPS = 9,
    FOOTER_PART_KNOWN = 9, /* how many types this version knows */
};

enum {
    FOOTER_PART_BYTES = 32,
    FOOTER_PARTS_MAX = 16,
    FOOTER_ALIGNMENT = 64,
    FOOTER_TRAILER_BYTES = 256,
    FOOTER_VERSION_AT = 8,
    FOOTER_PART_COUNT_AT = 12,
    FOOTER_STORE_ID_AT = 16,
    FOOTER_SEGMENT_ID_AT = 32,
    FOOTER_GENERATION_AT = 40,
    FOOTER_FRAMES_END_AT = 48,
    FOOTER_EVENT_COUNT_AT = 56,
    FOOTER_STREAM_COUNT_AT = 64,
    FOOTER_FIRST_SEQUENCE_AT = 72,
    FOOTER_LAST_SEQUENCE_AT = 80,
    FOOTER_FIRST_RECORDED_AT = 88,
    FOOTER_LAST_RECORDED_AT = 96,
    FOOTER_ID_MIN_AT = 104,
    FOOTER_ID_MAX_AT = 120,
    FOOTER_ID_MADE_AT = 136,
    FOOTER_LAST_HASH_AT = 152,
    FOOTER_SYSTEM_COUNT_AT = 184,
    FOOTER_TABLE_OFFSET_AT = 192,
    FOOTER_TABLE_CRC_AT = 200,
    FOOTER_ZERO_AT = 204,
    FOOTER_SUPERSEDED_AT = 208,
    FOOTER_LED_COUNT_AT = 216,
    FOOTER_ZERO_END_AT = 224,
    FOOTER_CRC_AT = 252,
};

/* What is known of a segment as a whole: in the trailer of a sealed one, in memory of the active one. */
struct segment_summary {
    uint64_t frames_end;
    uint64_t superseded_bytes; /* behind frames end, kept; the parts follow */
    uint64_t event_count;
    uint64_t stream_count;
    uint64_t system_event_count;
    uint64_t led_event_count; /* whose ids lead to them: the others are in the id slots */
    uint64_t first_sequence;  /* 0 while there is no event, like all below */
    uint64_t last_sequence;
    int64_t first_recorded_us;
    int64_t last_recorded_us;
    struct fbat_id id_min, id_max, id_made;
    uint8_t last_hash[32];
};

/* Events that the id slots lead to. */
static inline uint64_t segment_summary_slotted(const struct segment_summary *summary) {
    return summary->event_count - summary->led_event_count;
}

struct footer_part {
    uint32_t type;
    uint32_t crc;
    uint64_t offset;
    uint64_t bytes;
    uint64_t count;
};

struct footer {
    struct fbat_id store_id;
    uint64_t segment_id;
    uint64_t generation;
    struct segment_summary summary;
    uint64_t table_offset;
    uint32_t part_count;
    struct footer_part parts[FOOTER_PARTS_MAX];
};

/* Bytes of part table and trailer. */
static inline uint64_t footer_tail_bytes(uint32_t part_count) {
    return (uint64_t)part_count * FOOTER_PART_BYTES + FOOTER_TRAILER_BYTES;
}

/* Writes part table and trailer, footer_tail_bytes(footer->part_count) of them. */
void footer_encode(const struct footer *footer, uint8_t *to);

/* True when these bytes begin like a trailer. */
bool footer_has_trailer(const uint8_t trailer[FOOTER_TRAILER_BYTES]);

/* Reads the footer of a whole mapped file. NULL when it is valid, with out_footer filled and every part's checksum and
 * size verified; else what is wrong with it ("no trailer" when there is none at all). */
const char *footer_decode(const uint8_t *file, uint64_t file_bytes, struct footer *out_footer);

/* The part of this type, or NULL. */
const struct footer_part *footer_find(const struct footer *footer, enum footer_part_type type);

#endif
