/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a stream's groups.
 *
 * Happy path: the group that holds the start is found, by hops from group to group, in a footer by halving, because there
 * a stream's groups stand one behind the other. From then on each step reads the next number.
 *
 * Failure modes: none; a mapping that went bad ends the walk early. Thread rule and invariant: in the header.
 */
#include "index/stream_walk.h"

#include <string.h>

static uint32_t row_of(const struct footer_group *group, uint32_t place) {
    return __atomic_load_n(&group->rows[place], __ATOMIC_ACQUIRE);
}

static const struct footer_group *group_after(const struct views *views, const struct footer_group *group) {
    return views_group(views, __atomic_load_n(&group->next, __ATOMIC_ACQUIRE));
}

static const struct footer_group *group_before(const struct views *views, const struct footer_group *group) {
    return views_group(views, group->previous);
}

/* ---- where to begin ---- */

static uint32_t first_group(const struct footer_stream *stream) {
    return __atomic_load_n(&stream->first_group, __ATOMIC_ACQUIRE);
}

static uint32_t last_group(const struct footer_stream *stream) {
    return __atomic_load_n(&stream->last_group, __ATOMIC_ACQUIRE);
}

/* Of a footer's groups from first to last, the last one that begins at or before the row number, or the first one. */
static const struct footer_group *halve(const struct views *views, uint32_t first, uint32_t last, uint32_t number) {
    if (last < first || !views_group(views, last))
        return views_group(views, first);
    while (first < last) {
        uint32_t middle = first + (last - first + 1) / 2;
        if (row_of(views_group(views, middle), 0) <= number)
            first = middle;
        else
            last = middle - 1;
    }
    return views_group(views, first);
}

/* The group from which a walk forward finds the first row behind `low`. */
static const struct footer_group *seek_forward(const struct views *views, const struct footer_stream *stream,
                                               uint32_t low) {
    if (low > 0 && views->groups.mapped)
        return halve(views, first_group(stream), last_group(stream), low);
    const struct footer_group *group = views_group(views, first_group(stream)), *after;
    while (group && low > 0 && (after = group_after(views, group)) && row_of(after, 0) <= low)
        group = after;
    return group;
}

/* The group from which a walk backward finds the last row up to `high`. */
static const struct footer_group *seek_backward(const struct views *views, const struct footer_stream *stream,
                                                uint32_t high) {
    if (views->groups.mapped)
        return halve(views, first_group(stream), last_group(stream), high);
    const struct footer_group *group = views_group(views, last_group(stream)), *before;
    while (group && row_of(group, 0) > high && (before = group_before(views, group)))
        group = before;
    return group;
}

/* ---- walking ---- */

/* Makes `number` the next one, if it goes on from `from` and is in the range. */
static void arrive(struct stream_walk *walk, uint32_t from, uint32_t number) {
    bool goes_on = walk->backward ? number < from && number > walk->low : number > from && number <= walk->high;
    walk->next = goes_on ? number : 0;
}

void stream_walk_step(struct stream_walk *walk) {
    const struct footer_group *group = walk->group;
    uint32_t from = walk->next;
    walk->next = 0;
    if (!group)
        return;
    bool crosses = walk->backward ? walk->place == 0 : walk->place + 1 == FOOTER_GROUP_ROWS;
    if (crosses) {
        group = walk->backward ? group_before(walk->views, group) : group_after(walk->views, group);
        walk->group = group;
        if (!group)
            return;
        walk->place = walk->backward ? FOOTER_GROUP_ROWS - 1 : 0;
        const struct footer_group *ahead =
            walk->backward ? group_before(walk->views, group) : group_after(walk->views, group);
        __builtin_prefetch(ahead);
    } else {
        walk->place += walk->backward ? UINT32_MAX : 1;
    }
    arrive(walk, from, row_of(group, walk->place));
}

/* Within its group to the first row that is in the range. */
static void start_forward(struct stream_walk *walk) {
    uint32_t place = 0, number = 0;
    while (place < FOOTER_GROUP_ROWS && (number = row_of(walk->group, place)) != 0 && number <= walk->low)
        place++;
    walk->place = place < FOOTER_GROUP_ROWS ? place : FOOTER_GROUP_ROWS - 1;
    if (place < FOOTER_GROUP_ROWS) {
        arrive(walk, 0, number);
        return;
    }
    walk->next = walk->low; /* the whole group is before the range: on to the one behind */
    stream_walk_step(walk);
}

static void start_backward(struct stream_walk *walk) {
    uint32_t place = FOOTER_GROUP_ROWS, number;
    while (place > 0) {
        number = row_of(walk->group, --place);
        if (number != 0 && number <= walk->high) {
            walk->place = place;
            arrive(walk, UINT32_MAX, number);
            return;
        }
    }
}

void stream_walk_init(struct stream_walk *walk, const struct segment_index *index, const struct footer_stream *stream,
                      uint32_t low, uint32_t high, bool backward) {
    *walk = (struct stream_walk){.views = &index->views, .low = low, .high = high, .backward = backward};
    if (first_group(stream) == 0) {
        arrive(walk, backward ? UINT32_MAX : 0, stream->first_row);
        if (walk->next > high || walk->next <= low)
            walk->next = 0;
        return;
    }
    walk->group = backward ? seek_backward(walk->views, stream, high) : seek_forward(walk->views, stream, low);
    if (walk->group && backward)
        start_backward(walk);
    else if (walk->group)
        start_forward(walk);
}

/* ---- by revision ---- */

/* The row number of the stream's n-th event here, from 0; 0 when there is none. */
static uint32_t row_of_nth(const struct segment_index *index, const struct footer_stream *stream, uint64_t nth) {
    const struct views *views = &index->views;
    uint64_t hops = nth / FOOTER_GROUP_ROWS;
    const struct footer_group *group;
    if (nth == 0 || first_group(stream) == 0)
        return nth == 0 ? stream->first_row : 0;
    if (views->groups.mapped)
        return hops <= UINT32_MAX - first_group(stream) &&
                       (group = views_group(views, first_group(stream) + (uint32_t)hops))
                   ? row_of(group, nth % FOOTER_GROUP_ROWS)
                   : 0;
    group = views_group(views, first_group(stream));
    while (group && hops-- > 0)
        group = group_after(views, group);
    return group ? row_of(group, nth % FOOTER_GROUP_ROWS) : 0;
}

/* The row number of a revision, if revisions are without gaps here; else, or when it is not here, 0. */
static uint32_t row_of_revision(const struct segment_index *index, const struct footer_stream *stream,
                                uint64_t revision, uint64_t first_revision, uint32_t high) {
    uint32_t count = __atomic_load_n(&stream->event_count, __ATOMIC_RELAXED);
    if (revision < first_revision || revision - first_revision >= count)
        return 0;
    uint32_t number = row_of_nth(index, stream, revision - first_revision);
    if (number == 0 || number > high)
        return 0;
    return segment_index_row(index, number - 1)->revision == revision ? number : 0;
}

/* True when all of the stream that may be seen here comes before a revision. */
static bool ends_before(const struct segment_index *index, const struct footer_stream *stream, uint64_t revision,
                        uint32_t high) {
    uint32_t number = segment_index_last_row(index, stream);
    return number != 0 && number <= high && segment_index_row(index, number - 1)->revision < revision;
}

void stream_walk_narrow(const struct segment_index *index, const struct footer_stream *stream, uint64_t first,
                        uint64_t last, uint32_t *low, uint32_t *high) {
    if (stream->first_row == 0 || stream->first_row > *high)
        return;
    uint64_t first_revision = segment_index_row(index, stream->first_row - 1)->revision;
    if ((last != 0 && last < first_revision) || ends_before(index, stream, first, *high)) {
        *high = *low;
        return;
    }
    uint32_t start = row_of_revision(index, stream, first, first_revision, *high);
    uint32_t end = row_of_revision(index, stream, last, first_revision, *high);
    if (start > 0 && start - 1 > *low)
        *low = start - 1;
    if (end > 0 && end < *high)
        *high = end;
}
