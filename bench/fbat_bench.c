/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmarks: fbat_bench DATA_DIR FAMILY, one family of figures a process, as lines of JSON on standard output.
 * fbat_bench DATA_DIR profile-WORK repeats one work of the write path for some seconds, for a profiler (bench/profile).
 * bench/run starts it for each family and makes the table. BENCH_QUICK=1 in the environment: fewer rounds.
 */
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "harness.h"
#include "sqlite.h"
#include "workload.h"

static const struct family {
    const char *name;
    void (*run)(void);
} families[] = {
    {"import", family_import},
    {"append", family_append},
    {"durable", family_durable},
    {"submit", family_submit},
    {"read", family_read},
    {"deliver", family_deliver},
    {"open", family_open},
    {"size", family_size},
    {"large", family_large},
    {"profile-append", profile_append},
    {"profile-durable", profile_durable},
    {"profile-submit", profile_submit},
};

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--versions") == 0) {
        printf("fbat %s; %s\n", fbat_version(), sqlite_describe());
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--clock") == 0) {
        printf("%llu\n", (unsigned long long)clock_cost_ns());
        return 0;
    }
    if (argc != 3) {
        fputs("usage: fbat_bench DATA_DIR import|append|durable|submit|read|deliver|open|size|large|profile-...\n",
              stderr);
        return 2;
    }
    workload_set_directory(argv[1]);
    for (unsigned at = 0; at < sizeof families / sizeof families[0]; at++)
        if (strcmp(argv[2], families[at].name) == 0) {
            families[at].run();
            return 0;
        }
    fprintf(stderr, "fbat_bench: no family %s\n", argv[2]);
    return 2;
}
