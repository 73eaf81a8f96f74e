/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works of the write path repeated for some seconds, for a profiler to watch (bench/profile). Each prints how many
 * events it appended, and how long that took.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "harness.h"
#include "team.h"
#include "workload.h"
#include "writer.h"

enum { PROFILE_OUTSTANDING = 1024, CHUNK = 1000 };

static const uint64_t duration_ns = 4000000000u;
static const char *const durable_group_options[] = {"sync.mode", "data", "batch.group_commit_max_batch", "0", NULL};

static void print_profile(uint64_t events, uint64_t took_ns) {
    printf("{\"events\": %llu, \"ns\": %llu}\n", (unsigned long long)events, (unsigned long long)took_ns);
}

void profile_append(void) {
    struct writer writer;
    uint64_t events = 0;
    writer_open(&writer, "profile", FBAT_LEVEL_WRITTEN, NULL);
    uint64_t start = now_ns();
    for (; now_ns() - start < duration_ns; events += CHUNK)
        (void)writer_run_plain(&writer, CHUNK);
    print_profile(events, now_ns() - start);
    writer_close(&writer);
}

struct profile_team {
    struct writer writers[TEAM_MAX];
    _Atomic uint64_t events;
    uint64_t end_ns;
};

static void append_until_end(void *user, unsigned number) {
    struct profile_team *team = user;
    while (now_ns() < team->end_ns) {
        (void)writer_run_plain(&team->writers[number], 1);
        atomic_fetch_add(&team->events, 1);
    }
}

void profile_durable(void) {
    static struct profile_team team;
    writer_open(&team.writers[0], "profile", FBAT_LEVEL_DURABLE, durable_group_options);
    for (unsigned at = 1; at < TEAM_MAX; at++) {
        team.writers[at] = team.writers[0];
        workload_init(&team.writers[at].workload, at + 1);
    }
    team.end_ns = now_ns() + duration_ns;
    uint64_t took = team_run(TEAM_MAX, append_until_end, &team);
    print_profile(atomic_load(&team.events), took);
    writer_close(&team.writers[0]);
}

static void submit_next(struct writer *writer, struct fbat_ticket **out_ticket) {
    struct fbat_new_event event;
    struct fbat_error error;
    workload_next(&writer->workload, &event);
    check_fbat(fbat_submit(writer->store, &event, &writer->options, out_ticket, &error), &error, "submit");
}

static void collect(struct fbat_ticket *ticket) {
    struct fbat_receipt receipt;
    struct fbat_error error;
    check_fbat(fbat_ticket_wait(ticket, FBAT_FOREVER, &receipt, &error), &error, "wait");
    fbat_ticket_release(ticket);
}

void profile_submit(void) {
    static struct fbat_ticket *tickets[PROFILE_OUTSTANDING];
    struct writer writer;
    uint64_t events = 0;
    writer_open(&writer, "profile", FBAT_LEVEL_WRITTEN, NULL);
    uint64_t start = now_ns();
    for (; events < PROFILE_OUTSTANDING; events++)
        submit_next(&writer, &tickets[events]);
    for (; events % CHUNK != 0 || now_ns() - start < duration_ns; events++) {
        collect(tickets[events % PROFILE_OUTSTANDING]);
        submit_next(&writer, &tickets[events % PROFILE_OUTSTANDING]);
    }
    for (unsigned place = 0; place < PROFILE_OUTSTANDING; place++)
        collect(tickets[place]);
    print_profile(events, now_ns() - start);
    writer_close(&writer);
}
