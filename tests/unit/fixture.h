/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of this folder share: cmocka, memory of exact size (so that a sanitizer sees a read past it), records
 * with every field set, and a log of hand-made events on the simulated disk.
 *
 * Thread rule: one thread.
 */
#ifndef FBAT_TESTS_UNIT_FIXTURE_H
#define FBAT_TESTS_UNIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "format/frame.h"
#include "format/live.h"
#include "format/record.h"
#include "index/directory.h"
#include "index/segment_index.h"
#include "support/os_sim.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* A copy in memory of exactly size bytes, aligned to 64; free it. Size 0 gives memory that may not be read at all. */
uint8_t *exact_copy(const void *bytes, size_t size);

/* The bytes of "00 ff ..."; the text may hold blanks. Fails the test when it is not hexadecimal. */
size_t bytes_of_hex(const char *hex, uint8_t *to, size_t room);

struct fbat_id id_of_byte(uint8_t byte); /* sixteen times that byte */

/* A record input in which every field is set and no two bytes of different fields are alike by accident. Its slices
 * are static. */
struct record_input full_input(void);

/* The record of an input, of exact size; free it. */
uint8_t *make_record(const struct record_input *input, struct record_sizes *out_sizes);

/* A frame of the inputs, in order, of exact size; free it. first_sequence comes from the first input. */
uint8_t *make_frame(const struct record_input *inputs, uint32_t count, uint64_t durable, uint32_t salt,
                    size_t *out_bytes);

/* ---- a log on the simulated disk ---- */

/* NULL and 0 are defaults: scope "shop", entity "order-1", kind 0x1001, recorded at 1000 x sequence, id made from the
 * sequence. */
struct log_event {
    const char *scope;
    const char *entity;
    const char *payload;
    uint16_t kind;
    int64_t recorded_us;
    struct fbat_id id;
};

struct log_stream {
    char names[64];
    uint64_t revision;
    uint8_t hash[32];
};

struct log {
    struct os_sim *sim;
    struct os *os;
    struct fbat_id store_id;
    struct directory directory;
    struct segment_index *active; /* borrowed from the directory */
    uint64_t next_sequence;
    uint64_t durable_sequence; /* what the next frame will say */
    int64_t last_recorded_us;
    uint8_t last_hash[32];
    struct log_stream streams[32];
    size_t stream_count;
};

/* Where the log stood, for what is to be written again. */
struct log_place {
    uint64_t next_sequence;
    int64_t last_recorded_us;
    uint8_t last_hash[32];
    struct log_stream streams[32];
    size_t stream_count;
};

#define LOG_DIR "/store"

void log_init(struct log *log); /* with one empty segment */
void log_init_on(struct log *log, const struct os_sim_options *options);
void log_deinit(struct log *log);

/* Appends events as one frame, indexes it, and makes it visible. */
void log_append(struct log *log, const struct log_event *events, uint32_t count);

/* The same, but neither published nor visible. */
void log_append_hidden(struct log *log, const struct log_event *events, uint32_t count);

/* Writes a frame of these events behind the last one, without indexing it. Answers where it stands. */
uint64_t log_write(struct log *log, enum frame_type type, const struct log_event *events, uint32_t count);

/* Writes the commit of the fence that began with this sequence at this place. Answers where it stands. */
uint64_t log_commit(struct log *log, uint64_t first_sequence, uint64_t fence_offset);

/* What is written next starts where the log stood: a fence that was cancelled, a tail that is taken over. */
struct log_place log_note(const struct log *log);
void log_go_back(struct log *log, const struct log_place *place);

/* Starts the next segment at the next sequence; the one before is left as it is. */
void log_next_segment(struct log *log);

/* Makes the log a store: store.meta, and LOCK as the last writer left it; closing cuts the last segment to its end. */
void log_make_store(struct log *log, enum live_state state, uint64_t durable);

/* Seals the active segment (its footer becomes the index) and starts the next one. */
void log_rotate(struct log *log);

/* The number of a fixture event's id. */
struct fbat_id log_id(uint64_t sequence);

/* cmocka setup and teardown of a test whose state is a struct log. */
int enter_log(void **state);
int leave_log(void **state);

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, enter_log, leave_log)

#endif
