/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle of the crash and fault tests: remembers every event that a program tried to append, what it was told, and
 * says whether a store holds exactly what the promises of the library allow.
 *
 * What is checked (oracle_verify):
 *   - Sequences run from 1 without a gap, revisions of each stream too; recorded times never decrease; every event's
 *     previous hash is the hash before it in its stream.
 *   - Nothing is invented: every event is one that was attempted, field by field, and is there once. What was refused
 *     is absent, and what was once found absent stays absent until it is appended again.
 *   - What was acknowledged is there under its receipt: what was acknowledged `durable` always, what was acknowledged
 *     `written` unless there was a power cut.
 *   - A batch, and a fence, is whole, in order and side by side, or absent. What was never committed is absent.
 *   - Events stand in the order in which they were appended.
 *   - Reads by id, by sequence, by stream and counts agree with the log.
 *
 * Functions that check return false and keep the first complaint (oracle->complaint) instead of ending the test: a
 * broken build must be seen to fail.
 *
 * Thread rule: one thread.
 */
#ifndef FBAT_TESTS_SUPPORT_ORACLE_H
#define FBAT_TESTS_SUPPORT_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "test.h"

enum {
    ORACLE_ENTITIES = 6,
    ORACLE_SCOPES = 2,
    ORACLE_STREAMS = ORACLE_ENTITIES * ORACLE_SCOPES,
    ORACLE_KINDS = 8,
    ORACLE_BATCH_MAX = 8,
    ORACLE_PAYLOAD_MAX = 12 << 10, /* bytes */
    ORACLE_HEADERS_MAX = 2,
    ORACLE_TAGS_MAX = 2
};

#define ORACLE_NO_ITEM UINT64_MAX

/* What the program knows of an event. */
enum item_state {
    ITEM_REFUSED = 1, /* the library said that it is not in the store */
    ITEM_UNKNOWN = 2, /* the program died, or was told that it may be in the store or not */
    ITEM_ABSENT = 3,  /* a recovered store did not have it */
    ITEM_WRITTEN = 4, /* acknowledged: a kill cannot lose it */
    ITEM_DURABLE = 5  /* acknowledged: nothing can lose it */
};

struct item {
    enum item_state state;
    uint64_t first_item; /* of its batch */
    uint32_t item_count; /* of its batch; 1: a single event */
    uint64_t atom_first; /* of all that is there together or not at all: its batch, or all batches of its fence */
    uint64_t atom_next;  /* the item behind it there; ORACLE_NO_ITEM: none */
    bool key_given;
    struct fbat_id id; /* given, or made by the store and known from a receipt; else none */
    bool receipt_known;
    struct fbat_receipt receipt;
    uint64_t first_try; /* numbers of tries, ascending over the whole run: it was written at one of them */
    uint64_t last_try;
    bool maybe; /* a try before the running one left it unknown: a refusal now does not change that */
    bool seen;  /* during a walk */
};

struct named_kind {
    enum item_state state; /* 0: never tried */
};

/* An event as the program would append it, with room for all it points to. */
struct attempt {
    struct fbat_new_event event;
    char entity[32];
    char scope[32];
    uint8_t payload[ORACLE_PAYLOAD_MAX];
    char texts[ORACLE_HEADERS_MAX + ORACLE_TAGS_MAX][32];
    uint8_t values[ORACLE_HEADERS_MAX][16];
    struct fbat_header headers[ORACLE_HEADERS_MAX];
    struct fbat_slice tags[ORACLE_TAGS_MAX];
};

struct oracle {
    uint64_t seed;
    bool keys_always;   /* every event has a key: the store asks for it */
    struct item *items; /* item number n is items[n] */
    size_t item_count;
    size_t item_room;
    uint64_t tries;
    uint64_t revisions[ORACLE_STREAMS]; /* where each stream is, as far as is known */
    uint64_t last_sequence;             /* likewise the store */
    uint64_t durable_sequence;          /* the highest durable watermark ever shown, still binding */
    struct named_kind kinds[ORACLE_KINDS];
    uint64_t digest; /* of the last walk: equal digests, equal logs */
    bool failed;
    char complaint[1024];
};

/* What has happened since the acknowledgements. */
enum oracle_loss {
    ORACLE_NOTHING_LOST = 0, /* a kill, or nothing: all that was acknowledged is there */
    ORACLE_POWER_LOST = 1    /* a power cut: what was durable is there */
};

void oracle_init(struct oracle *oracle, uint64_t seed);
void oracle_deinit(struct oracle *oracle);

/* A copy with items of its own. */
void oracle_copy(const struct oracle *oracle, struct oracle *out_copy);

/* Keeps the first complaint; returns false. */
bool oracle_complain(struct oracle *oracle, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a batch of count new items (1: a single event), not yet tried; returns the number of the first. */
uint64_t oracle_add(struct oracle *oracle, uint32_t count);

/* Builds the event of an item, the same at every call; expectations are the caller's to add. */
void oracle_build(const struct oracle *oracle, uint64_t number, struct attempt *out_attempt);

/* The stream an item goes to, and where in oracle->revisions that is. */
unsigned oracle_stream_of(const struct oracle *oracle, uint64_t number);
void oracle_stream_names(unsigned stream, char entity[32], char scope[32]);

/* A kind and its name. */
uint16_t oracle_kind(unsigned index);
void oracle_kind_name(unsigned index, char name[32]);

/* The program tries to append the batch that starts at this item, on its own, and is told the outcome. */
void oracle_note_try(struct oracle *oracle, uint64_t first);
void oracle_note_state(struct oracle *oracle, uint64_t first, enum item_state state);
/* The batch is appended in the fence that starts with the batch of fence_first. */
void oracle_note_fence(struct oracle *oracle, uint64_t fence_first, uint64_t first);
/* Acknowledged: checks the receipts against each other and against earlier ones. */
bool oracle_note_receipts(struct oracle *oracle, uint64_t first, const struct fbat_receipt *receipts, bool durable);
/* Nobody was told what became of the batch, but the store, which is open, can be asked. What it does not know is `absent`. */
bool oracle_note_unheard(struct oracle *oracle, uint64_t first, struct fbat_store *store, enum item_state absent);
/* All that was written is durable. */
void oracle_note_all_durable(struct oracle *oracle);
/* The store shows its watermarks. */
bool oracle_note_frontier(struct oracle *oracle, const struct fbat_frontier *frontier);

/* Checks the whole store; changes no item, so it may be called on any handle at any time. */
bool oracle_verify(struct oracle *oracle, struct fbat_store *store, enum oracle_loss loss);

/* The same for a store just opened for writing, which makes all that is there durable: takes note of that, and that all
 * else is absent. */
bool oracle_verify_recovered(struct oracle *oracle, struct fbat_store *store, enum oracle_loss loss);

#endif
