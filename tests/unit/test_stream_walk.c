/* SPDX-License-Identifier: Apache-2.0 */
/* Walks through the groups of streams, alone and merged, in memory and in a footer, against the rows themselves. */
#include "fixture.h"

#include "index/stream_merge.h"
#include "index/stream_walk.h"
#include "support/test.h"

enum { EVENTS = 900, STREAMS = 24 };

static const char *entity_number(uint64_t number) {
    static char names[STREAMS][16];
    snprintf(names[number], sizeof names[0], "e%u", (unsigned)number);
    return names[number];
}

/* Streams of one event to some hundreds. */
static void fill(struct log *log, struct test_random *random) {
    for (unsigned at = 0; at < EVENTS; at++) {
        uint64_t bound = test_random_between(random, 1, STREAMS);
        log_append(log, &(struct log_event){.entity = entity_number(test_random_below(random, bound))}, 1);
    }
}

struct numbers {
    uint32_t at[EVENTS];
    size_t count;
};

/* Positions in [low, high) of the streams of a bit mask, in a direction, by the rows. */
static void find_by_rows(const struct segment_index *index, uint32_t mask, uint32_t low, uint32_t high, bool backward,
                         struct numbers *out_numbers) {
    out_numbers->count = 0;
    for (uint32_t at = 0; at < high - low; at++) {
        uint32_t position = backward ? high - 1 - at : low + at;
        if (mask >> segment_index_row(index, position)->stream & 1)
            out_numbers->at[out_numbers->count++] = position;
    }
}

static void try_walk(const struct segment_index *index, struct test_random *random) {
    static struct numbers wanted;
    struct stream_walk walk;
    uint32_t position, stream = (uint32_t)test_random_below(random, segment_index_stream_count(index));
    uint32_t low = (uint32_t)test_random_below(random, EVENTS);
    uint32_t high = (uint32_t)test_random_between(random, low + 1, EVENTS);
    bool backward = test_random_one_in(random, 2);
    if (test_random_one_in(random, 3))
        low = 0;
    find_by_rows(index, 1u << stream, low, high, backward, &wanted);
    stream_walk_init(&walk, index, segment_index_stream(index, stream), low, high, backward);
    for (size_t at = 0; at < wanted.count; at++) {
        assert_true(stream_walk_next(&walk, &position));
        assert_int_equal(position, wanted.at[at]);
    }
    assert_false(stream_walk_next(&walk, &position));
    assert_false(stream_walk_next(&walk, &position));
}

static void try_merge(const struct segment_index *index, struct test_random *random) {
    static struct numbers wanted;
    struct stream_merge merge = {0};
    uint32_t mask = (uint32_t)test_random_u64(random) & (uint32_t)test_random_u64(random), first;
    uint32_t low = (uint32_t)test_random_below(random, EVENTS);
    uint32_t high = (uint32_t)test_random_between(random, low + 1, EVENTS);
    bool backward = test_random_one_in(random, 2);
    uint64_t bits;
    size_t at = 0;
    find_by_rows(index, mask, low, high, backward, &wanted);
    assert_true(stream_merge_reset(&merge, 32, backward));
    for (uint32_t stream = 0; stream < segment_index_stream_count(index); stream++) {
        struct stream_walk walk;
        stream_walk_init(&walk, index, segment_index_stream(index, stream), low, high, backward);
        if (mask >> stream & 1)
            stream_merge_add(&merge, &walk);
    }
    while (stream_merge_next(&merge, &first, &bits))
        while (bits != 0) {
            unsigned bit = backward ? 63u - (unsigned)__builtin_clzll(bits) : (unsigned)__builtin_ctzll(bits);
            bits &= ~(UINT64_C(1) << bit);
            assert_true(at < wanted.count);
            assert_int_equal(first + bit, wanted.at[at++]);
        }
    assert_int_equal(at, wanted.count);
    stream_merge_deinit(&merge);
}

static void try_narrowing(const struct segment_index *index, struct test_random *random) {
    uint32_t number = (uint32_t)test_random_below(random, segment_index_stream_count(index));
    const struct footer_stream *stream = segment_index_stream(index, number);
    uint64_t first = test_random_below(random, 60), last = test_random_below(random, 80);
    uint32_t low = 0, high = EVENTS, kept = 0, seen = 0;
    stream_walk_narrow(index, stream, first, last, &low, &high);
    for (uint32_t position = 0; position < EVENTS; position++) {
        const struct footer_row *row = segment_index_row(index, position);
        bool inside = position >= low && position < high;
        bool wanted = row->stream == number && row->revision >= first && (last == 0 || row->revision <= last);
        if (wanted)
            assert_true(inside); /* nothing is lost */
        kept += inside && row->stream == number;
        seen += wanted;
    }
    if (first >= 1 && last >= first && seen == last - first + 1)
        assert_int_equal(kept, seen); /* and where both ends are there, nothing else is left */
}

static const struct segment_index *filled_index(struct log *log, bool sealed) {
    struct test_random random = test_random_init(test_seed(14));
    fill(log, &random);
    const struct segment_index *index = log->active;
    if (sealed) {
        log_rotate(log);
        index = log->directory.current->slots[0]->index;
        assert_true(index->sealed && index->views.has_groups);
    }
    return index;
}

static void walks_give_what_the_rows_give(void **state) {
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        struct test_random random = test_random_init(test_seed(15));
        const struct segment_index *index = filled_index(*state, sealed);
        for (uint64_t round = 0; round < test_scaled(3000) && index->rows_added == EVENTS; round++)
            try_walk(index, &random);
        leave_log(state);
        enter_log(state);
    }
}

static void merges_give_what_the_rows_give(void **state) {
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        struct test_random random = test_random_init(test_seed(16));
        const struct segment_index *index = filled_index(*state, sealed);
        for (uint64_t round = 0; round < test_scaled(600); round++)
            try_merge(index, &random);
        leave_log(state);
        enter_log(state);
    }
}

static void revisions_narrow_without_losing_any(void **state) {
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        struct test_random random = test_random_init(test_seed(17));
        const struct segment_index *index = filled_index(*state, sealed);
        for (uint64_t round = 0; round < test_scaled(2000); round++)
            try_narrowing(index, &random);
        leave_log(state);
        enter_log(state);
    }
}

/* Rows farther apart than a window is wide. */
static void a_merge_jumps_over_what_is_empty(void **state) {
    struct log *log = *state;
    struct stream_merge merge = {0};
    uint32_t first, between = MERGE_WINDOW_WORDS * 64 + 100;
    uint64_t bits;
    for (unsigned direction = 0; direction < 2; direction++) {
        static struct footer_stream ends[2];
        ends[0] = (struct footer_stream){.first_row = 7, .event_count = 1};
        ends[1] = (struct footer_stream){.first_row = 7 + between, .event_count = 1};
        assert_true(stream_merge_reset(&merge, 2, direction == 1));
        for (unsigned at = 0; at < 2; at++) {
            struct stream_walk walk;
            stream_walk_init(&walk, log->active, &ends[at], 0, 100000, direction == 1);
            stream_merge_add(&merge, &walk);
        }
        uint32_t found[2] = {0};
        for (unsigned at = 0; at < 2; at++) {
            assert_true(stream_merge_next(&merge, &first, &bits));
            found[at] = first + (unsigned)__builtin_ctzll(bits);
        }
        assert_false(stream_merge_next(&merge, &first, &bits));
        assert_int_equal(found[direction], 6);
        assert_int_equal(found[1 - direction], 6 + between);
    }
    stream_merge_deinit(&merge);
}

/* Numbers that do not go on, as a page that went bad has them, end a walk. */
static void a_walk_ends_where_numbers_do_not_go_on(void **state) {
    struct log *log = *state;
    struct stream_walk walk;
    uint32_t position, given = 0;
    for (unsigned at = 0; at < 40; at++)
        log_append(log, &(struct log_event){.entity = "e0"}, 1);
    struct footer_group *group = chunks_at(&log->active->views.groups, 1);
    group->rows[3] = 2;
    stream_walk_init(&walk, log->active, segment_index_stream(log->active, 0), 0, 40, false);
    while (stream_walk_next(&walk, &position))
        given++;
    assert_int_equal(given, 17);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(walks_give_what_the_rows_give),          LOG_TEST(merges_give_what_the_rows_give),
        LOG_TEST(revisions_narrow_without_losing_any),    LOG_TEST(a_merge_jumps_over_what_is_empty),
        LOG_TEST(a_walk_ends_where_numbers_do_not_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
