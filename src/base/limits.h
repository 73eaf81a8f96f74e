/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every named limit of the library that is not configurable, in one place. Those a caller must know are in the public
 * header; the static_asserts below tie the two together.
 */
#ifndef FBAT_BASE_LIMITS_H
#define FBAT_BASE_LIMITS_H

#include <assert.h>
#include <stdint.h>

#include <fbat/fbat.h>

enum {
    LIMIT_PATH_BYTES = 4096,       /* a path inside the store, with its zero */
    LIMIT_NAME_BYTES = 1024,       /* entity, scope */
    LIMIT_HEADERS_BYTES = 65535,   /* encoded headers of an event */
    LIMIT_TAGS_BYTES = 65535,      /* encoded tags of an event */
    LIMIT_BATCH_EVENTS = 4096,     /* events in a frame */
    LIMIT_SEGMENT_FILE_DIGITS = 6, /* least digits of a segment's file name */
};

/* A frame is checksummed in one call whose length is an int, and its length field is 32 bits wide. */
#define LIMIT_FRAME_BYTES (UINT64_C(1) << 30)

/* Index rows hold a record's place as a count of 8-byte words in 32 bits. */
#define LIMIT_SEGMENT_BYTES (UINT64_C(1) << 35)

/* Rows, streams and slots of one segment are counted in 32 bits with room for "none". */
#define LIMIT_SEGMENT_EVENTS UINT32_C(0x7fffffff)

#define LIMIT_PAYLOAD_BYTES (UINT32_C(64) << 20)
#define LIMIT_BATCH_BYTES (UINT32_C(16) << 20)
#define LIMIT_SEGMENT_ID UINT64_C(999999999999)

static_assert(LIMIT_NAME_BYTES == FBAT_NAME_BYTES_MAX, "public and internal limits agree");
static_assert(LIMIT_HEADERS_BYTES == FBAT_HEADERS_BYTES_MAX, "public and internal limits agree");
static_assert(LIMIT_TAGS_BYTES == FBAT_TAGS_BYTES_MAX, "public and internal limits agree");
static_assert(LIMIT_BATCH_EVENTS == FBAT_BATCH_EVENTS_MAX, "public and internal limits agree");

#endif
