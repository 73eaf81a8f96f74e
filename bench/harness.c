/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds, samples, quantiles and JSON lines. One thread; families that need threads start them inside a subject's run.
 *
 * A failure of what is measured ends the program: half a figure is worse than none.
 */
#include "harness.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_cost_ns(void) {
    enum { READINGS = 10001 };
    static uint64_t cost_ns = UINT64_MAX;
    if (cost_ns != UINT64_MAX)
        return cost_ns;
    struct histogram *costs = histogram_create();
    uint64_t before = now_ns();
    for (unsigned reading = 0; reading < READINGS; reading++) {
        uint64_t now = now_ns();
        histogram_add(costs, now - before);
        before = now;
    }
    cost_ns = (uint64_t)histogram_quantile(costs, 0.5);
    free(costs);
    return cost_ns;
}

uint64_t without_clock(uint64_t sample_ns) {
    uint64_t cost_ns = clock_cost_ns();
    return sample_ns > cost_ns ? sample_ns - cost_ns : 0;
}

void bench_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

void check_fbat(int status, const struct fbat_error *error, const char *what) {
    if (status < 0)
        bench_die("%s: %s", what, error ? error->message : fbat_strerror(status));
}

void check_system(bool good, const char *what) {
    if (!good)
        bench_die("%s: %s", what, strerror(errno));
}

bool harness_is_quick(void) {
    const char *quick = getenv("BENCH_QUICK");
    return quick && *quick && strcmp(quick, "0") != 0;
}

unsigned harness_rounds(unsigned rounds) {
    if (harness_is_quick())
        rounds = rounds / 3 < ROUNDS_MIN ? ROUNDS_MIN : rounds / 3;
    return rounds < SERIES_MAX ? rounds : SERIES_MAX;
}

/* A slow or busy machine gets fewer rounds, not a longer run. */
static uint64_t row_budget_ns(void) {
    return harness_is_quick() ? 1000000000u : 5000000000u;
}

/* ---- series ---- */

void series_add(struct series *series, double value) {
    if (series->count < SERIES_MAX)
        series->values[series->count++] = value;
}

static int compare_doubles(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double series_quantile(const struct series *series, double quantile) {
    if (series->count == 0)
        return NAN;
    struct series sorted = *series;
    qsort(sorted.values, sorted.count, sizeof sorted.values[0], compare_doubles);
    double place = quantile * (sorted.count - 1);
    unsigned below = (unsigned)place, above = below + 1 < sorted.count ? below + 1 : below;
    return sorted.values[below] + (place - below) * (sorted.values[above] - sorted.values[below]);
}

/* ---- rounds ---- */

static bool is_rate(enum unit unit) {
    return unit == UNIT_PER_SECOND;
}

static double run_once(const struct subject *subject, enum unit unit) {
    double ns = (double)subject->run(subject->user, subject->count), each = ns / (double)subject->count;
    switch (unit) {
    case UNIT_PER_SECOND: return 1e9 / each;
    case UNIT_US: return each / 1e3;
    case UNIT_MS: return each / 1e6;
    case UNIT_BYTES: break;
    }
    return each;
}

void row_add_peer(struct row *row, const char *name, struct subject subject) {
    if (!subject.run)
        return;
    if (row->peer_count == PEERS_MAX)
        bench_die("more peers than %d for %s", PEERS_MAX, row->name);
    row->peers[row->peer_count++] = (struct peer){.name = name, .subject = subject};
}

/* Everyone once, starting with another one each round; the series of round 0 are dropped by the caller. */
static void run_round(struct row *row, const struct subject *fbat, const struct subject *floor, unsigned round) {
    unsigned turns = 2 + row->peer_count;
    for (unsigned turn = 0; turn < turns; turn++) {
        unsigned who = (round + turn) % turns;
        if (who == 0)
            series_add(&row->fbat, run_once(fbat, row->unit));
        else if (who == 1 && floor->run)
            series_add(&row->floor, run_once(floor, row->unit));
        else if (who > 1 && !row->peers[who - 2].subject.apart)
            series_add(&row->peers[who - 2].series, run_once(&row->peers[who - 2].subject, row->unit));
    }
}

static void run_peer_apart(struct peer *peer, enum unit unit, unsigned rounds) {
    uint64_t end = now_ns() + row_budget_ns() / 2;
    (void)run_once(&peer->subject, unit);
    for (unsigned round = 0; round < rounds && (round < ROUNDS_MIN || now_ns() < end); round++)
        series_add(&peer->series, run_once(&peer->subject, unit));
}

static void drop_series(struct row *row) {
    row->fbat.count = row->floor.count = 0;
    for (unsigned peer = 0; peer < row->peer_count; peer++)
        row->peers[peer].series.count = 0;
}

void row_run_rounds(struct row *row, struct subject fbat, struct subject floor, unsigned rounds) {
    uint64_t end = now_ns() + row_budget_ns();
    run_round(row, &fbat, &floor, 0);
    drop_series(row);
    for (unsigned round = 1; round <= rounds && (round <= ROUNDS_MIN || now_ns() < end); round++)
        run_round(row, &fbat, &floor, round);
    for (unsigned peer = 0; peer < row->peer_count; peer++)
        if (row->peers[peer].subject.apart)
            run_peer_apart(&row->peers[peer], row->unit, rounds);
}

void row_measure(struct row *row, struct subject fbat, struct subject floor, unsigned rounds) {
    row_run_rounds(row, fbat, floor, rounds);
    row_print(row);
}

/* ---- single operations ---- */

enum { SAMPLES_A_TURN = 50 };

static uint64_t sample_once(const struct subject *subject, struct histogram *histogram) {
    uint64_t ns = without_clock(subject->run(subject->user, subject->count));
    histogram_add(histogram, ns);
    return ns;
}

void row_sample(struct row *row, struct subject fbat, struct subject floor, uint64_t samples) {
    uint64_t end = now_ns() + row_budget_ns(), wanted = harness_is_quick() ? samples / 4 : samples;
    for (uint64_t done = 0; done < wanted && now_ns() < end; done += SAMPLES_A_TURN) {
        for (unsigned sample = 0; sample < SAMPLES_A_TURN; sample++)
            (void)sample_once(&fbat, &row->latency);
        for (unsigned sample = 0; floor.run && sample < SAMPLES_A_TURN; sample++)
            (void)sample_once(&floor, &row->floor_latency);
    }
}

static uint64_t next_bits(void) {
    static uint64_t bits = 0x2545F4914F6CDD1Du;
    bits ^= bits << 13;
    bits ^= bits >> 7;
    return bits ^= bits << 17;
}

static void run_pairs_once(struct row *row, const struct subject subjects[2], uint64_t pairs) {
    struct histogram *histograms[2] = {&row->latency, &row->floor_latency};
    uint64_t sums[2] = {0, 0};
    for (uint64_t pair = 0; pair < pairs; pair++) {
        unsigned first = next_bits() & 1;
        sums[first] += sample_once(&subjects[first], histograms[first]);
        sums[!first] += sample_once(&subjects[!first], histograms[!first]);
    }
    series_add(&row->fbat, (double)sums[0] / (double)(pairs * subjects[0].count) / 1e3);
    series_add(&row->floor, (double)sums[1] / (double)(pairs * subjects[1].count) / 1e3);
}

void row_run_pairs(struct row *row, struct subject fbat, struct subject other, uint64_t pairs, unsigned rounds) {
    const struct subject subjects[2] = {fbat, other};
    uint64_t end = now_ns() + row_budget_ns();
    run_pairs_once(row, subjects, pairs);
    drop_series(row);
    histogram_clear(&row->latency);
    histogram_clear(&row->floor_latency);
    for (unsigned round = 0; round < rounds && (round < ROUNDS_MIN || now_ns() < end); round++)
        run_pairs_once(row, subjects, pairs);
}

/* ---- JSON ---- */

static const char *name_unit(enum unit unit) {
    static const char *const names[] = {"us", "ms", "events/s", "B"};
    return names[unit];
}

static void print_string(const char *key, const char *text) {
    printf(", \"%s\": \"", key);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text >= ' ')
            putchar(*text);
    putchar('"');
}

static void print_number(const char *key, double value) {
    if (isnan(value))
        printf(", \"%s\": null", key);
    else
        printf(", \"%s\": %.6g", key, value);
}

static void print_spread(const char *key, const struct series *series) {
    if (series->count == 0)
        return;
    printf(", \"%s\": {\"min\": %.6g, \"q1\": %.6g, \"q3\": %.6g, \"max\": %.6g}", key, series_quantile(series, 0),
           series_quantile(series, 0.25), series_quantile(series, 0.75), series_quantile(series, 1));
}

static bool reaches(const struct row *row, double value, double wanted) {
    return isnan(value) || (is_rate(row->unit) ? value >= wanted : value <= wanted);
}

static bool reaches_ratio(const struct row *row, double wanted) {
    if (reaches(row, series_quantile(&row->ratio, 0.5), wanted))
        return true;
    return row->limit && reaches(row, series_quantile(&row->fbat, 0.5), series_quantile(&row->limit->series, 0.5));
}

/* "key": the goal in words, "key_met": whether it is reached; both null without a goal. */
static void print_goal(const struct row *row, const char *key, const char *met_key, const struct goal *goal) {
    char value[64] = "", ratio[64] = "";
    const char *sign = is_rate(row->unit) ? ">=" : "<=";
    if (goal->value > 0)
        snprintf(value, sizeof value, "%s %.10g %s", sign, goal->value, name_unit(row->unit));
    if (goal->ratio > 0)
        snprintf(ratio, sizeof ratio, "%s %.4g x %s%s", sign, goal->ratio, row->against ? row->against : "floor",
                 row->limit ? " or the CPU's limit" : "");
    if (!*value && !*ratio) {
        printf(", \"%s\": null, \"%s\": null", key, met_key);
        return;
    }
    char text[160];
    snprintf(text, sizeof text, "%s%s%s", value, *value && *ratio ? ", " : "", ratio);
    bool met = (!*value || reaches(row, series_quantile(&row->fbat, 0.5), goal->value)) &&
               (!*ratio || reaches_ratio(row, goal->ratio));
    print_string(key, text);
    printf(", \"%s\": %s", met_key, met ? "true" : "false");
}

static void print_peers(const struct row *row) {
    printf(", \"peers\": {");
    for (unsigned peer = 0; peer < row->peer_count; peer++)
        printf("%s\"%s\": %.6g", peer ? ", " : "", row->peers[peer].name,
               series_quantile(&row->peers[peer].series, 0.5));
    putchar('}');
}

static void fill_ratios(struct row *row) {
    if (row->ratio.count > 0)
        return;
    for (unsigned round = 0; round < row->fbat.count && round < row->floor.count; round++)
        series_add(&row->ratio, row->fbat.values[round] / row->floor.values[round]);
}

static void print_latency(const char *key, const struct histogram *histogram) {
    if (histogram->count == 0)
        return;
    printf(", \"%s\": {\"p50\": %.6g, \"p99\": %.6g, \"p99.9\": %.6g, \"max\": %.6g, \"samples\": %llu}", key,
           histogram_quantile(histogram, 0.5) / 1e3, histogram_quantile(histogram, 0.99) / 1e3,
           histogram_quantile(histogram, 0.999) / 1e3, histogram_quantile(histogram, 1) / 1e3,
           (unsigned long long)histogram->count);
}

void row_print(struct row *row) {
    fill_ratios(row);
    printf("{\"name\": \"%s\"", row->name);
    print_string("unit", name_unit(row->unit));
    print_number("fbat", series_quantile(&row->fbat, 0.5));
    print_number("floor", series_quantile(&row->floor, 0.5));
    print_number("ratio_to_floor", series_quantile(&row->ratio, 0.5));
    print_goal(row, "target", "met", &row->due);
    print_goal(row, "brief", "brief_met", &row->brief);
    printf(", \"rounds\": %u", row->fbat.count);
    print_spread("spread", &row->fbat);
    print_spread("floor_spread", &row->floor);
    print_peers(row);
    print_latency("latency_us", &row->latency);
    print_latency("floor_latency_us", &row->floor_latency);
    print_string("operation", row->operation ? row->operation : "event");
    print_string("against", row->against ? row->against : "floor");
    print_string("note", row->note);
    puts("}");
    fflush(stdout);
}

/* ---- children ---- */

uint64_t measure_in_child(uint64_t (*fn)(void *user), void *user) {
    int ends[2], status;
    uint64_t answer;
    fflush(stdout);
    check_system(pipe(ends) == 0, "pipe");
    pid_t child = fork();
    check_system(child >= 0, "fork");
    if (child == 0) {
        answer = fn(user);
        check_system(write(ends[1], &answer, sizeof answer) == (ssize_t)sizeof answer, "write to the parent");
        _exit(0);
    }
    close(ends[1]);
    bool answered = read(ends[0], &answer, sizeof answer) == (ssize_t)sizeof answer;
    close(ends[0]);
    check_system(waitpid(child, &status, 0) == child, "waitpid");
    if (!answered)
        bench_die("a child ended without an answer");
    return answer;
}
