/* SPDX-License-Identifier: Apache-2.0 */
/* The heads of all streams: found by both names, taken back after a refused append, folded from segments. */
#include "fixture.h"

#include "base/hash.h"
#include "base/memory.h"
#include "index/streams.h"

static struct stream_head *find(const struct streams *streams, const char *scope, const char *entity) {
    uint64_t hash = hash_stream(scope, strlen(scope), entity, strlen(entity));
    return streams_find(streams, hash, fbat_text(scope), fbat_text(entity));
}

static struct stream_head *add(struct streams *streams, const char *scope, const char *entity) {
    uint64_t hash = hash_stream(scope, strlen(scope), entity, strlen(entity));
    return streams_find_or_add(streams, hash, fbat_text(scope), fbat_text(entity));
}

static struct stream_head *add_numbered(struct streams *streams, unsigned number) {
    char entity[64];
    snprintf(entity, sizeof entity, "entity-%u", number);
    struct stream_head *head = add(streams, "scope", entity);
    assert_non_null(head);
    return head;
}

static struct stream_head *find_numbered(const struct streams *streams, unsigned number) {
    char entity[64];
    snprintf(entity, sizeof entity, "entity-%u", number);
    return find(streams, "scope", entity);
}

static void a_stream_that_was_not_added_is_not_there(void **state) {
    (void)state;
    struct streams streams;
    assert_true(streams_init(&streams));
    assert_null(find(&streams, "shop", "order-1"));
    streams_deinit(&streams);
}

static void a_head_starts_at_revision_0_and_is_added_once(void **state) {
    (void)state;
    struct streams streams;
    assert_true(streams_init(&streams));
    struct stream_head *head = add(&streams, "shop", "order-1");
    assert_non_null(head);
    assert_int_equal(head->revision, 0);
    head->revision = 7;
    assert_ptr_equal(add(&streams, "shop", "order-1"), head);
    assert_int_equal(head->revision, 7);
    assert_int_equal(streams.count, 1);
    streams_deinit(&streams);
}

static void the_same_entity_in_two_scopes_is_two_streams(void **state) {
    (void)state;
    struct streams streams;
    assert_true(streams_init(&streams));
    assert_ptr_not_equal(add(&streams, "shop", "order-1"), add(&streams, "depot", "order-1"));
    assert_ptr_not_equal(add(&streams, "a", "bc"), add(&streams, "ab", "c"));
    assert_int_equal(streams.count, 4);
    streams_deinit(&streams);
}

static void equal_hashes_do_not_make_equal_streams(void **state) {
    (void)state;
    struct streams streams;
    assert_true(streams_init(&streams));
    struct stream_head *one = streams_find_or_add(&streams, 5, fbat_text("s"), fbat_text("one"));
    struct stream_head *two = streams_find_or_add(&streams, 5, fbat_text("s"), fbat_text("two"));
    assert_ptr_not_equal(one, two);
    assert_ptr_equal(streams_find(&streams, 5, fbat_text("s"), fbat_text("one")), one);
    assert_ptr_equal(streams_find(&streams, 5, fbat_text("s"), fbat_text("two")), two);
    streams_deinit(&streams);
}

static void names_are_kept_when_the_callers_memory_is_gone(void **state) {
    (void)state;
    struct streams streams;
    assert_true(streams_init(&streams));
    char entity[] = "order-1";
    add(&streams, "shop", entity)->revision = 3;
    memset(entity, 'x', sizeof entity - 1);
    assert_int_equal(find(&streams, "shop", "order-1")->revision, 3);
    assert_null(find(&streams, "shop", "xxxxxxx"));
    streams_deinit(&streams);
}

static void heads_stay_where_they_are_among_thousands(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    static struct stream_head *heads[COUNT];
    struct streams streams;
    assert_true(streams_init(&streams));
    for (unsigned number = 0; number < COUNT; number++)
        heads[number] = add_numbered(&streams, number);
    for (unsigned number = 0; number < COUNT; number++)
        assert_ptr_equal(find_numbered(&streams, number), heads[number]);
    assert_true(streams_memory(&streams) >= COUNT * sizeof(struct stream_head));
    streams_deinit(&streams);
}

static void forgetting_restores_what_was_there_before(void **state) {
    (void)state;
    struct streams streams;
    assert_true(streams_init(&streams));
    for (unsigned number = 0; number < 100; number++)
        add_numbered(&streams, number)->revision = number + 1;
    for (unsigned number = 100; number < 3000; number++) /* the table grows meanwhile */
        add_numbered(&streams, number);
    streams_forget(&streams, 100);
    assert_int_equal(streams.count, 100);
    for (unsigned number = 0; number < 3000; number++) {
        struct stream_head *head = find_numbered(&streams, number);
        assert_int_equal(head != NULL, number < 100);
        if (head)
            assert_int_equal(head->revision, number + 1);
    }
    streams_deinit(&streams);
}

static void a_forgotten_stream_can_be_added_anew_from_revision_0(void **state) {
    (void)state;
    struct streams streams;
    assert_true(streams_init(&streams));
    add(&streams, "shop", "kept");
    add(&streams, "shop", "order-1")->revision = 9;
    streams_forget(&streams, 1);
    struct stream_head *head = add(&streams, "shop", "order-1");
    assert_int_equal(head->revision, 0);
    assert_true(bytes_are_zero(head->last_hash, sizeof head->last_hash));
    streams_deinit(&streams);
}

static void refused_appends_to_ever_new_streams_cost_no_memory(void **state) {
    (void)state;
    struct streams streams;
    assert_true(streams_init(&streams));
    add(&streams, "shop", "kept");
    add_numbered(&streams, 0);
    streams_forget(&streams, 1);
    uint64_t memory = streams_memory(&streams);
    for (unsigned number = 1; number < 50000; number++) {
        add_numbered(&streams, number);
        streams_forget(&streams, 1);
    }
    assert_int_equal(streams_memory(&streams), memory);
    streams_deinit(&streams);
}

/* ---- folding ---- */

static void folding_takes_the_last_event_of_each_stream(void **state) {
    struct log *log = *state;
    struct streams streams;
    static const struct log_event events[] = {
        {.entity = "order-1"}, {.entity = "order-2"}, {.entity = "order-1"}, {.entity = "order-1", .scope = "depot"}};
    log_append(log, events, 4);
    assert_true(streams_init(&streams));
    assert_int_equal(streams_fold(&streams, log->active, NULL), FBAT_OK);
    assert_int_equal(streams.count, 3);
    struct stream_head *head = find(&streams, "shop", "order-1");
    assert_non_null(head);
    assert_true(head->revision == 2 && head->last_sequence == 3 && head->local_segment == 1 && head->local == 0);
    struct fbat_event last;
    assert_int_equal(segment_index_view(log->active, 2, &last, NULL), FBAT_OK);
    assert_memory_equal(head->last_hash, last.hash, 32);
    assert_int_equal(find(&streams, "depot", "order-1")->revision, 1);
    streams_deinit(&streams);
}

static void folding_a_later_segment_goes_on_from_the_earlier_one(void **state) {
    struct log *log = *state;
    struct streams streams;
    static const struct log_event first[] = {{.entity = "order-1"}, {.entity = "order-2"}};
    static const struct log_event second[] = {{.entity = "order-3"}, {.entity = "order-1"}};
    log_append(log, first, 2);
    log_rotate(log);
    log_append(log, second, 2);
    struct segment_list *list = directory_acquire(&log->directory);
    assert_true(streams_init(&streams));
    for (uint32_t at = 0; at < list->count; at++)
        assert_int_equal(streams_fold(&streams, list->slots[at]->index, NULL), FBAT_OK);
    assert_int_equal(streams.count, 3);
    struct stream_head *again = find(&streams, "shop", "order-1"), *old = find(&streams, "shop", "order-2");
    assert_true(again->revision == 2 && again->last_sequence == 4 && again->local_segment == 2 && again->local == 1);
    assert_true(old->revision == 1 && old->last_sequence == 2 && old->local_segment == 1);
    segment_list_release(list);
    streams_deinit(&streams);
}

static void folding_a_stream_that_leads_nowhere_is_damage(void **state) {
    struct log *log = *state;
    struct streams streams;
    struct fbat_error error;
    log_append(log, &(struct log_event){.entity = "order-1"}, 1);
    assert_true(streams_init(&streams));
    static const uint32_t rows[] = {0, 2, UINT32_MAX};
    for (size_t at = 0; at < COUNT_OF(rows); at++) {
        segment_index_stream(log->active, 0)->last_row = rows[at];
        assert_int_equal(streams_fold(&streams, log->active, &error), FBAT_ERR_DAMAGED);
        assert_int_equal(error.segment_id, 1);
    }
    streams_deinit(&streams);
}

/* ---- without memory ---- */

static void *refuse_when_told(void *user, void *old, size_t size) {
    bool *refusing = user;
    if (size == 0) {
        free(old);
        return NULL;
    }
    return *refusing ? NULL : realloc(old, size);
}

static void running_out_of_memory_adds_nothing_and_loses_nothing(void **state) {
    (void)state;
    bool refusing = false;
    struct streams streams;
    unsigned number = 0;
    memory_set_allocator(refuse_when_told, &refusing);
    assert_true(streams_init(&streams));
    add_numbered(&streams, number++);
    refusing = true;
    struct stream_head *head;
    do {
        char entity[64];
        snprintf(entity, sizeof entity, "entity-%u", number);
        head = add(&streams, "scope", entity);
        number += head != NULL;
    } while (head && number < 1000000);
    assert_null(head);
    assert_int_equal(streams.count, number);
    for (unsigned at = 0; at < number; at++)
        assert_non_null(find_numbered(&streams, at));
    refusing = false;
    assert_non_null(add_numbered(&streams, number));
    streams_deinit(&streams);
    memory_set_allocator(NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_that_was_not_added_is_not_there),
        cmocka_unit_test(a_head_starts_at_revision_0_and_is_added_once),
        cmocka_unit_test(the_same_entity_in_two_scopes_is_two_streams),
        cmocka_unit_test(equal_hashes_do_not_make_equal_streams),
        cmocka_unit_test(names_are_kept_when_the_callers_memory_is_gone),
        cmocka_unit_test(heads_stay_where_they_are_among_thousands),
        cmocka_unit_test(forgetting_restores_what_was_there_before),
        cmocka_unit_test(a_forgotten_stream_can_be_added_anew_from_revision_0),
        cmocka_unit_test(refused_appends_to_ever_new_streams_cost_no_memory),
        LOG_TEST(folding_takes_the_last_event_of_each_stream),
        LOG_TEST(folding_a_later_segment_goes_on_from_the_earlier_one),
        LOG_TEST(folding_a_stream_that_leads_nowhere_is_damage),
        cmocka_unit_test(running_out_of_memory_adds_nothing_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
