/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts are asked for, as most programs do, and keep `revisions` true. */
#include "writer.h"

#include <string.h>

#include "harness.h"

static void note_revisions(struct writer *writer) {
    for (uint32_t stream = 0; stream < STREAM_COUNT; stream++) {
        struct fbat_event event;
        if (fbat_latest(writer->store, workload_entity(stream), workload_scope(stream), &event, NULL) != FBAT_OK)
            continue;
        writer->revisions[stream] = event.revision;
        fbat_event_release(&event);
    }
}

void writer_open(struct writer *writer, const char *name, enum fbat_level level, const char *const *options) {
    memset(writer, 0, sizeof *writer);
    writer->name = name;
    writer->options = (struct fbat_append_options){.struct_size = sizeof writer->options, .level = level};
    workload_init(&writer->workload, 1);
    writer->store = bench_store_open_new(name, options);
    bench_store_fill(writer->store, &writer->workload, 8000);
    note_revisions(writer);
}

void writer_close(struct writer *writer) {
    bench_store_close(writer->store);
    bench_store_remove(writer->name);
}

void writer_append(struct writer *writer, const struct fbat_new_event *event, struct fbat_receipt *out_receipt) {
    struct fbat_error error;
    check_fbat(fbat_append(writer->store, event, &writer->options, out_receipt, &error), &error, "append");
}

uint64_t writer_run_plain(void *user, uint64_t count) {
    struct writer *writer = user;
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        uint32_t stream = workload_next(&writer->workload, &event);
        writer_append(writer, &event, &receipt);
        writer->revisions[stream] = receipt.revision;
    }
    return now_ns() - start;
}

uint64_t writer_run_batches(void *user, uint64_t count) {
    struct writer *writer = user;
    static struct fbat_new_event events[WRITER_BATCH];
    static struct fbat_receipt receipts[WRITER_BATCH];
    struct fbat_error error;
    size_t size = count < WRITER_BATCH ? (size_t)count : WRITER_BATCH;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done += size) {
        for (size_t item = 0; item < size; item++)
            workload_next(&writer->workload, &events[item]);
        check_fbat(fbat_append_batch(writer->store, events, size, &writer->options, receipts, &error), &error,
                   "append");
    }
    return now_ns() - start;
}
