/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every entry point asks first: is there a handle, and does it belong to this process?
 */
#ifndef FBAT_API_HANDLE_H
#define FBAT_API_HANDLE_H

#include <fbat/fbat.h>

/* Notes the process a new handle belongs to. */
void handle_adopt(struct fbat_store *store);

/* FBAT_OK; FBAT_ERR_ARGUMENT for NULL; FBAT_ERR_FORKED in a child of the process that opened the store. */
int handle_check(const struct fbat_store *store, struct fbat_error *error);

/* The same for what belongs to a handle and may outlive it: FBAT_OK or FBAT_ERR_FORKED. */
int handle_check_generation(unsigned fork_generation, struct fbat_error *error);

/* The same for calls that write: FBAT_ERR_READ_ONLY too. */
int handle_check_writable(const struct fbat_store *store, struct fbat_error *error);

#endif
