/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of events to append that outlive the caller's. Any thread. */
#ifndef FBAT_WRITE_EVENT_COPY_H
#define FBAT_WRITE_EVENT_COPY_H

#include <stddef.h>

#include <fbat/fbat.h>

/* Bytes that event_copy needs for the events, themselves included. The events were validated, so this cannot overflow. */
size_t event_copy_bytes(const struct fbat_new_event *events, size_t count);

/* Copies events and all they point to into memory of that size, aligned as malloc's. The copies start at its beginning. */
struct fbat_new_event *event_copy(const struct fbat_new_event *events, size_t count, void *memory);

/* The same for conditions. */
size_t condition_copy_bytes(const struct fbat_condition *conditions, size_t count);
struct fbat_condition *condition_copy(const struct fbat_condition *conditions, size_t count, void *memory);

#endif
