/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight reader processes follow a writer process that rotates small segments, appends in every way there is, and is killed
 * with kill -9 at random moments and started again, on one store. Every reader is a witness: it sees each event once, in
 * order, whole, chained, and what it has seen in the end is what the log holds then, to the last byte. Not only durable
 * events: a kill leaves the page cache alone, so what was visible stays.
 *
 * Half of the lives have a disk whose syncs fail now and then, so that readers follow through segments that were taken
 * over, and some end with a clean close.
 *
 * What the processes share lies in memory that outlives them. `ticks` wakes who waits for something to happen.
 */
#include "fixture.h"

#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

enum {
    READERS = 8,
    STAYING = 4,          /* readers from this number on open the store anew now and then */
    NAP_MS = 20,          /* at most, between two looks of somebody who waits */
    OPERATIONS_MAX = 150, /* of a life: killed after so many at most, as soon as the killer runs */
    OPERATIONS_LEFT = 250 /* more than that it does not begin: the stores stay small */
};

struct report {
    uint64_t seen, digest, looks, opens;
    char complaint[WITNESS_COMPLAINT_SIZE];
};

struct shared {
    _Atomic uint32_t ticks;
    atomic_bool close_now;                  /* the writer is asked to end */
    _Atomic uint64_t operations;            /* of the writer at work */
    _Atomic uint64_t acknowledged;          /* durable, by any writer */
    _Atomic uint64_t log_ends;              /* 0 while there will be more; else 1 + the last sequence */
    char complaint[WITNESS_COMPLAINT_SIZE]; /* a writer's */
    atomic_bool stuck;                      /* the writer at work has stopped accepting appends */
    struct report reports[READERS];
};

struct job {
    struct fixture *fixture;
    struct shared *shared;
    uint64_t seed;
    uint32_t number; /* the reader's, or the writer's life */
    bool syncs_fail;
};

static void tick(struct shared *shared) {
    atomic_fetch_add(&shared->ticks, 1);
    syscall(SYS_futex, &shared->ticks, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* Until something has happened since `seen` was loaded, or for a moment. */
static void await_tick(struct shared *shared, uint32_t seen) {
    const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};
    syscall(SYS_futex, &shared->ticks, FUTEX_WAIT, seen, &nap, NULL, 0);
}

/* ---- the writer ---- */

/* What the writer's end promised. */
static void note_frontier(struct shared *shared, struct fbat_store *store) {
    struct fbat_frontier frontier;
    fbat_frontier(store, &frontier);
    atomic_store(&shared->acknowledged, frontier.durable);
    atomic_fetch_add(&shared->operations, 1);
    tick(shared);
}

/* A sync that fails is the disk's fault, and takes its own appends with it. */
static bool may_fail(const struct job *job, int status) {
    return job->syncs_fail && (status == FBAT_ERR_IO || status == FBAT_ERR_WRITER_DEAD || status == FBAT_ERR_CANCELLED);
}

static int complain_in_writer(const struct job *job, const char *action, int status, const struct fbat_error *error) {
    snprintf(job->shared->complaint, sizeof job->shared->complaint, "life %" PRIu32 ", %s: %s: %.300s", job->number,
             action, fbat_status_name(status), error->message);
    tick(job->shared);
    return 1;
}

static int write_until_killed(void *user, int in, int out) {
    const struct job *job = user;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* where the test fails */
    struct fbat_store *store;
    struct fbat_error error;
    struct author author;
    (void)in;
    author_init(&author, job->seed, job->number, 0);
    author.large_bytes = 20 << 10; /* more than a segment */
    int status = watched_disk_open(&job->fixture->config, &store, &error);
    if (status != FBAT_OK)
        return complain_in_writer(job, "opening", status, &error);
    pipe_send(out);
    for (uint32_t operation = 0; !atomic_load(&job->shared->close_now); operation++) {
        while (operation == OPERATIONS_LEFT && !atomic_load(&job->shared->close_now))
            await_tick(job->shared, atomic_load(&job->shared->ticks));
        if (job->syncs_fail && test_random_one_in(&author.random, 20))
            atomic_store(&watched_disk.syncs_to_fail, 1);
        status = author_act(&author, store, &error);
        if (status != FBAT_OK && !may_fail(job, status))
            return complain_in_writer(job, "appending", status, &error);
        if (status == FBAT_ERR_WRITER_DEAD)
            atomic_store(&job->shared->stuck, true);
        note_frontier(job->shared, store);
    }
    status = fbat_close(store, &error);
    author_deinit(&author);
    return status == FBAT_OK || may_fail(job, status) ? 0 : complain_in_writer(job, "closing", status, &error);
}

/* ---- a reader ---- */

/* Before the first event is durable there may be no store yet, or only half of one. */
static bool open_reader(const struct job *job, struct fbat_store **out_reader, struct witness *witness) {
    struct fbat_error error;
    int status = fbat_open_read_only(&job->fixture->config, out_reader, &error);
    job->shared->reports[job->number].opens++;
    if (status == FBAT_OK)
        return true;
    *out_reader = NULL;
    if ((status == FBAT_ERR_NOT_FOUND || status == FBAT_ERR_NOT_A_STORE) && witness->seen == 0 &&
        atomic_load(&job->shared->operations) == 0)
        return true;
    snprintf(witness->complaint, sizeof witness->complaint, "opening: %s: %.300s", fbat_status_name(status),
             error.message);
    return false;
}

/* All that is new, in one of two ways, and something old. */
static bool look_once(const struct job *job, struct fbat_store *reader, struct witness *witness,
                      struct test_random *random) {
    bool good = (job->number % 2 ? witness_step : witness_look)(witness, reader);
    job->shared->reports[job->number].looks++;
    if (good && test_random_one_in(random, 4))
        good = witness_recall(witness, reader, random);
    if (good && test_random_one_in(random, 60))
        good = witness_read_stream(witness, reader, random);
    return good;
}

/* True as long as there is more to come. */
static bool follow_once(const struct job *job, struct fbat_store **reader, struct witness *witness,
                        struct test_random *random) {
    uint32_t ticks = atomic_load(&job->shared->ticks);
    uint64_t log_ends = atomic_load(&job->shared->log_ends), before = witness->seen;
    if (job->number >= STAYING && *reader && test_random_one_in(random, 30)) {
        (void)fbat_close(*reader, NULL);
        *reader = NULL;
    }
    if (!*reader && !open_reader(job, reader, witness))
        return false;
    if (*reader && !look_once(job, *reader, witness, random))
        return false;
    if (log_ends != 0) {
        if (witness->seen != log_ends - 1)
            snprintf(witness->complaint, sizeof witness->complaint, "sees %" PRIu64 " events of %" PRIu64,
                     witness->seen, log_ends - 1);
        return false;
    }
    if (witness->seen == before)
        await_tick(job->shared, ticks);
    return true;
}

static int read_until_the_end(void *user, int in, int out) {
    const struct job *job = user;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct report *report = &job->shared->reports[job->number];
    struct test_random random = test_random_init(job->seed);
    struct fbat_store *reader = NULL;
    struct witness witness;
    (void)in;
    witness_init(&witness);
    pipe_send(out);
    while (follow_once(job, &reader, &witness, &random))
        continue;
    report->seen = witness.seen;
    report->digest = witness.digest;
    memcpy(report->complaint, witness.complaint, sizeof report->complaint);
    (void)fbat_close(reader, NULL);
    witness_deinit(&witness);
    return witness.complaint[0] != 0;
}

/* ---- the run ---- */

static void vary_config(struct fbat_config *config, struct test_random *random) {
    static const uint64_t segment_sizes[] = {6 << 10, 12 << 10, 60 << 10};
    static const uint32_t counts[] = {1, 20, 1000};
    config->segment_max_bytes = segment_sizes[test_random_below(random, 3)];
    config->sync.every_n_events = counts[test_random_below(random, 3)];
    config->sync.max_delay_ms = (uint32_t)test_random_below(random, 3);
    config->batch.group_commit_max_batch = (uint32_t)test_random_below(random, 2);
    config->writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
    config->writer.restart_policy.max_restarts = 1000;
    config->writer.restart_policy.within_ms = 60000;
}

static bool has_ended(const struct child *child) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child->pid;
}

static void await_operations(struct shared *shared, const struct child *child, uint64_t wanted) {
    uint32_t ticks = atomic_load(&shared->ticks);
    while (atomic_load(&shared->operations) < wanted && !atomic_load(&shared->stuck) && !has_ended(child)) {
        await_tick(shared, ticks);
        ticks = atomic_load(&shared->ticks);
    }
}

/* One writer, from its start to its end: in the middle of its work, right after or within opening, or by a close. */
static void live_once(struct job *job, struct test_random *random) {
    struct shared *shared = job->shared;
    struct child child;
    uint64_t end = test_random_below(random, 10);
    uint64_t base = atomic_load(&shared->operations);
    atomic_store(&shared->close_now, false);
    atomic_store(&shared->stuck, false);
    child_start(&child, write_until_killed, job);
    if (end > 0) {
        (void)pipe_receive(child.from);
        await_operations(shared, &child, base + test_random_below(random, OPERATIONS_MAX));
    }
    for (uint64_t turn = test_random_below(random, 100); turn > 0; turn--)
        sched_yield();
    if (end == 1) {
        atomic_store(&shared->close_now, true);
        tick(shared);
        (void)child_wait(&child);
    } else {
        (void)kill(child.pid, SIGKILL);
        (void)child_wait(&child);
    }
    if (shared->complaint[0])
        fail_msg("%s", shared->complaint);
}

/* What the log holds in the end, as the next writer finds it. */
static void read_final_log(struct fixture *fixture, struct witness *witness) {
    open_store(fixture);
    if (!witness_look(witness, fixture->store))
        fail_msg("the final log: %s", witness->complaint);
    close_store(fixture);
    assert_whole(fixture->dir);
}

static void collect_reader(struct shared *shared, struct child *child, uint32_t number, const struct witness *truth) {
    const struct report *report = &shared->reports[number];
    int status = child_wait(child);
    if (report->complaint[0])
        fail_msg("reader %" PRIu32 ": %s", number, report->complaint);
    assert_int_equal(status, 0);
    assert_int_equal(report->seen, truth->seen);
    assert_int_equal(report->digest, truth->digest);
}

static void run_readers(struct fixture *fixture, uint64_t lives, uint64_t seed) {
    seed = test_seed(seed);
    print_message("seed %" PRIu64 "; FBAT_TEST_SEED=%" PRIu64
                  " tests/api/test_reader_processes replays it, as far as processes do\n",
                  seed, seed);
    struct test_random random = test_random_init(seed);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    struct child readers[READERS];
    struct job jobs[READERS], writer = {.fixture = fixture, .shared = shared};
    for (uint32_t at = 0; at < READERS; at++) {
        jobs[at] = (struct job){.fixture = fixture, .shared = shared, .seed = test_random_u64(&random), .number = at};
        child_start(&readers[at], read_until_the_end, &jobs[at]);
        assert_true(pipe_receive(readers[at].from));
    }
    for (writer.number = 0; writer.number < lives; writer.number++) {
        writer.seed = test_random_u64(&random);
        writer.syncs_fail = test_random_one_in(&random, 2);
        vary_config(&fixture->config, &random);
        live_once(&writer, &random);
    }
    struct witness truth;
    witness_init(&truth);
    read_final_log(fixture, &truth);
    assert_true(truth.seen >= atomic_load(&shared->acknowledged));
    atomic_store(&shared->log_ends, truth.seen + 1);
    tick(shared);
    for (uint32_t at = 0; at < READERS; at++)
        collect_reader(shared, &readers[at], at, &truth);
    print_message("%" PRIu64 " lives, %" PRIu64 " events; reader 0: %" PRIu64 " looks, reader 7: %" PRIu64
                  " looks, opened %" PRIu64 " times\n",
                  lives, truth.seen, shared->reports[0].looks, shared->reports[7].looks, shared->reports[7].opens);
    witness_deinit(&truth);
    munmap(shared, sizeof *shared);
}

static void readers_agree_with_the_log_whatever_happens_to_the_writer(void **state) {
    run_readers(*state, test_scaled(8), 9301);
}

static void readers_agree_with_the_log_in_memory(void **state) {
    run_readers(*state, test_scaled(14), 9302);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(readers_agree_with_the_log_whatever_happens_to_the_writer),
        behaviour_in_memory(readers_agree_with_the_log_in_memory),
    };
    return cmocka_run_group_tests_name("api: reader processes", tests, NULL, NULL);
}
