/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring: rounds in which what is measured, its physical floor and its peers take turns, so that a machine that is
 * busy for a while is busy for all of them; medians and quartiles of the rounds; one line of JSON for each figure.
 *
 *     round 0 (not counted)   fbat  floor  peer
 *     round 1                 floor peer   fbat
 *     round 2                 peer  fbat   floor    ...
 *
 * Rounds are short, a few milliseconds, and many: what a busy machine takes away falls into a few of them, and the
 * median does not see it. The ratio to the floor is the median of the ratios of each round, not the ratio of the
 * medians.
 *
 * Latencies are sampled apart from the rounds, since reading the clock around each operation would be part of a short
 * one. What a reading costs is subtracted from each sample. Only what takes many times longer, and pairs, are timed
 * within their rounds.
 */
#ifndef FBAT_BENCH_HARNESS_H
#define FBAT_BENCH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "histogram.h"

enum { SERIES_MAX = 64, ROUNDS_MIN = 3, PEERS_MAX = 4, NOTE_BYTES = 240 };

/* What a run of count operations took, in one figure. */
enum unit { UNIT_US, UNIT_MS, UNIT_PER_SECOND, UNIT_BYTES };

/* One value for each round. */
struct series {
    double values[SERIES_MAX];
    unsigned count;
};

void series_add(struct series *series, double value);

/* 0 = the least, 0.5 = the median, 1 = the greatest; NaN when there is none. */
double series_quantile(const struct series *series, double quantile);

/* Most (for a rate: least) that the figure, and its ratio to the floor, may be. 0: no goal. Where the row has a limit,
 * a figure that reaches that satisfies the ratio too: more cannot be had from the machine. */
struct goal {
    double value;
    double ratio;
};

/* Does count operations and answers the nanoseconds they took. One that would disturb the others, because it leaves
 * work to the disk, or the caches full of its own, is measured apart: after their rounds, in as many of its own. */
struct subject {
    uint64_t (*run)(void *user, uint64_t count);
    void *user;
    uint64_t count;
    bool apart;
};

#define SUBJECT(run_, user_, count_) ((struct subject){.run = (run_), .user = (user_), .count = (count_)})

struct row {
    const char *name;
    enum unit unit;
    const char *against; /* what the floor is, in a word for the goal; NULL: "floor" */
    struct goal due;     /* what this version must reach */
    struct goal brief;   /* what the design asks of the finished thing */
    struct series fbat, floor, ratio;
    struct peer {
        const char *name;
        struct subject subject;
        struct series series;
    } peers[PEERS_MAX];
    unsigned peer_count;
    const struct peer *limit;       /* the peer that is the machine's limit; NULL: none */
    struct histogram latency;       /* single operations, nanoseconds; empty: not sampled */
    struct histogram floor_latency; /* likewise */
    const char *operation;          /* what a sample is, where it is not one event: "batch" */
    char note[NOTE_BYTES];
};

/* Rounds to do: as many as said, or a third of them in quick mode (BENCH_QUICK in the environment), at least 3. A row
 * that takes longer than 5 seconds (quick: 1) ends after the round it is in, with at least 3. */
unsigned harness_rounds(unsigned rounds);
bool harness_is_quick(void);

/* A peer to measure beside fbat in the row's rounds. A peer without a run is left out. */
void row_add_peer(struct row *row, const char *name, struct subject subject);

/* Fills the row's series in interleaved rounds. A floor without a run is left out. */
void row_run_rounds(struct row *row, struct subject fbat, struct subject floor, unsigned rounds);

/* Fills the row's histograms: about `samples` operations of each (quick: a quarter), in turns. A subject's count is how
 * many events one operation is. A floor without a run is left out. */
void row_sample(struct row *row, struct subject fbat, struct subject floor, uint64_t samples);

/* For two ways that differ by little: one operation of each, in random order, over and over within one loop, so that
 * whatever disturbs one disturbs the other as often. Fills series and histograms of both; the second is the floor. A
 * round is `pairs` of them. */
void row_run_pairs(struct row *row, struct subject fbat, struct subject other, uint64_t pairs, unsigned rounds);

/* row_run_rounds, then row_print. */
void row_measure(struct row *row, struct subject fbat, struct subject floor, unsigned rounds);

/* Prints a row whose series the caller filled, as a line of JSON. Ratios are computed where there are none. */
void row_print(struct row *row);

uint64_t now_ns(void);

/* What one now_ns() costs, measured at the first call. */
uint64_t clock_cost_ns(void);

/* A sample without the clock's share. */
uint64_t without_clock(uint64_t sample_ns);

/* Ends the program with a message when status is an error. */
void check_fbat(int status, const struct fbat_error *error, const char *what);
void check_system(bool good, const char *what);
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs fn in a forked child and hands back what it answered; the child starts with the memory of a small process. */
uint64_t measure_in_child(uint64_t (*fn)(void *user), void *user);

#endif
