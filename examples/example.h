/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the examples share, and what a program of yours would have already: a place to work in, and a way to stop when
 * something is wrong. Everything about fbat is in the .c files.
 *
 * Each example takes the directory of a store as its argument and leaves it there; without one it works in a directory
 * of its own under $TMPDIR and removes it at the end. All of them check what they say, and end with status 1 when it
 * is not so.
 *
 * Included first, because what it asks of the system's headers must be asked before any of them.
 */
#ifndef FBAT_EXAMPLE_H
#define FBAT_EXAMPLE_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <dirent.h>
#include <fbat/fbat.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct example_place {
    char path[4096];
    int ours; /* 1: made by example_begin, removed by example_end */
};

/* Ends the program unless what is said here is true. */
static inline void require(int is_true, const char *what) {
    if (is_true)
        return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

/* Ends the program unless the call that gave status succeeded. */
static inline void succeed(int status, const struct fbat_error *error) {
    if (status >= 0)
        return;
    fprintf(stderr, "%s: %s\n", fbat_status_name(status), error->message);
    exit(1);
}

static inline void example_begin(struct example_place *place, int argc, char **argv) {
    const char *parent = getenv("TMPDIR");
    if (argc > 1) {
        place->ours = 0;
        require(snprintf(place->path, sizeof place->path, "%s", argv[1]) < (int)sizeof place->path, "a usable path");
        return;
    }
    place->ours = 1;
    require(snprintf(place->path, sizeof place->path, "%s/fbat-example.XXXXXX", parent ? parent : "/tmp") <
                (int)sizeof place->path,
            "a usable TMPDIR");
    require(mkdtemp(place->path) != NULL, "a directory can be made under TMPDIR");
}

/* A store's directory holds plain files only. */
static inline void example_end(const struct example_place *place) {
    DIR *directory = place->ours ? opendir(place->path) : NULL;
    const struct dirent *entry;
    if (!directory)
        return;
    while ((entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            require(unlinkat(dirfd(directory), entry->d_name, 0) == 0, "the store's files can be removed");
    closedir(directory);
    require(rmdir(place->path) == 0, "the directory can be removed");
}

/* Opens the store with the defaults of every setting. */
static inline struct fbat_store *example_open(const struct example_place *place) {
    struct fbat_config config;
    struct fbat_store *store = NULL;
    struct fbat_error error;
    fbat_config_init(&config, place->path);
    succeed(fbat_open(&config, &store, &error), &error);
    return store;
}

static inline void example_close(struct fbat_store *store) {
    struct fbat_error error;
    succeed(fbat_close(store, &error), &error);
}

#endif
