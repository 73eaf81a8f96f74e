/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress bar: see progress.h.
 *
 * There is one terminal, so there is one bar, and its state is this file's. Main thread only. Where standard error
 * is no terminal nothing is ever printed.
 */
#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text.h"
#include "times.h"

#define DRAW_INTERVAL_SECONDS 0.1
#define BAR_CELLS 24

static struct {
    bool enabled;
    bool shown;
    const char *label;
    const char *noun;
    uint64_t bytes_total;
    double started;
    double drawn;
} bar;

void progress_start(const char *label, const char *noun, uint64_t bytes_total) {
    memset(&bar, 0, sizeof bar);
    bar.enabled = isatty(STDERR_FILENO) == 1;
    bar.label = label;
    bar.noun = noun;
    bar.bytes_total = bytes_total;
    bar.started = time_monotonic();
    bar.drawn = bar.started;
}

static void draw_cells(uint64_t done, uint64_t total) {
    char cells[BAR_CELLS + 1];
    size_t filled = done >= total ? BAR_CELLS : (size_t)((double)done / (double)total * BAR_CELLS);
    memset(cells, '.', BAR_CELLS);
    memset(cells, '#', filled);
    cells[BAR_CELLS] = '\0';
    fprintf(stderr, "[%s] %3.0f%%  ", cells, done >= total ? 100.0 : (double)done / (double)total * 100);
}

static void draw_time_left(uint64_t done, uint64_t total, double elapsed) {
    if (done == 0 || done >= total)
        return;
    unsigned left = (unsigned)(elapsed / (double)done * (double)(total - done) + 0.5);
    fprintf(stderr, "  %u:%02u left", left / 60, left % 60);
}

static void draw_bar(uint64_t done, uint64_t total, uint64_t count, double now) {
    char text[NUMBER_TEXT_SIZE], rate[NUMBER_TEXT_SIZE];
    double elapsed = now - bar.started;
    fprintf(stderr, "\r\033[K%s  ", bar.label);
    if (total > 0)
        draw_cells(done, total);
    if (bar.noun != NULL)
        fprintf(stderr, "%s %s  %s/s", number_grouped(count, text), bar.noun,
                number_grouped((uint64_t)((double)count / elapsed), rate));
    else
        fprintf(stderr, "%s  %s/s", number_of_bytes(done, text),
                number_of_bytes((uint64_t)((double)done / elapsed), rate));
    if (total > 0)
        draw_time_left(done, total, elapsed);
    fflush(stderr);
}

void progress_update(uint64_t bytes_done, uint64_t bytes_total, uint64_t count) {
    if (!bar.enabled)
        return;
    double now = time_monotonic();
    if (now - bar.drawn < DRAW_INTERVAL_SECONDS)
        return;
    bar.drawn = now;
    bar.shown = true;
    draw_bar(bytes_done, bytes_total > 0 ? bytes_total : bar.bytes_total, count, now);
}

void progress_clear(void) {
    if (bar.shown)
        fputs("\r\033[K", stderr);
    bar.shown = false;
}

void progress_stop(void) {
    progress_clear();
    bar.enabled = false;
}
