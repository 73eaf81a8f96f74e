/* SPDX-License-Identifier: Apache-2.0 */
/* What an append refuses, at which edge, and what the error says; and that a refusal leaves no trace. */
#include "fixture.h"

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_new_event plain(void) {
    return event_of("one", "scope", "p");
}

/* Refused alone and as the second item of a batch; the error names the item and the field; nothing is written. */
static void assert_refused(struct fixture *fixture, int status, const struct fbat_new_event *event, const char *field) {
    struct fbat_frontier before, after;
    struct fbat_receipt receipts[2], untouched[2];
    memset(receipts, 0x5a, sizeof receipts);
    memset(untouched, 0x5a, sizeof untouched);
    fbat_frontier(fixture->store, &before);
    memset(&fault, 0x5a, sizeof fault);
    assert_status(status, fbat_append(fixture->store, event, NULL, receipts, &fault));
    assert_int_equal(fault.status, status);
    assert_true(fault.item == FBAT_NO_ITEM);
    assert_message_has(field);
    assert_null(strchr(fault.message, '\n'));
    assert_int_equal(fault.os_errno, 0);
    assert_int_equal(fault.holder_pid, 0);
    assert_status(status, fbat_append(fixture->store, event, NULL, NULL, NULL));

    struct fbat_new_event batch[] = {plain(), *event};
    batch[0].id = id_of("a good one");
    assert_status(status, fbat_append_batch(fixture->store, batch, 2, NULL, receipts, &fault));
    assert_int_equal(fault.item, 1);
    assert_message_has(field);
    assert_message_has("item 1");
    assert_memory_equal(receipts, untouched, sizeof receipts);
    fbat_frontier(fixture->store, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(count_events(fixture->store), before.visible);
}

static void assert_accepted(struct fixture *fixture, const struct fbat_new_event *event) {
    uint64_t before = count_events(fixture->store);
    assert_ok(fbat_append(fixture->store, event, NULL, NULL, &fault));
    assert_ok(fbat_append_batch(fixture->store, event, 1, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), before + 2);
}

static char *string_of(size_t size) {
    char *string = malloc(size + 1);
    assert_non_null(string);
    memset(string, 'n', size);
    string[size] = '\0';
    return string;
}

/* ---- names ---- */

typedef struct fbat_slice *(*name_fn)(struct fbat_new_event *event);

static struct fbat_slice *entity_of(struct fbat_new_event *event) {
    return &event->entity;
}

static struct fbat_slice *scope_of(struct fbat_new_event *event) {
    return &event->scope;
}

static void check_name_limits(struct fixture *fixture, name_fn name, const char *field) {
    struct fbat_new_event event = plain();
    char *longest = string_of(FBAT_NAME_BYTES_MAX + 1);
    *name(&event) = fbat_bytes(longest, FBAT_NAME_BYTES_MAX);
    assert_accepted(fixture, &event);
    *name(&event) = fbat_bytes(longest, FBAT_NAME_BYTES_MAX + 1);
    assert_refused(fixture, FBAT_ERR_NAME, &event, field);
    *name(&event) = fbat_bytes(longest, 1);
    assert_accepted(fixture, &event);
    *name(&event) = fbat_bytes(longest, 0);
    assert_refused(fixture, FBAT_ERR_NAME, &event, field);
    *name(&event) = fbat_bytes(NULL, 4);
    assert_refused(fixture, FBAT_ERR_NAME, &event, field);
    free(longest);
}

static void entity_has_1_to_1024_bytes(void **state) {
    check_name_limits(opened(state), entity_of, "entity");
}

static void scope_has_1_to_1024_bytes(void **state) {
    check_name_limits(opened(state), scope_of, "scope");
}

/* Overlong forms, surrogates, what lies beyond Unicode, cut and stray bytes (RFC 3629). */
static const char *const not_utf8[] = {
    "\x80", "a\xc3",    "\xc0\xaf",         "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
    "\xff", "\xe2\x82", "\xf0\x80\x80\xaf", "ok\xc3(",      "\xfe\xff",
};
static const char *const utf8[] = {
    "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa6", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf",
    "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80", "tab\there",    "\xef\xbf\xbf",
};

static void names_are_utf8(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    for (size_t at = 0; at < sizeof not_utf8 / sizeof not_utf8[0]; at++) {
        event = event_of(not_utf8[at], "scope", "");
        assert_refused(fixture, FBAT_ERR_NAME, &event, "entity is not valid UTF-8");
        event = event_of("one", not_utf8[at], "");
        assert_refused(fixture, FBAT_ERR_NAME, &event, "scope is not valid UTF-8");
    }
    for (size_t at = 0; at < sizeof utf8 / sizeof utf8[0]; at++) {
        event = event_of(utf8[at], utf8[at], "");
        assert_accepted(fixture, &event);
    }
}

static void names_have_no_nul(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    event.entity = fbat_bytes("a\0b", 3);
    assert_refused(fixture, FBAT_ERR_NAME, &event, "entity contains a NUL");
    event = plain();
    event.scope = fbat_bytes("\0", 1);
    assert_refused(fixture, FBAT_ERR_NAME, &event, "scope contains a NUL");
}

static void library_scope_is_reserved(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = event_of("one", FBAT_SYSTEM_SCOPE, "");
    assert_refused(fixture, FBAT_ERR_NAME, &event, FBAT_SYSTEM_SCOPE);
    event = event_of(FBAT_SYSTEM_SCOPE, "_systems", "");
    assert_accepted(fixture, &event);
    event = event_of("_kinds", "_syste", "");
    assert_accepted(fixture, &event);
}

/* ---- kinds ---- */

static void library_categories_are_reserved(void **state) {
    struct fixture *fixture = opened(state);
    for (unsigned category = 0; category < 16; category++)
        for (unsigned type = 0; type < 4096; type += 4095) {
            struct fbat_new_event event = plain();
            event.kind = FBAT_KIND(category, type);
            if (category == FBAT_CATEGORY_SYSTEM || category == FBAT_CATEGORY_EFFECT)
                assert_refused(fixture, FBAT_ERR_KIND, &event, "kind");
            else
                assert_accepted(fixture, &event);
        }
}

static void payload_types_are_the_named_ones_and_the_callers(void **state) {
    struct fixture *fixture = opened(state);
    for (unsigned type = 0; type < 256; type++) {
        struct fbat_new_event event = plain();
        event.payload_type = (uint8_t)type;
        if (type <= FBAT_PAYLOAD_PROTOBUF || type >= 128)
            assert_ok(fbat_append(fixture->store, &event, NULL, NULL, &fault));
        else
            assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "payload_type");
    }
}

/* ---- tags and headers ---- */

static void tags_have_1_to_255_bytes_of_utf8(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    char *longest = string_of(FBAT_TAG_BYTES_MAX + 1);
    struct fbat_slice tag = fbat_bytes(longest, FBAT_TAG_BYTES_MAX);
    event.tags = &tag;
    event.tag_count = 1;
    assert_accepted(fixture, &event);
    tag.size = FBAT_TAG_BYTES_MAX + 1;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "tag");
    tag.size = 0;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "tag");
    tag = fbat_text("\xff");
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "tag");
    tag = fbat_bytes(NULL, 1);
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "tag");
    event.tags = NULL;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "tag");
    free(longest);
}

/* 65535 = 255 x 256 + 255: so many tags of the greatest size fit, and one byte and its length do not. */
static void tags_together_have_65535_bytes(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    char *longest = string_of(FBAT_TAG_BYTES_MAX);
    struct fbat_slice tags[257];
    for (int at = 0; at < 257; at++)
        tags[at] = fbat_bytes(longest, FBAT_TAG_BYTES_MAX);
    event.tags = tags;
    event.tag_count = 256;
    tags[255].size = 254;
    assert_accepted(fixture, &event);
    tags[255].size = 255;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "65535");
    tags[255].size = 253;
    tags[256].size = 1;
    event.tag_count = 257;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "65535");
    free(longest);
}

static void header_names_have_1_to_255_bytes_of_utf8(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    char *longest = string_of(FBAT_HEADER_NAME_BYTES_MAX + 1);
    struct fbat_header header = {fbat_bytes(longest, FBAT_HEADER_NAME_BYTES_MAX), fbat_bytes("\0\xff", 2)};
    event.headers = &header;
    event.header_count = 1;
    assert_accepted(fixture, &event);
    header.name.size = FBAT_HEADER_NAME_BYTES_MAX + 1;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "header");
    header.name.size = 0;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "header");
    header.name = fbat_text("\xff");
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "header");
    header = (struct fbat_header){fbat_text("name"), fbat_bytes(NULL, 3)};
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "header");
    header.value = fbat_bytes(NULL, 0);
    assert_accepted(fixture, &event);
    event.headers = NULL;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "header");
    free(longest);
}

static void headers_together_have_65535_bytes(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    char *value = string_of(70000);
    struct fbat_header headers[2] = {{fbat_text("name"), fbat_bytes(value, 65535 - 4 - 4)},
                                     {fbat_text("b"), {NULL, 0}}};
    event.headers = headers;
    event.header_count = 1;
    assert_accepted(fixture, &event);
    headers[0].value.size++;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "65535");
    headers[0].value.size = 70000; /* beyond 16 bits */
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "65535");
    headers[0].value.size = 65535 - 4 - 4 - 5;
    event.header_count = 2;
    assert_accepted(fixture, &event);
    headers[0].value.size++;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "65535");
    free(value);
}

/* ---- payloads ---- */

/* At the limit accepted and read back whole, one byte over refused. */
static void check_payload_limit(struct fixture *fixture, uint32_t limit) {
    struct fbat_new_event event = plain();
    char *payload = string_of((size_t)limit + 1);
    payload[0] = 'a';
    payload[limit - 1] = 'z';
    event.payload = fbat_bytes(payload, (size_t)limit + 1);
    assert_status(FBAT_ERR_TOO_LARGE, fbat_append(fixture->store, &event, NULL, NULL, &fault));
    assert_message_has("single_append_max_bytes");
    assert_int_equal(fault.item, FBAT_NO_ITEM);
    event.payload.size = limit;
    struct fbat_receipt receipt = append_event(fixture->store, &event);
    struct fbat_event read;
    assert_ok(fbat_get_by_sequence(fixture->store, receipt.sequence, &read, &fault));
    assert_slices(event.payload, read.payload);
    fbat_event_release(&read);
    free(payload);
}

static void payload_has_at_most_16_mib_by_default(void **state) {
    check_payload_limit(opened(state), 16u << 20);
}

static void payload_has_at_most_64_mib_when_configured(void **state) {
    struct fixture *fixture = *state;
    fixture->config.single_append_max_bytes = 64u << 20;
    open_store(fixture);
    check_payload_limit(fixture, 64u << 20);
}

static void payload_limit_may_be_one_byte(void **state) {
    struct fixture *fixture = *state;
    fixture->config.single_append_max_bytes = 1;
    open_store(fixture);
    struct fbat_new_event event = event_of("one", "scope", "22");
    assert_refused(fixture, FBAT_ERR_TOO_LARGE, &event, "single_append_max_bytes");
    event.payload.size = 1;
    assert_accepted(fixture, &event);
}

static void payload_may_be_empty_or_any_bytes(void **state) {
    struct fixture *fixture = opened(state);
    uint8_t all[256];
    for (int at = 0; at < 256; at++)
        all[at] = (uint8_t)at;
    struct fbat_new_event event = plain();
    event.payload = fbat_bytes(NULL, 0);
    assert_accepted(fixture, &event);
    event.payload = fbat_bytes(all, sizeof all);
    assert_accepted(fixture, &event);
    struct fbat_event read;
    assert_ok(fbat_latest(fixture->store, fbat_text("one"), fbat_text("scope"), &read, &fault));
    assert_slices(event.payload, read.payload);
    fbat_event_release(&read);
    event.payload = fbat_bytes(NULL, 1);
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "payload");
}

/* ---- other fields ---- */

static void fields_out_of_range_are_named(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    event.struct_size--;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "struct_size");
    event = plain();
    event.has_event_time = 2;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "has_event_time");
    event = plain();
    event.expect = (enum fbat_expect)4;
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "expect");
    event = plain();
    event.causation_item = 2; /* itself, or one that is not there */
    assert_refused(fixture, FBAT_ERR_ARGUMENT, &event, "causation_item");
    event = plain();
    event.causation = id_of("cause");
    event.causation_item = 1;
    const struct fbat_new_event batch[] = {plain(), event};
    assert_status(FBAT_ERR_ARGUMENT, fbat_append_batch(fixture->store, batch, 2, NULL, NULL, &fault));
    assert_message_has("causation");
    assert_int_equal(fault.item, 1);
}

static void options_out_of_range_are_named(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    struct fbat_append_options options = {.struct_size = sizeof options - 1};
    assert_status(FBAT_ERR_ARGUMENT, fbat_append(fixture->store, &event, &options, NULL, &fault));
    assert_message_has("struct_size");
    options = (struct fbat_append_options){.struct_size = sizeof options, .level = (enum fbat_level)3};
    assert_status(FBAT_ERR_ARGUMENT, fbat_append(fixture->store, &event, &options, NULL, &fault));
    assert_message_has("level");
    assert_int_equal(count_events(fixture->store), 0);
}

static void missing_arguments_are_refused(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = plain();
    assert_status(FBAT_ERR_ARGUMENT, fbat_append(fixture->store, NULL, NULL, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_append(NULL, &event, NULL, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_append_batch(fixture->store, NULL, 1, NULL, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_append_batch(fixture->store, &event, 0, NULL, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_append_batch(NULL, &event, 1, NULL, NULL, NULL));
    assert_status(FBAT_ERR_ARGUMENT, fbat_id_generate(fixture->store, NULL, &fault));
}

/* ---- batches ---- */

static struct fbat_new_event *batch_of(size_t count) {
    struct fbat_new_event *events = calloc(count, sizeof *events);
    assert_non_null(events);
    for (size_t at = 0; at < count; at++)
        events[at] = plain();
    return events;
}

static void check_batch_size(struct fixture *fixture, uint32_t most) {
    struct fbat_new_event *events = batch_of((size_t)most + 1);
    struct fbat_receipt *receipts = calloc((size_t)most + 1, sizeof *receipts);
    assert_status(FBAT_ERR_TOO_LARGE, fbat_append_batch(fixture->store, events, most + 1, NULL, receipts, &fault));
    assert_message_has("batch.max_size");
    assert_int_equal(count_events(fixture->store), 0);
    assert_ok(fbat_append_batch(fixture->store, events, most, NULL, receipts, &fault));
    assert_int_equal(count_events(fixture->store), most);
    for (uint32_t at = 0; at < most; at++)
        assert_int_equal(receipts[at].sequence, at + 1);
    free(receipts);
    free(events);
}

static void batch_has_at_most_256_events_by_default(void **state) {
    check_batch_size(opened(state), 256);
}

static void batch_has_at_most_4096_events_when_configured(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_size = FBAT_BATCH_EVENTS_MAX;
    open_store(fixture);
    check_batch_size(fixture, FBAT_BATCH_EVENTS_MAX);
}

static void batch_limit_may_be_one_event(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_size = 1;
    open_store(fixture);
    check_batch_size(fixture, 1);
}

static void batch_payloads_have_at_most_max_bytes(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_bytes = 1000;
    open_store(fixture);
    struct fbat_new_event *events = batch_of(2);
    char *payload = string_of(2000);
    events[0].payload = fbat_bytes(payload, 400);
    events[1].payload = fbat_bytes(payload, 601);
    assert_status(FBAT_ERR_TOO_LARGE, fbat_append_batch(fixture->store, events, 2, NULL, NULL, &fault));
    assert_message_has("batch.max_bytes");
    events[1].payload.size = 600;
    assert_ok(fbat_append_batch(fixture->store, events, 2, NULL, NULL, &fault));
    /* The limit is of batches: a single append has its own. */
    events[0].payload.size = 2000;
    assert_ok(fbat_append(fixture->store, events, NULL, NULL, &fault));
    free(payload);
    free(events);
}

/* A batch of the greatest limits is one frame like any other. */
static void batch_may_have_16_mib_of_payload(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_bytes = 16u << 20;
    open_store(fixture);
    struct fbat_new_event *events = batch_of(16);
    char *payload = string_of(1u << 20);
    for (int at = 0; at < 16; at++)
        events[at].payload = fbat_bytes(payload, 1u << 20);
    assert_ok(fbat_append_batch(fixture->store, events, 16, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 16);
    free(payload);
    free(events);
    close_store(fixture);
    assert_whole(fixture->dir);
}

/* Group commit promises exactly-once only with keys, so it asks for them. */
static void group_commit_requires_keys(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.group_commit_max_batch = 2;
    open_store(fixture);
    struct fbat_new_event event = plain();
    assert_refused(fixture, FBAT_ERR_IDEMPOTENCY_REQUIRED, &event, "batch.group_commit_max_batch");
    event.id = id_of("a");
    assert_ok(fbat_append(fixture->store, &event, NULL, NULL, &fault));
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("named"), &fault)); /* not a caller's append */
    static const uint32_t free_of_keys[] = {0, 1};
    for (int at = 0; at < 2; at++) {
        fixture->config.batch.group_commit_max_batch = free_of_keys[at];
        reopen_store(fixture);
        append_text(fixture->store, "one", "scope", "payload");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(entity_has_1_to_1024_bytes),
        behaviour(scope_has_1_to_1024_bytes),
        behaviour(names_are_utf8),
        behaviour(names_have_no_nul),
        behaviour(library_scope_is_reserved),
        behaviour(library_categories_are_reserved),
        behaviour(payload_types_are_the_named_ones_and_the_callers),
        behaviour(tags_have_1_to_255_bytes_of_utf8),
        behaviour(tags_together_have_65535_bytes),
        behaviour(header_names_have_1_to_255_bytes_of_utf8),
        behaviour(headers_together_have_65535_bytes),
        behaviour(payload_has_at_most_16_mib_by_default),
        behaviour(payload_has_at_most_64_mib_when_configured),
        behaviour(payload_limit_may_be_one_byte),
        behaviour(payload_may_be_empty_or_any_bytes),
        behaviour(fields_out_of_range_are_named),
        behaviour(options_out_of_range_are_named),
        behaviour(missing_arguments_are_refused),
        behaviour(batch_has_at_most_256_events_by_default),
        behaviour(batch_has_at_most_4096_events_when_configured),
        behaviour(batch_limit_may_be_one_event),
        behaviour(batch_payloads_have_at_most_max_bytes),
        behaviour(batch_may_have_16_mib_of_payload),
        behaviour(group_commit_requires_keys),
    };
    return cmocka_run_group_tests_name("api: what an append refuses", tests, NULL, NULL);
}
