/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times as people write them: RFC 3339, dates, and "an hour ago". All values are microseconds since 1970 UTC.
 */
#ifndef FBAT_CLI_TIMES_H
#define FBAT_CLI_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIME_TEXT_SIZE 32

/* The years 0000 to 9999, which is what RFC 3339 can say. */
#define TIME_US_MIN INT64_C(-62167219200000000)
#define TIME_US_MAX INT64_C(253402300799999999)

/* An RFC 3339 time with any offset and fraction, cut to the microsecond. False when it is not one, or when the
 * moment lies outside TIME_US_MIN..TIME_US_MAX in UTC. */
bool time_parse(const char *text, size_t size, int64_t *out_us);

/* The canonical form: UTC with Z, and 0, 3 or 6 digits of fraction, the fewest that say it all. A time out of range
 * is given as the nearest in range. Returns the length. */
size_t time_format(int64_t us, char out_text[TIME_TEXT_SIZE]);

/* The bound of a range: an RFC 3339 time, a date (its first microsecond, or its last if end is set), "now", or an
 * age such as -90s, -5m, -1h, -2d, -3w. */
bool time_parse_bound(const char *text, bool end, int64_t *out_us);

int64_t time_now_us(void);

/* Seconds of a clock that never jumps, for durations. */
double time_monotonic(void);

#endif
