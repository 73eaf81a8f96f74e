/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounds, quantiles and JSON lines. One thread; families that need threads start them inside a subject's run.
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

static int compare_numbers(const void *left, const void *right) {
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

double sorted_quantile(uint64_t *values, uint64_t count, double quantile) {
    qsort(values, count, sizeof *values, compare_numbers);
    return (double)values[(uint64_t)(quantile * (double)(count - 1))];
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

void row_measure(struct row *row, struct subject fbat, struct subject floor, unsigned rounds) {
    uint64_t end = now_ns() + row_budget_ns();
    run_round(row, &fbat, &floor, 0);
    drop_series(row);
    for (unsigned round = 1; round <= rounds && (round <= ROUNDS_MIN || now_ns() < end); round++)
        run_round(row, &fbat, &floor, round);
    for (unsigned peer = 0; peer < row->peer_count; peer++)
        if (row->peers[peer].subject.apart)
            run_peer_apart(&row->peers[peer], row->unit, rounds);
    row_print(row);
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

/* "key": the goal in words, "key_met": whether it is reached; both null without a goal. */
static void print_goal(const struct row *row, const char *key, const char *met_key, const struct goal *goal) {
    char value[64] = "", ratio[64] = "";
    const char *sign = is_rate(row->unit) ? ">=" : "<=";
    if (goal->value > 0)
        snprintf(value, sizeof value, "%s %.10g %s", sign, goal->value, name_unit(row->unit));
    if (goal->ratio > 0)
        snprintf(ratio, sizeof ratio, "%s %.4g x floor", sign, goal->ratio);
    if (!*value && !*ratio) {
        printf(", \"%s\": null, \"%s\": null", key, met_key);
        return;
    }
    char text[160];
    snprintf(text, sizeof text, "%s%s%s", value, *value && *ratio ? ", " : "", ratio);
    bool met = (!*value || reaches(row, series_quantile(&row->fbat, 0.5), goal->value)) &&
               (!*ratio || reaches(row, series_quantile(&row->ratio, 0.5), goal->ratio));
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
    print_string("note", row->note);
    puts("}");
    fflush(stdout);
}

/* ---- latencies ---- */

static const struct percentile {
    const char *name;
    double quantile;
} percentiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}};

enum { PERCENTILE_COUNT = 3, LATENCY_TURN = 50 };

/* One round: single runs of both, in turns of some each, then ranked. */
static void sample_latencies(const struct subject subjects[2], uint64_t *samples[2], uint64_t count) {
    for (uint64_t at = 0; at < count; at += LATENCY_TURN)
        for (unsigned who = 0; who < 2; who++)
            for (uint64_t sample = at; sample < at + LATENCY_TURN && sample < count; sample++)
                samples[who][sample] = subjects[who].run(subjects[who].user, 1);
}

static void add_percentiles(struct row *rows, uint64_t *samples[2], uint64_t count) {
    for (unsigned which = 0; which < PERCENTILE_COUNT; which++) {
        double quantile = percentiles[which].quantile;
        series_add(&rows[which].fbat, sorted_quantile(samples[0], count, quantile) / 1e3);
        series_add(&rows[which].floor, sorted_quantile(samples[1], count, quantile) / 1e3);
    }
}

void latency_measure(const char *name, struct subject fbat, struct subject floor, unsigned rounds) {
    struct row rows[PERCENTILE_COUNT] = {0};
    const struct subject subjects[2] = {fbat, floor};
    char names[PERCENTILE_COUNT][128];
    uint64_t count = harness_is_quick() ? fbat.count / 4 : fbat.count;
    uint64_t *samples[2] = {malloc(count * sizeof(uint64_t)), malloc(count * sizeof(uint64_t))};
    check_system(samples[0] && samples[1], "allocate memory");
    uint64_t end = now_ns() + row_budget_ns();
    for (unsigned round = 0; round < rounds && (round < ROUNDS_MIN || now_ns() < end); round++) {
        sample_latencies(subjects, samples, count);
        add_percentiles(rows, samples, count);
    }
    for (unsigned which = 0; which < PERCENTILE_COUNT; which++) {
        snprintf(names[which], sizeof names[which], "%s, %s", name, percentiles[which].name);
        rows[which].name = names[which];
        rows[which].unit = UNIT_US;
        snprintf(rows[which].note, sizeof rows[which].note, "%llu samples a round", (unsigned long long)count);
        row_print(&rows[which]);
    }
    free(samples[0]);
    free(samples[1]);
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
