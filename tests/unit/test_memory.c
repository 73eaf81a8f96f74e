/* SPDX-License-Identifier: Apache-2.0 */
/* The door to the allocator: one replaceable function sees every byte come and go. */
#include "fixture.h"

#include "base/memory.h"

struct ledger {
    size_t calls, frees;
    size_t last_size;
    bool refuse;
};

static void *keep_ledger(void *user, void *old, size_t size) {
    struct ledger *ledger = user;
    if (size == 0) {
        ledger->frees++;
        free(old);
        return NULL;
    }
    ledger->calls++;
    ledger->last_size = size;
    return ledger->refuse ? NULL : realloc(old, size);
}

static int count_memory(void **state) {
    struct ledger *ledger = calloc(1, sizeof *ledger);
    memory_set_allocator(keep_ledger, ledger);
    *state = ledger;
    return ledger ? 0 : -1;
}

static int restore_memory(void **state) {
    memory_set_allocator(NULL, NULL);
    free(*state);
    return 0;
}

static void every_call_goes_through_the_function(void **state) {
    struct ledger *ledger = *state;
    void *memory = memory_allocate(100);
    assert_non_null(memory);
    assert_int_equal(ledger->last_size, 100);
    memory = memory_resize(memory, 200);
    assert_non_null(memory);
    assert_int_equal(ledger->last_size, 200);
    memory_free(memory);
    assert_true(ledger->calls == 2 && ledger->frees == 1);
}

static void zeroed_memory_is_zero(void **state) {
    (void)state;
    for (size_t size = 1; size < 3000; size *= 3) {
        void *dirty = memory_allocate(size);
        assert_non_null(dirty);
        memset(dirty, 0xff, size);
        memory_free(dirty);
        uint8_t *memory = memory_allocate_zero(size);
        assert_non_null(memory);
        assert_true(bytes_are_zero(memory, size));
        memory_free(memory);
    }
}

static void no_bytes_are_memory_too(void **state) {
    struct ledger *ledger = *state;
    void *memory = memory_allocate(0);
    assert_non_null(memory);
    memory_free(memory);
    memory = memory_resize(NULL, 0);
    assert_non_null(memory);
    memory_free(memory);
    assert_int_equal(ledger->calls, ledger->frees);
}

static void freeing_nothing_does_nothing(void **state) {
    struct ledger *ledger = *state;
    memory_free(NULL);
    assert_int_equal(ledger->frees, 0);
}

static void a_refusal_comes_through_and_keeps_the_old_memory(void **state) {
    struct ledger *ledger = *state;
    char *memory = memory_allocate(4);
    assert_non_null(memory);
    memcpy(memory, "abc", 4);
    ledger->refuse = true;
    assert_null(memory_allocate(1));
    assert_null(memory_allocate_zero(1));
    assert_null(memory_resize(memory, 1000));
    assert_string_equal(memory, "abc");
    memory_free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_goes_through_the_function, count_memory, restore_memory),
        cmocka_unit_test_setup_teardown(zeroed_memory_is_zero, count_memory, restore_memory),
        cmocka_unit_test_setup_teardown(no_bytes_are_memory_too, count_memory, restore_memory),
        cmocka_unit_test_setup_teardown(freeing_nothing_does_nothing, count_memory, restore_memory),
        cmocka_unit_test_setup_teardown(a_refusal_comes_through_and_keeps_the_old_memory, count_memory, restore_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
