/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `fbat import` of a history, as a user runs it: a new process, a new store, the file read, everything durable at its
 * end. Wall-clock time of the whole process.
 *
 * From the environment: FBAT, the command; BENCH_IMPORT, the file of CloudEvents lines; BENCH_IMPORT_NAME, what it is
 * called in the figures.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "families.h"
#include "harness.h"
#include "workload.h"

extern char **environ;

struct import {
    const char *command, *file;
    uint8_t *buffer; /* room for the file */
    size_t bytes;
    uint64_t line_count;
};

static uint64_t import_once(void *user, uint64_t count) {
    struct import *import = user;
    char directory[PATH_BYTES];
    int status;
    pid_t child;
    (void)count;
    bench_store_remove("import");
    data_path("import", directory);
    const char *const arguments[] = {import->command, "import", directory, import->file, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    uint64_t start = now_ns();
    int error = posix_spawn(&child, import->command, &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    if (error != 0)
        bench_die("start %s: %s", import->command, strerror(error));
    check_system(waitpid(child, &status, 0) == child, "waitpid");
    uint64_t taken = now_ns() - start;
    posix_spawn_file_actions_destroy(&actions);
    if (status != 0)
        bench_die("%s import ended with status %d", import->command, status);
    return taken;
}

static void read_whole_file(struct import *import) {
    int descriptor = open(import->file, O_RDONLY | O_CLOEXEC);
    check_system(descriptor >= 0, import->file);
    for (size_t done = 0; done < import->bytes;) {
        ssize_t here = read(descriptor, import->buffer + done, import->bytes - done);
        check_system(here > 0, import->file);
        done += (size_t)here;
    }
    close(descriptor);
}

static uint64_t count_lines(const struct import *import) {
    uint64_t count = 0;
    const uint8_t *at = import->buffer, *end = at + import->bytes;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        count++;
        at++;
    }
    return count;
}

/* Read the file, find its lines, hash its bytes. */
static uint64_t read_and_hash(void *user, uint64_t count) {
    struct import *import = user;
    uint8_t hash[EVP_MAX_MD_SIZE];
    uint64_t start = now_ns();
    read_whole_file(import);
    if (count_lines(import) != count || EVP_Digest(import->buffer, import->bytes, hash, NULL, EVP_sha256(), NULL) != 1)
        bench_die("%s changed", import->file);
    return now_ns() - start;
}

static void import_prepare(struct import *import) {
    struct stat status;
    check_system(stat(import->file, &status) == 0, import->file);
    import->bytes = (size_t)status.st_size;
    import->buffer = malloc(import->bytes);
    check_system(import->buffer != NULL, "allocate memory");
    read_whole_file(import);
    import->line_count = count_lines(import);
}

void family_import(void) {
    struct import import = {.command = getenv("FBAT"), .file = getenv("BENCH_IMPORT")};
    const char *title = getenv("BENCH_IMPORT_NAME");
    char names[2][128];
    if (!import.command || !import.file)
        bench_die("import needs FBAT and BENCH_IMPORT in the environment");
    import_prepare(&import);
    snprintf(names[0], sizeof names[0], "import of %s, median", title ? title : "a history");
    snprintf(names[1], sizeof names[1], "import of %s, best", title ? title : "a history");
    struct row row = {.name = names[0], .unit = UNIT_PER_SECOND, .due = {150000, 0}};
    struct row best = {.name = names[1], .unit = UNIT_PER_SECOND, .due = {150000, 0}};
    snprintf(row.note, sizeof row.note, "%llu lines; the floor reads the file, finds its lines and hashes its bytes",
             (unsigned long long)import.line_count);
    row_measure(&row, SUBJECT(import_once, &import, import.line_count),
                SUBJECT(read_and_hash, &import, import.line_count), harness_rounds(15));
    series_add(&best.fbat, series_quantile(&row.fbat, 1));
    row_print(&best);
    free(import.buffer);
    bench_store_remove("import");
}
