/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 against the examples of FIPS 180-4, in one piece and in two. */
#include "fixture.h"

static void assert_hash(const char *text, const char *hex) {
    uint8_t wanted[32], got[32];
    assert_int_equal(bytes_of_hex(hex, wanted, sizeof wanted), 32);
    size_t size = strlen(text);
    for (size_t cut = 0; cut <= size; cut++) {
        uint8_t *first = exact_copy(text, cut), *second = exact_copy(text + cut, size - cut);
        sha256_of(first, cut, second, size - cut, got);
        assert_memory_equal(got, wanted, 32);
        free(first);
        free(second);
    }
}

static void the_empty_message(void **state) {
    (void)state;
    assert_hash("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void the_one_block_message(void **state) {
    (void)state;
    assert_hash("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void the_two_block_message_cut_anywhere(void **state) {
    (void)state;
    assert_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void a_million_times_a(void **state) {
    uint8_t wanted[32], got[32];
    size_t size = 1000000;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'a', size);
    bytes_of_hex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", wanted, sizeof wanted);
    (void)state;
    sha256_of(text, size, NULL, 0, got);
    assert_memory_equal(got, wanted, 32);
    free(text);
}

static void pieces_without_memory_count_as_empty(void **state) {
    (void)state;
    uint8_t with_null[32], without[32];
    sha256_of(NULL, 0, "x", 1, with_null);
    sha256_of("x", 1, NULL, 0, without);
    assert_memory_equal(with_null, without, 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_empty_message),
        cmocka_unit_test(the_one_block_message),
        cmocka_unit_test(the_two_block_message_cut_anywhere),
        cmocka_unit_test(a_million_times_a),
        cmocka_unit_test(pieces_without_memory_count_as_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
