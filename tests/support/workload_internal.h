/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the random program share: workload.c (appends, tickets, reads, opening and closing) and
 * workload_fence.c. Nobody else includes this.
 *
 * Thread rule: one thread.
 */
#ifndef FBAT_TESTS_SUPPORT_WORKLOAD_INTERNAL_H
#define FBAT_TESTS_SUPPORT_WORKLOAD_INTERNAL_H

#include "workload.h"

enum { WORKLOAD_CONDITIONS_MAX = 2, WORKLOAD_WAIT_MS = 1000 };

/* Something to append, as the library wants it: count events built in the workload's attempts. */
struct workload_call {
    uint32_t count;
    struct fbat_new_event events[ORACLE_BATCH_MAX];
    struct fbat_append_options options;
    struct fbat_condition conditions[WORKLOAD_CONDITIONS_MAX];
    char entities[WORKLOAD_CONDITIONS_MAX][32];
    char scopes[WORKLOAD_CONDITIONS_MAX][32];
};

/* ---- what may be done, and how things stand ---- */

bool workload_is_alive(const struct workload *workload);
bool workload_can_work(const struct workload *workload);   /* open, alive, nothing gone wrong */
bool workload_can_append(const struct workload *workload); /* and no fence */
bool workload_is_writer_dead(const struct workload *workload);
bool workload_had_fault(const struct workload *workload); /* of this process; or there may have been one */
bool workload_in_store(const struct oracle *oracle, uint64_t number);
bool workload_means_durable(const struct workload *workload, enum fbat_level level);

/* What an append with this error is, see workload.h. `after_death`: the writer was dead before it. */
enum item_state workload_state_after(const struct workload *workload, int status, bool after_death);
void workload_look_at_watermarks(struct workload *workload);

/* ---- what to append ---- */

enum fbat_level workload_pick_level(struct workload *workload);
uint32_t workload_pick_count(struct workload *workload);

/* The first item of something attempted before; false when it has no key. */
bool workload_pick_keyed(struct workload *workload, uint64_t *out_first);

/* From here on nothing is on its way. */
void workload_project_now(struct workload *workload);

/* The items from `first` on as they are; or, new ones, also with conditions that hold. */
void workload_build_call(struct workload *workload, uint64_t first, enum fbat_level level, struct workload_call *call);
void workload_build_new(struct workload *workload, uint64_t first, enum fbat_level level, struct workload_call *call);
void workload_add_true_conditions(struct workload *workload, struct workload_call *call);
void workload_add_false_condition(struct workload *workload, struct workload_call *call);

/* Tells the oracle that the items are tried now. */
struct workload_unit workload_begin_unit(struct workload *workload, uint64_t first, enum fbat_level level);

/* Stages all in an outbox of the fence, or of the store, and takes it from there with flush; or, where out_ticket is
 * given, with submit. */
int workload_append_by_outbox(struct workload *workload, const struct workload_call *call,
                              struct fbat_receipt *out_receipts, struct fbat_ticket **out_ticket,
                              struct fbat_error *error);

/* ---- the open fence ---- */

void workload_fence_step(struct workload *workload);
void workload_end_fence(struct workload *workload, enum workload_fence_end end);
void workload_cancel_fence(struct workload *workload);

#endif
