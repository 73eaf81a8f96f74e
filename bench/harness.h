/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring: rounds in which what is measured, its physical floor and its peers take turns, so that a machine that is
 * busy for a while is busy for all of them; medians and quartiles of the rounds; one line of JSON for each figure.
 *
 *     round 0 (not counted)   fbat  floor  peer
 *     round 1                 floor peer   fbat
 *     round 2                 peer  fbat   floor    ...
 *
 * Rounds are short, a few milliseconds, and many: what a busy machine takes away falls into a few of them, and the median
 * does not see it. The ratio to the floor is the median of the ratios of each round, not the ratio of the medians.
 */
#ifndef FBAT_BENCH_HARNESS_H
#define FBAT_BENCH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

enum { SERIES_MAX = 64, ROUNDS_MIN = 3, PEERS_MAX = 3, NOTE_BYTES = 240 };

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

/* The quantile of numbers that are sorted here, in place. */
double sorted_quantile(uint64_t *values, uint64_t count, double quantile);

/* Most (for a rate: least) that the figure, and its ratio to the floor, may be. 0: no goal. */
struct goal {
    double value;
    double ratio;
};

/* Does count operations and answers the nanoseconds they took. One that would disturb the others, because it leaves work
 * to the disk, or the caches full of its own, is measured apart: after their rounds, in as many of its own. */
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
    struct goal due;   /* what this version must reach */
    struct goal brief; /* what the design asks of the finished thing */
    struct series fbat, floor, ratio;
    struct peer {
        const char *name;
        struct subject subject;
        struct series series;
    } peers[PEERS_MAX];
    unsigned peer_count;
    char note[NOTE_BYTES];
};

/* Rounds to do: as many as said, or a third of them in quick mode (BENCH_QUICK in the environment), at least 3. A row
 * that takes longer than 5 seconds (quick: 1) ends after the round it is in, with at least 3. */
unsigned harness_rounds(unsigned rounds);
bool harness_is_quick(void);

/* A peer to measure beside fbat in row_measure. A peer without a run is left out. */
void row_add_peer(struct row *row, const char *name, struct subject subject);

/* Fills the row's series in interleaved rounds, and prints it. A floor without a run is left out. */
void row_measure(struct row *row, struct subject fbat, struct subject floor, unsigned rounds);

/* Times fbat.count single runs of each in every round (quick: a quarter); prints three rows, for p50, p99 and p99.9, in microseconds. */
void latency_measure(const char *name, struct subject fbat, struct subject floor, unsigned rounds);

/* Prints a row whose series the caller filled, as a line of JSON. Ratios are computed where there are none. */
void row_print(struct row *row);

uint64_t now_ns(void);

/* Ends the program with a message when status is an error. */
void check_fbat(int status, const struct fbat_error *error, const char *what);
void check_system(bool good, const char *what);
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs fn in a forked child and hands back what it answered; the child starts with the memory of a small process. */
uint64_t measure_in_child(uint64_t (*fn)(void *user), void *user);

#endif
