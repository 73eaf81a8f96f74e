/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times: see times.h. The calendar is computed here and not by the C library: it depends on no time zone and no
 * locale, and takes nanoseconds rather than microseconds. Pure but for the clocks; any thread.
 */
#include "times.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define DAY_SECONDS INT64_C(86400)
#define DAYS_PER_ERA 146097 /* 400 Gregorian years */

/* Days from 1970-01-01, by counting years from March so that the leap day comes last. */
static int64_t days_of_date(int year, int month, int day) {
    int shifted = month <= 2 ? year - 1 : year;
    int era = (shifted >= 0 ? shifted : shifted - 399) / 400;
    int year_of_era = shifted - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * DAYS_PER_ERA + day_of_era - 719468;
}

static void date_of_days(int64_t days, int *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
    int day_of_era = (int)(days - era * DAYS_PER_ERA);
    int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int shifted_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    *month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    *year = year_of_era + (int)era * 400 + (*month <= 2);
}

static int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* count digits at *at, or -1. */
static int take_digits(const char **at, const char *end, int count) {
    int value = 0;
    if (end - *at < count)
        return -1;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool take_character(const char **at, const char *end, char expected) {
    if (*at == end || **at != expected)
        return false;
    (*at)++;
    return true;
}

static bool take_date(const char **at, const char *end, int64_t *out_days) {
    int year = take_digits(at, end, 4);
    if (year < 0 || !take_character(at, end, '-'))
        return false;
    int month = take_digits(at, end, 2);
    if (month < 1 || month > 12 || !take_character(at, end, '-'))
        return false;
    int day = take_digits(at, end, 2);
    if (day < 1 || day > days_in_month(year, month))
        return false;
    *out_days = days_of_date(year, month, day);
    return true;
}

/* Digits after the point, at least one, cut to six. */
static bool take_fraction(const char **at, const char *end, int64_t *out_us) {
    int64_t us = 0, unit = SECOND_US / 10;
    const char *start = *at;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
        us += unit * (**at - '0');
    *out_us = us;
    return *at > start;
}

static bool take_clock(const char **at, const char *end, int64_t *out_us) {
    int64_t fraction = 0;
    int hour = take_digits(at, end, 2);
    if (hour < 0 || hour > 23 || !take_character(at, end, ':'))
        return false;
    int minute = take_digits(at, end, 2);
    if (minute < 0 || minute > 59 || !take_character(at, end, ':'))
        return false;
    int second = take_digits(at, end, 2); /* 60 is a leap second, and the next minute's first for us */
    if (second < 0 || second > 60)
        return false;
    if (take_character(at, end, '.') && !take_fraction(at, end, &fraction))
        return false;
    *out_us = (hour * 3600 + minute * 60 + second) * SECOND_US + fraction;
    return true;
}

/* Seconds east of UTC. */
static bool take_offset(const char **at, const char *end, int64_t *out_seconds) {
    *out_seconds = 0;
    if (take_character(at, end, 'Z') || take_character(at, end, 'z'))
        return true;
    int64_t sign = take_character(at, end, '-') ? -1 : 1;
    if (sign > 0 && !take_character(at, end, '+'))
        return false;
    int hours = take_digits(at, end, 2);
    if (hours < 0 || hours > 23 || !take_character(at, end, ':'))
        return false;
    int minutes = take_digits(at, end, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *out_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool time_parse(const char *text, size_t size, int64_t *out_us) {
    const char *at = text, *end = text + size;
    int64_t days, clock_us, offset;
    if (!take_date(&at, end, &days) || (!take_character(&at, end, 'T') && !take_character(&at, end, 't')))
        return false;
    if (!take_clock(&at, end, &clock_us) || !take_offset(&at, end, &offset) || at != end)
        return false;
    int64_t us = (days * DAY_SECONDS - offset) * SECOND_US + clock_us;
    if (us < TIME_US_MIN || us > TIME_US_MAX)
        return false;
    *out_us = us;
    return true;
}

static char *put_digits(char *to, int value, int count) {
    for (int i = count - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + count;
}

static char *put_clock(char *to, int seconds) {
    to = put_digits(to, seconds / 3600, 2);
    *to++ = ':';
    to = put_digits(to, seconds / 60 % 60, 2);
    *to++ = ':';
    return put_digits(to, seconds % 60, 2);
}

size_t time_format(int64_t us, char out_text[TIME_TEXT_SIZE]) {
    int64_t clamped = us < TIME_US_MIN ? TIME_US_MIN : us > TIME_US_MAX ? TIME_US_MAX : us;
    int64_t day_us = DAY_SECONDS * SECOND_US;
    int64_t days = clamped / day_us - (clamped % day_us < 0);
    int64_t rest = clamped - days * day_us;
    int fraction = (int)(rest % SECOND_US), year, month, day;
    date_of_days(days, &year, &month, &day);
    char *to = put_digits(out_text, year, 4);
    *to++ = '-';
    to = put_digits(to, month, 2);
    *to++ = '-';
    to = put_digits(to, day, 2);
    *to++ = 'T';
    to = put_clock(to, (int)(rest / SECOND_US));
    if (fraction != 0) {
        *to++ = '.';
        to = fraction % 1000 == 0 ? put_digits(to, fraction / 1000, 3) : put_digits(to, fraction, 6);
    }
    *to++ = 'Z';
    *to = '\0';
    return (size_t)(to - out_text);
}

static int64_t unit_seconds(char unit) {
    switch (unit) {
    case 's': return 1;
    case 'm': return 60;
    case 'h': return 3600;
    case 'd': return DAY_SECONDS;
    case 'w': return 7 * DAY_SECONDS;
    default: return 0;
    }
}

/* "-90s" and its like: the age and its unit, then nothing. */
static bool parse_age(const char *text, int64_t *out_us) {
    if (text[0] != '-' || text[1] < '0' || text[1] > '9')
        return false;
    char *end;
    errno = 0;
    long long amount = strtoll(text + 1, &end, 10);
    int64_t seconds = unit_seconds(*end);
    if (errno != 0 || seconds == 0 || end[1] != '\0' || amount > TIME_US_MAX / SECOND_US / seconds)
        return false;
    *out_us = time_now_us() - amount * seconds * SECOND_US;
    return true;
}

bool time_parse_bound(const char *text, bool end, int64_t *out_us) {
    const char *at = text, *text_end = text + strlen(text);
    int64_t days;
    if (strcmp(text, "now") == 0) {
        *out_us = time_now_us();
        return true;
    }
    if (take_date(&at, text_end, &days) && at == text_end) {
        *out_us = days * DAY_SECONDS * SECOND_US + (end ? DAY_SECONDS * SECOND_US - 1 : 0);
        return true;
    }
    return parse_age(text, out_us) || time_parse(text, strlen(text), out_us);
}

int64_t time_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}

double time_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
