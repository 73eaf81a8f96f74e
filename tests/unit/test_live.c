/* SPDX-License-Identifier: Apache-2.0 */
/* The page in LOCK: what counts while a writer is at work, and what after it has closed the store. */
#include "fixture.h"

#include "format/live.h"

static struct live sample(enum live_state state) {
    return (struct live){
        .state = state,
        .store_id = id_of_byte(0x42),
        .pid = 4711,
        .visible_sequence = 120,
        .durable_sequence = 100,
        .segment_id = 3,
        .end = 8192,
    };
}

static struct live decode_exact(const uint8_t *bytes) {
    struct live live;
    uint8_t *copy = exact_copy(bytes, LIVE_BYTES);
    memset(&live, 0xee, sizeof live);
    live_decode(copy, &live);
    free(copy);
    return live;
}

static void assert_says_nothing(const struct live *live) {
    assert_int_equal(live->state, LIVE_UNKNOWN);
    assert_int_equal(live->durable_sequence, 0);
    assert_int_equal(live->visible_sequence, 0);
}

static void what_is_encoded_is_decoded_in_both_states(void **state) {
    (void)state;
    for (unsigned at = LIVE_OPEN; at <= LIVE_CLOSED; at++) {
        uint8_t bytes[LIVE_BYTES];
        struct live live = sample((enum live_state)at);
        live_encode(&live, bytes);
        struct live got = decode_exact(bytes);
        assert_int_equal(got.state, at);
        assert_memory_equal(got.store_id.bytes, live.store_id.bytes, 16);
        assert_int_equal(got.pid, 4711);
        assert_int_equal(got.visible_sequence, 120);
        assert_int_equal(got.durable_sequence, 100);
        assert_int_equal(got.segment_id, 3);
        assert_int_equal(got.end, 8192);
    }
}

static void every_flipped_bit_of_a_closed_page_makes_it_say_nothing(void **state) {
    (void)state;
    uint8_t bytes[LIVE_BYTES];
    struct live live = sample(LIVE_CLOSED);
    live_encode(&live, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct live got = decode_exact(bytes);
        assert_says_nothing(&got);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void the_durable_sequence_of_an_open_page_counts_only_with_its_check(void **state) {
    (void)state;
    uint8_t bytes[LIVE_BYTES];
    struct live live = sample(LIVE_OPEN);
    live_encode(&live, bytes);
    for (size_t bit = 8 * LIVE_DURABLE_AT; bit < 8 * LIVE_SEGMENT_AT; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct live got = decode_exact(bytes);
        assert_int_equal(got.state, LIVE_OPEN);
        assert_int_equal(got.durable_sequence, 0);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void an_open_page_needs_no_checksum(void **state) {
    (void)state;
    uint8_t bytes[LIVE_BYTES];
    struct live live = sample(LIVE_OPEN);
    live_encode(&live, bytes);
    assert_int_equal(load_u32(bytes + LIVE_CRC_AT), 0);
    store_u64(bytes + LIVE_VISIBLE_AT, 121);
    struct live got = decode_exact(bytes);
    assert_int_equal(got.visible_sequence, 121);
}

/* The two were read at different moments. */
static void what_is_durable_is_visible(void **state) {
    (void)state;
    uint8_t bytes[LIVE_BYTES];
    struct live live = sample(LIVE_OPEN);
    live.visible_sequence = 99;
    live_encode(&live, bytes);
    struct live got = decode_exact(bytes);
    assert_int_equal(got.visible_sequence, 100);
}

static void another_magic_version_or_state_says_nothing(void **state) {
    (void)state;
    static const size_t places[] = {0, 7, LIVE_VERSION_AT, LIVE_STATE_AT};
    for (size_t at = 0; at < COUNT_OF(places); at++) {
        uint8_t bytes[LIVE_BYTES];
        struct live live = sample(LIVE_OPEN);
        live_encode(&live, bytes);
        bytes[places[at]] ^= 4;
        struct live got = decode_exact(bytes);
        assert_says_nothing(&got);
    }
}

static void zeros_say_nothing(void **state) {
    (void)state;
    uint8_t zeros[LIVE_BYTES] = {0};
    struct live got = decode_exact(zeros);
    assert_says_nothing(&got);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded_in_both_states),
        cmocka_unit_test(every_flipped_bit_of_a_closed_page_makes_it_say_nothing),
        cmocka_unit_test(the_durable_sequence_of_an_open_page_counts_only_with_its_check),
        cmocka_unit_test(an_open_page_needs_no_checksum),
        cmocka_unit_test(what_is_durable_is_visible),
        cmocka_unit_test(another_magic_version_or_state_says_nothing),
        cmocka_unit_test(zeros_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
