/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends that do not wait for their answer, and several appends as one: tickets, fences, outboxes.
 *
 * Tickets: one thread keeps 1,024 appends on their way. It collects the oldest answer, submits the next event, and so
 * on; what an event costs contains submitting, waiting, collecting and releasing.
 */
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "floors.h"
#include "harness.h"
#include "workload.h"
#include "writer.h"

enum {
    OUTSTANDING = 1024,
    ROUND_EVENTS = 8192,
    GROUP = 16, /* events of a fence, of an outbox */
    ROUND_GROUPS = 128,
    DURABLE_SAMPLES = 4000,
};

static const char *const group_options[] = {"sync.mode", "data", "batch.group_commit_max_batch", "0", NULL};

/* ---- tickets ---- */

struct submitter {
    struct writer writer;
    struct fbat_ticket *tickets[OUTSTANDING];
    uint64_t since_ns[OUTSTANDING]; /* when it was submitted */
    struct histogram calls;         /* how long fbat_submit took */
    struct histogram answers;       /* from there to its answer in the caller's hands */
    struct series answer_means;     /* of each round, us */
};

static void submit_at(struct submitter *submitter, unsigned place) {
    struct fbat_new_event event;
    struct fbat_error error;
    struct writer *writer = &submitter->writer;
    workload_next(&writer->workload, &event);
    check_fbat(fbat_submit(writer->store, &event, &writer->options, &submitter->tickets[place], &error), &error,
               "submit");
}

static void collect_at(struct submitter *submitter, unsigned place) {
    struct fbat_receipt receipt;
    struct fbat_error error;
    check_fbat(fbat_ticket_wait(submitter->tickets[place], FBAT_FOREVER, &receipt, &error), &error, "wait");
    fbat_ticket_release(submitter->tickets[place]);
}

static void fill_window(struct submitter *submitter) {
    for (unsigned place = 0; place < OUTSTANDING; place++)
        submit_at(submitter, place);
}

static void empty_window(struct submitter *submitter) {
    for (unsigned place = 0; place < OUTSTANDING; place++)
        collect_at(submitter, place);
}

/* The window is filled before the clock starts and emptied after it stops: what is timed is the steady state. */
static uint64_t submit_outstanding(void *user, uint64_t count) {
    struct submitter *submitter = user;
    fill_window(submitter);
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        collect_at(submitter, done % OUTSTANDING);
        submit_at(submitter, done % OUTSTANDING);
    }
    uint64_t took = now_ns() - start;
    empty_window(submitter);
    return took;
}

/* The same with the clock around each call. */
static void sample_outstanding(struct submitter *submitter, uint64_t count) {
    fill_window(submitter);
    memset(submitter->since_ns, 0, sizeof submitter->since_ns);
    uint64_t sum_ns = 0, answers = 0;
    for (uint64_t done = 0; done < count; done++) {
        unsigned place = (unsigned)(done % OUTSTANDING);
        collect_at(submitter, place);
        uint64_t before = now_ns();
        if (submitter->since_ns[place] > 0) {
            histogram_add(&submitter->answers, before - submitter->since_ns[place]);
            sum_ns += before - submitter->since_ns[place];
            answers++;
        }
        submit_at(submitter, place);
        histogram_add(&submitter->calls, without_clock(now_ns() - before));
        submitter->since_ns[place] = before;
    }
    empty_window(submitter);
    series_add(&submitter->answer_means, (double)sum_ns / (double)answers / 1e3);
}

static void print_answers(const char *name, const struct submitter *submitter) {
    struct row row = {.name = name, .unit = UNIT_US};
    row.fbat = submitter->answer_means;
    row.latency = submitter->answers;
    row.operation = "answer";
    snprintf(row.note, sizeof row.note, "collected in order, when the window is full: about %d times an event's cost",
             OUTSTANDING);
    row_print(&row);
}

static void measure_outstanding(struct row *row, const char *answers_name, struct submitter *submitter,
                                struct subject floor, unsigned rounds) {
    row->operation = "fbat_submit";
    row_run_rounds(row, SUBJECT(submit_outstanding, submitter, ROUND_EVENTS), floor, harness_rounds(rounds));
    for (unsigned round = 0; round < harness_rounds(20); round++)
        sample_outstanding(submitter, ROUND_EVENTS);
    row->latency = submitter->calls;
    row_print(row);
    print_answers(answers_name, submitter);
}

static void measure_submit_written(void) {
    struct row row = {.name = "submit, 1,024 outstanding, written", .unit = UNIT_US, .due = {0.6, 0}};
    static struct submitter submitter;
    struct hash_floor floor;
    writer_open(&submitter.writer, "submit", FBAT_LEVEL_WRITTEN, NULL);
    hash_floor_init(&floor, 1);
    measure_outstanding(&row, "submit, written, from call to answer", &submitter,
                        SUBJECT(hash_floor_run, &floor, ROUND_EVENTS), 40);
    hash_floor_deinit(&floor);
    writer_close(&submitter.writer);
}

static void measure_submit_durable(void) {
    struct row row = {.name = "submit, 1,024 outstanding, durable", .unit = UNIT_US, .against = "raw"};
    static struct submitter submitter;
    struct sync_floor floor;
    writer_open(&submitter.writer, "submit", FBAT_LEVEL_DURABLE, group_options);
    sync_floor_init(&floor, "submit.raw", OUTSTANDING, true, false);
    snprintf(row.note, sizeof row.note, "raw: pwrite of 1,024 frames at a time, and fdatasync");
    measure_outstanding(&row, "submit, durable, from call to answer", &submitter,
                        SUBJECT(sync_floor_run, &floor, ROUND_EVENTS), 40);
    sync_floor_deinit(&floor);
    writer_close(&submitter.writer);
}

/* ---- fences ---- */

/* count is a multiple of a fence's events; a fence that is durable is so by its commit. */
static uint64_t append_fences(void *user, uint64_t count) {
    struct writer *writer = user;
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done += GROUP) {
        struct fbat_fence *fence;
        check_fbat(fbat_fence_begin(writer->store, &fence, &error), &error, "begin a fence");
        for (unsigned item = 0; item < GROUP; item++) {
            workload_next(&writer->workload, &event);
            check_fbat(fbat_fence_append(fence, &event, NULL, &receipt, &error), &error, "append in a fence");
        }
        check_fbat(fbat_fence_commit(fence, &writer->options, &error), &error, "commit a fence");
    }
    return now_ns() - start;
}

static void measure_fences(void) {
    struct row row = {.name = "fence of 16 appends and commit, written, per event", .unit = UNIT_US};
    struct writer writer;
    row.against = "16 plain appends";
    row.operation = "fence of 16";
    writer_open(&writer, "fence", FBAT_LEVEL_WRITTEN, NULL);
    row_run_pairs(&row, SUBJECT(append_fences, &writer, GROUP), SUBJECT(writer_run_plain, &writer, GROUP), ROUND_GROUPS,
                  harness_rounds(60));
    row_print(&row);
    writer_close(&writer);
}

static void measure_durable_fences(void) {
    struct row row = {.name = "fence of 16 appends and commit, durable, per event", .unit = UNIT_US};
    struct writer writer;
    struct sync_floor floor;
    row.against = "raw";
    row.operation = "fence of 16";
    snprintf(row.note, sizeof row.note, "raw: pwrite of 16 frames, and fdatasync");
    writer_open(&writer, "fence", FBAT_LEVEL_DURABLE, group_options);
    sync_floor_init(&floor, "fence.raw", GROUP, true, false);
    row_run_rounds(&row, SUBJECT(append_fences, &writer, 16 * GROUP), SUBJECT(sync_floor_run, &floor, 16 * GROUP),
                   harness_rounds(40));
    row_sample(&row, SUBJECT(append_fences, &writer, GROUP), SUBJECT(sync_floor_run, &floor, GROUP), DURABLE_SAMPLES);
    row_print(&row);
    sync_floor_deinit(&floor);
    writer_close(&writer);
}

/* ---- outboxes ---- */

struct sender {
    struct writer writer;
    struct fbat_outbox *outbox;
};

static uint64_t send_outboxes(void *user, uint64_t count) {
    struct sender *sender = user;
    struct fbat_new_event event;
    struct fbat_receipt receipts[GROUP];
    struct fbat_error error;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done += GROUP) {
        for (unsigned item = 0; item < GROUP; item++) {
            workload_next(&sender->writer.workload, &event);
            check_fbat(fbat_outbox_stage(sender->outbox, &event, &error), &error, "stage");
        }
        check_fbat(fbat_outbox_flush(sender->outbox, &sender->writer.options, receipts, &error), &error, "flush");
    }
    return now_ns() - start;
}

static void measure_outboxes(void) {
    struct row row = {.name = "outbox of 16 staged and flushed, written, per event", .unit = UNIT_US};
    struct sender sender;
    struct fbat_error error;
    row.against = "batch of 16";
    row.operation = "outbox of 16";
    writer_open(&sender.writer, "outbox", FBAT_LEVEL_WRITTEN, NULL);
    check_fbat(fbat_outbox_create(sender.writer.store, NULL, &sender.outbox, &error), &error, "create an outbox");
    row_run_pairs(&row, SUBJECT(send_outboxes, &sender, GROUP), SUBJECT(writer_run_batches, &sender.writer, GROUP),
                  ROUND_GROUPS, harness_rounds(60));
    row_print(&row);
    fbat_outbox_destroy(sender.outbox);
    writer_close(&sender.writer);
}

void family_submit(void) {
    measure_submit_written();
    measure_submit_durable();
    measure_fences();
    measure_durable_fences();
    measure_outboxes();
}
