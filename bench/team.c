/* SPDX-License-Identifier: Apache-2.0 */
/* Each thread takes its own times: with more threads than cores, the one that started them may not run for a while. */
#include "team.h"

#include <pthread.h>

#include "harness.h"

struct member {
    pthread_barrier_t *gate;
    void (*work)(void *user, unsigned number);
    void *user;
    unsigned number;
    uint64_t start_ns, end_ns;
};

static void *run_member(void *argument) {
    struct member *member = argument;
    pthread_barrier_wait(member->gate);
    member->start_ns = now_ns();
    member->work(member->user, member->number);
    member->end_ns = now_ns();
    return NULL;
}

uint64_t team_run(unsigned thread_count, void (*work)(void *user, unsigned number), void *user) {
    pthread_t threads[TEAM_MAX];
    struct member members[TEAM_MAX];
    pthread_barrier_t gate;
    check_system(pthread_barrier_init(&gate, NULL, thread_count) == 0, "make a barrier");
    for (unsigned at = 0; at < thread_count; at++) {
        members[at] = (struct member){.gate = &gate, .work = work, .user = user, .number = at};
        check_system(pthread_create(&threads[at], NULL, run_member, &members[at]) == 0, "start a thread");
    }
    uint64_t start_ns = UINT64_MAX, end_ns = 0;
    for (unsigned at = 0; at < thread_count; at++) {
        pthread_join(threads[at], NULL);
        start_ns = members[at].start_ns < start_ns ? members[at].start_ns : start_ns;
        end_ns = members[at].end_ns > end_ns ? members[at].end_ns : end_ns;
    }
    pthread_barrier_destroy(&gate);
    return end_ns - start_ns;
}
