/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watched disk: the system's, with syncs that can be counted, held up and made to fail. Nothing in the public header can
 * make a sync fail, so a store on it is opened below that; it is used through the public header like any other.
 *
 * Thread rule: opening one at a time; the rest from any thread.
 */
#ifndef FBAT_TESTS_SUPPORT_WATCHED_DISK_H
#define FBAT_TESTS_SUPPORT_WATCHED_DISK_H

#include <stdatomic.h>

#include <fbat/fbat.h>

#include "gate.h"

struct watched_disk {
    atomic_uint syncs;          /* of files, since the start of the test */
    atomic_uint syncs_to_fail;  /* the next so many syncs of files answer EIO, without doing anything */
    atomic_uint writes_to_fail; /* the next so many writes answer EIO, after half of the bytes */
};

extern struct watched_disk watched_disk;
extern struct gate sync_gate; /* every sync of a file on it */

/* As at the start of a test: nothing counted, nothing to fail. */
void watched_disk_reset(void);

/* As fbat_open, on it. */
int watched_disk_open(const struct fbat_config *config, struct fbat_store **out_store, struct fbat_error *error);

#endif
