/* SPDX-License-Identifier: Apache-2.0 */
/* Filling happens in a child, so that its memory is not in the figures of the process that asked. */
#include "fixture.h"

#include <stdio.h>
#include <unistd.h>

#include "harness.h"
#include "workload.h"

struct filling {
    const char *name;
    uint64_t event_count;
};

static uint64_t fill_fixture(void *user) {
    const struct filling *filling = user;
    struct workload workload;
    workload_init(&workload, 1);
    struct fbat_store *store = bench_store_open_new(filling->name, no_sync_options);
    bench_store_fill(store, &workload, filling->event_count);
    bench_store_close(store);
    return 0;
}

void fixture_make(uint64_t event_count, char out_name[FIXTURE_NAME_BYTES]) {
    char path[PATH_BYTES];
    snprintf(out_name, FIXTURE_NAME_BYTES, "events-%llu", (unsigned long long)event_count);
    data_path(out_name, path);
    if (access(path, F_OK) == 0)
        return;
    struct filling filling = {out_name, event_count};
    (void)measure_in_child(fill_fixture, &filling);
}
