/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of events and conditions: equal to their originals, in exactly the memory asked for, and independent of
 * them. */
#include "fixture.h"

#include "write/event_copy.h"

static bool slices_equal(struct fbat_slice a, struct fbat_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* What originals point to: wiped to prove that a copy does not. */
struct originals {
    char texts[8][16];
    struct fbat_header headers[3];
    struct fbat_slice tags[2];
    struct fbat_new_event events[3];
    struct fbat_condition conditions[2];
};

static struct fbat_slice text_at(struct originals *originals, unsigned at) {
    return fbat_text(originals->texts[at]);
}

/* One event with everything, one with nothing, one with tags only. */
static void make_originals(struct originals *originals) {
    memset(originals, 0, sizeof *originals);
    for (unsigned at = 0; at < COUNT_OF(originals->texts); at++)
        snprintf(originals->texts[at], sizeof originals->texts[at], "%.*s%u", (int)at, "abcdefgh", at);
    for (unsigned at = 0; at < COUNT_OF(originals->headers); at++)
        originals->headers[at] = (struct fbat_header){text_at(originals, at), text_at(originals, at + 3)};
    originals->headers[1].value = fbat_bytes(NULL, 0);
    for (unsigned at = 0; at < COUNT_OF(originals->tags); at++)
        originals->tags[at] = text_at(originals, at + 5);
    for (unsigned at = 0; at < COUNT_OF(originals->events); at++)
        originals->events[at] = (struct fbat_new_event){.struct_size = sizeof(struct fbat_new_event),
                                                        .kind = (uint16_t)(0x1001 + at),
                                                        .entity = text_at(originals, at),
                                                        .scope = text_at(originals, at + 1),
                                                        .id = id_of_byte((uint8_t)(at + 1)),
                                                        .expect = FBAT_EXPECT_REVISION,
                                                        .causation_item = at,
                                                        .expected_revision = at + 7};
    originals->events[0].payload = text_at(originals, 7);
    originals->events[0].headers = originals->headers;
    originals->events[0].header_count = COUNT_OF(originals->headers);
    originals->events[0].tags = originals->tags;
    originals->events[0].tag_count = COUNT_OF(originals->tags);
    originals->events[2].tags = originals->tags;
    originals->events[2].tag_count = 1;
    originals->conditions[0] = (struct fbat_condition){
        .entity = text_at(originals, 2), .scope = text_at(originals, 3), .expect = FBAT_EXPECT_NONE};
    originals->conditions[1] = (struct fbat_condition){.entity = text_at(originals, 4),
                                                       .scope = text_at(originals, 5),
                                                       .expect = FBAT_EXPECT_REVISION,
                                                       .expected_revision = 9};
}

static void assert_events_equal(const struct fbat_new_event *copy, const struct fbat_new_event *event) {
    assert_int_equal(copy->struct_size, event->struct_size);
    assert_int_equal(copy->kind, event->kind);
    assert_memory_equal(&copy->id, &event->id, sizeof copy->id);
    assert_int_equal(copy->expect, event->expect);
    assert_int_equal(copy->causation_item, event->causation_item);
    assert_int_equal(copy->expected_revision, event->expected_revision);
    assert_true(slices_equal(copy->entity, event->entity));
    assert_true(slices_equal(copy->scope, event->scope));
    assert_true(slices_equal(copy->payload, event->payload));
    assert_int_equal(copy->header_count, event->header_count);
    assert_int_equal(copy->tag_count, event->tag_count);
    for (size_t at = 0; at < event->header_count; at++) {
        assert_true(slices_equal(copy->headers[at].name, event->headers[at].name));
        assert_true(slices_equal(copy->headers[at].value, event->headers[at].value));
    }
    for (size_t at = 0; at < event->tag_count; at++)
        assert_true(slices_equal(copy->tags[at], event->tags[at]));
}

/* The originals are wiped before the comparison; the memory is of exact size, so that a sanitizer sees a step
 * beyond. */
static void check_copies(size_t first, size_t count) {
    static struct originals given, expected;
    make_originals(&given);
    make_originals(&expected);
    size_t bytes = event_copy_bytes(&given.events[first], count);
    void *memory = malloc(bytes);
    assert_non_null(memory);
    struct fbat_new_event *copies = event_copy(&given.events[first], count, memory);
    assert_ptr_equal(copies, memory);
    memset(&given, 0xEE, sizeof given);
    for (size_t at = 0; at < count; at++)
        assert_events_equal(&copies[at], &expected.events[first + at]);
    free(memory);
}

static void one_event_is_copied_whole(void **state) {
    (void)state;
    check_copies(0, 1);
}

static void event_with_nothing_but_names_is_copied(void **state) {
    (void)state;
    check_copies(1, 1);
}

static void batch_is_copied_whole(void **state) {
    (void)state;
    check_copies(0, 3);
}

/* No byte is asked for in vain: a copy ends where its memory does. */
static void copy_fills_its_memory(void **state) {
    static struct originals given;
    (void)state;
    make_originals(&given);
    size_t bytes = event_copy_bytes(given.events, 3);
    uint8_t *memory = malloc(bytes);
    assert_non_null(memory);
    struct fbat_new_event *copies = event_copy(given.events, 3, memory);
    struct fbat_slice last = copies[2].tags[0];
    assert_ptr_equal((const uint8_t *)last.data + last.size, memory + bytes);
    free(memory);
}

static void conditions_are_copied_whole(void **state) {
    static struct originals given, expected;
    (void)state;
    make_originals(&given);
    make_originals(&expected);
    size_t bytes = condition_copy_bytes(given.conditions, 2);
    void *memory = malloc(bytes);
    assert_non_null(memory);
    struct fbat_condition *copies = condition_copy(given.conditions, 2, memory);
    memset(&given, 0xEE, sizeof given);
    for (size_t at = 0; at < 2; at++) {
        assert_true(slices_equal(copies[at].entity, expected.conditions[at].entity));
        assert_true(slices_equal(copies[at].scope, expected.conditions[at].scope));
        assert_int_equal(copies[at].expect, expected.conditions[at].expect);
        assert_int_equal(copies[at].expected_revision, expected.conditions[at].expected_revision);
    }
    free(memory);
}

static void no_conditions_need_no_memory(void **state) {
    (void)state;
    assert_int_equal(condition_copy_bytes(NULL, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_event_is_copied_whole),   cmocka_unit_test(event_with_nothing_but_names_is_copied),
        cmocka_unit_test(batch_is_copied_whole),       cmocka_unit_test(copy_fills_its_memory),
        cmocka_unit_test(conditions_are_copied_whole), cmocka_unit_test(no_conditions_need_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
