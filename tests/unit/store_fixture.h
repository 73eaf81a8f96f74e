/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log of hand-made events (fixture.h) opened as a store. Each event's entity is one letter, so that "aabc" says
 * what a reader sees, in the order of sequences.
 *
 * Thread rule: one thread.
 */
#ifndef FBAT_TESTS_UNIT_STORE_FIXTURE_H
#define FBAT_TESTS_UNIT_STORE_FIXTURE_H

#include "fixture.h"

#include "store/store.h"

enum { ENTITIES_MAX = 64, FINDINGS_MAX = 16 };

/* Writes one frame with an event for each letter. Answers where it stands. */
uint64_t write_letters(struct log *log, enum frame_type type, const char *letters);

/* Opens the store in a process of its own; it must open. */
struct fbat_store *open_log(struct log *log, bool read_only);

/* What the store says is in it, forwards; and it must say the same backwards, by sequence, by id and by stream. */
void expect_letters(struct fbat_store *store, const char *letters);

struct check_result {
    struct fbat_check_report report;
    struct {
        enum fbat_finding_kind kind;
        bool damage;
        uint64_t segment_id, offset;
    } findings[FINDINGS_MAX];
};
struct check_result check_log(struct log *log);

/* The store holds exactly these events: for a reader; for a writer, who may change it once; and, having changed
 * it, for the next one, who changes nothing; and for tests/golden/read_store.py, which knows docs/FORMAT.md and no
 * code of ours. The check finds no damage before, and nothing at all afterwards. `report` is what the first writer
 * found; it may be NULL. */
void expect_store(struct log *log, const char *letters, struct fbat_open_report *out_report);

/* Opening for reading and for writing answers damage at this place. A reader changes nothing, a writer no frame: it may
 * have made footers of the segments before. */
void expect_damage(struct log *log, uint64_t segment_id, uint64_t offset);

/* The phrases of the dump's frames, one after the other, behind the type's first letter: "e:frame s:staged ... ". */
void dump_frames_of(struct log *log, char *to, size_t room);

/* ---- beside a writer ---- */

/* The log's process takes the lock, and says in LOCK what it has published. */
struct log_writer {
    struct log *log;
    struct os_file *file;
    uint8_t *page;
};
void start_writer(struct log *log, struct log_writer *writer, uint64_t visible);
void publish(struct log_writer *writer, uint64_t visible); /* the log's active segment is what LOCK names */
void stop_writer(struct log_writer *writer);

#endif
