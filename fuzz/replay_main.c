/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without libFuzzer: over the files given, or found in the folders given; then over random inputs and
 * over changed copies of the valid ones (those files, and the target's own seeds).
 *
 *     fuzz_frame [FILE|FOLDER ...]       replays
 *     fuzz_frame --write FOLDER          writes the target's own seeds there, as a corpus to start from
 *
 * FBAT_TEST_SEED and FBAT_TEST_SCALE as in the tests. An input that fails is written to $TMPDIR/fbat-fuzz-input on the way
 * out, whether by a signal or by a sanitizer.
 *
 * Exit status 0; a failure ends in abort(). Thread rule: one thread.
 */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

enum { INPUT_MAX = 1 << 18, SEEDS_MAX = 256, ROUNDS = 2000, RANDOM_MAX = 600, PATH = TEST_PATH_SIZE };

struct seeds {
    uint8_t *bytes[SEEDS_MAX];
    size_t sizes[SEEDS_MAX];
    size_t count;
};

/* The input that is being run, for the way out. */
static char failed_path[PATH];
static const uint8_t *running;
static size_t running_size;

/* A sanitizer's runtime calls this hook before it ends the process; without one the symbol is not there. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* Only calls that a signal handler may make. */
static void leave_input(void) {
    int file = open(failed_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!running || file < 0 || write(file, running, running_size) != (ssize_t)running_size)
        return;
    static const char text[] = "the input is in ";
    ssize_t written = write(2, text, sizeof text - 1);
    written += write(2, failed_path, strlen(failed_path));
    written += write(2, "\n", 1);
    (void)written;
    running = NULL;
}

static void leave_by_signal(int number) {
    leave_input();
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_failures(void) {
    const char *folder = getenv("TMPDIR");
    snprintf(failed_path, sizeof failed_path, "%s/fbat-fuzz-input", folder && *folder ? folder : "/tmp");
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(leave_input);
    else
        signal(SIGSEGV, leave_by_signal);
    signal(SIGABRT, leave_by_signal);
}

static void keep_seed(struct seeds *seeds, const uint8_t *bytes, size_t size) {
    if (seeds->count == SEEDS_MAX || size == 0)
        return;
    seeds->bytes[seeds->count] = fuzz_copy(bytes, size);
    seeds->sizes[seeds->count++] = size;
}

static void run_exact(const uint8_t *bytes, size_t size) {
    uint8_t *copy = fuzz_copy(bytes, size);
    running = bytes;
    running_size = size;
    (void)LLVMFuzzerTestOneInput(copy, size);
    running = NULL;
    free(copy);
}

/* ---- files ---- */

static size_t replay_file(const char *path, struct seeds *seeds) {
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    run_exact(bytes, size);
    keep_seed(seeds, bytes, size);
    return 1;
}

static size_t replay_path(const char *path, struct seeds *seeds) {
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return replay_file(path, seeds);
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    size_t files = 0;
    for (int at = 0; at < count; at++) {
        char inner[PATH];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[at]->d_name);
        if (entries[at]->d_name[0] != '.')
            files += replay_file(inner, seeds);
        free(entries[at]);
    }
    if (count >= 0)
        free(entries);
    return files;
}

/* ---- made inputs ---- */

static void add_own_seeds(struct seeds *seeds) {
    static uint8_t bytes[INPUT_MAX];
    size_t size;
    for (size_t index = 0; (size = fuzz_seed(index, bytes, sizeof bytes)) > 0; index++) {
        run_exact(bytes, size);
        keep_seed(seeds, bytes, size);
    }
}

static void run_random(struct test_random *random) {
    uint8_t bytes[RANDOM_MAX];
    size_t size = test_random_below(random, sizeof bytes);
    test_random_fill(random, bytes, size);
    run_exact(bytes, size);
}

/* A value that tends to be an edge. */
static uint64_t odd_value(struct test_random *random) {
    static const uint64_t values[] = {0,   1,    7,    8,     63,        64,         255,
                                      256, 4095, 4096, 65535, INT32_MAX, UINT32_MAX, UINT64_MAX};
    uint64_t value = values[test_random_below(random, sizeof values / sizeof values[0])];
    return test_random_one_in(random, 3) ? test_random_u64(random) >> test_random_below(random, 64) : value;
}

static void change_once(struct test_random *random, uint8_t *bytes, size_t *size) {
    size_t at = test_random_below(random, *size), width = (size_t)1 << test_random_below(random, 4);
    uint64_t value = odd_value(random);
    switch (test_random_below(random, 4)) {
    case 0: bytes[at] ^= (uint8_t)(1u << test_random_below(random, 8)); break;
    case 1: bytes[at] = (uint8_t)value; break;
    case 2: /* a number where numbers stand */
        at &= ~(width - 1);
        for (size_t byte = 0; byte < width && at + byte < *size; byte++)
            bytes[at + byte] = (uint8_t)(value >> (8 * byte));
        break;
    default: /* cut, or a piece of it elsewhere */
        if (test_random_one_in(random, 2)) {
            *size = at + 1;
        } else {
            size_t from = test_random_below(random, *size), room = *size - (at > from ? at : from);
            memmove(bytes + at, bytes + from, room < 64 ? room : 64);
        }
    }
}

static void run_changed(struct test_random *random, const struct seeds *seeds) {
    size_t seed = test_random_below(random, seeds->count), size = seeds->sizes[seed];
    uint8_t *bytes = fuzz_copy(seeds->bytes[seed], size);
    for (uint64_t changes = 1 + test_random_below(random, 4); changes > 0; changes--)
        change_once(random, bytes, &size);
    run_exact(bytes, size);
    free(bytes);
}

/* ---- main ---- */

static int write_seeds(const char *folder) {
    static uint8_t bytes[INPUT_MAX];
    size_t size, index = 0;
    for (; (size = fuzz_seed(index, bytes, sizeof bytes)) > 0; index++) {
        char path[PATH];
        snprintf(path, sizeof path, "%s/seed-%zu", folder, index);
        FILE *file = fopen(path, "wb");
        if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
            fprintf(stderr, "cannot write %s\n", path);
            return 2;
        }
    }
    printf("%zu seeds\n", index);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        return write_seeds(argv[2]);
    struct seeds *seeds = calloc(1, sizeof *seeds);
    uint64_t seed = test_seed(1), rounds = test_scaled(ROUNDS);
    struct test_random random = test_random_init(seed);
    size_t files = 0;
    FUZZ_REQUIRE(seeds);
    catch_failures();
    for (int at = 1; at < argc; at++)
        files += replay_path(argv[at], seeds);
    add_own_seeds(seeds);
    printf("seed %llu; replay with FBAT_TEST_SEED\n", (unsigned long long)seed);
    fflush(stdout);
    for (uint64_t round = 0; round < rounds; round++)
        run_random(&random);
    for (uint64_t round = 0; round < rounds && seeds->count > 0; round++)
        run_changed(&random, seeds);
    printf("%zu files, %zu seeds, %llu random and as many changed inputs\n", files, seeds->count,
           (unsigned long long)rounds);
    for (size_t at = 0; at < seeds->count; at++)
        free(seeds->bytes[at]);
    free(seeds);
    return 0;
}
