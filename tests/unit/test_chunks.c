/* SPDX-License-Identifier: Apache-2.0 */
/* The array that grows without moving: places stay, new elements are zero, a mapped array has the same shape. */
#include "fixture.h"

#include "base/memory.h"
#include "index/chunks.h"

enum { COUNT = 10000 };

static void elements_stay_where_they_are_while_the_array_grows(void **state) {
    (void)state;
    static uint64_t *places[COUNT];
    struct chunks chunks;
    chunks_init(&chunks, sizeof(uint64_t));
    for (uint64_t index = 0; index < COUNT; index++) {
        assert_true(chunks_reserve(&chunks, index + 1));
        places[index] = chunks_at(&chunks, index);
        *places[index] = index * 3;
    }
    for (uint64_t index = 0; index < COUNT; index++) {
        assert_ptr_equal(chunks_at(&chunks, index), places[index]);
        assert_int_equal(*places[index], index * 3);
    }
    chunks_deinit(&chunks);
}

static void new_elements_are_zero(void **state) {
    (void)state;
    struct chunks chunks;
    chunks_init(&chunks, 32);
    assert_true(chunks_reserve(&chunks, COUNT));
    for (uint64_t index = 0; index < COUNT; index++)
        assert_true(bytes_are_zero(chunks_at(&chunks, index), 32));
    chunks_deinit(&chunks);
}

static void no_two_elements_share_memory(void **state) {
    (void)state;
    struct chunks chunks;
    chunks_init(&chunks, sizeof(uint32_t));
    assert_true(chunks_reserve(&chunks, COUNT));
    for (uint32_t index = 0; index < COUNT; index++)
        *(uint32_t *)chunks_at(&chunks, index) = index;
    for (uint32_t index = 0; index < COUNT; index++)
        assert_int_equal(*(uint32_t *)chunks_at(&chunks, index), index);
    chunks_deinit(&chunks);
}

static void chunks_laid_end_to_end_are_the_array(void **state) {
    (void)state;
    for (unsigned k = 0; k + 1 < CHUNKS_MAX; k++)
        assert_int_equal(chunk_start(k) + chunk_size(k), chunk_start(k + 1));
    assert_int_equal(chunk_start(0), 0);
    assert_true(chunk_start(CHUNKS_MAX - 1) + chunk_size(CHUNKS_MAX - 1) > UINT32_C(0x7fffffff));
}

static void a_mapped_array_is_read_in_place(void **state) {
    (void)state;
    uint64_t *array = malloc(COUNT * sizeof *array);
    struct chunks chunks;
    assert_non_null(array);
    for (uint64_t index = 0; index < COUNT; index++)
        array[index] = index;
    chunks_init_mapped(&chunks, sizeof *array, array, COUNT);
    for (uint64_t index = 0; index < COUNT; index++)
        assert_ptr_equal(chunks_at(&chunks, index), &array[index]);
    assert_int_equal(chunks.room, COUNT);
    chunks_deinit(&chunks); /* leaves the array alone */
    assert_int_equal(array[COUNT - 1], COUNT - 1);
    free(array);
}

static void reserving_less_than_there_is_changes_nothing(void **state) {
    (void)state;
    struct chunks chunks;
    chunks_init(&chunks, 8);
    assert_true(chunks_reserve(&chunks, 1));
    uint64_t room = chunks.room, memory = chunks.memory_bytes;
    assert_true(chunks_reserve(&chunks, room));
    assert_int_equal(chunks.room, room);
    assert_int_equal(chunks.memory_bytes, memory);
    assert_int_equal(memory, room * 8);
    chunks_deinit(&chunks);
}

static void *refuse_memory(void *user, void *old, size_t size) {
    bool *refusing = user;
    if (size == 0) {
        free(old);
        return NULL;
    }
    return *refusing ? NULL : realloc(old, size);
}

static void running_out_of_memory_keeps_what_there_was(void **state) {
    (void)state;
    bool refusing = false;
    struct chunks chunks;
    memory_set_allocator(refuse_memory, &refusing);
    chunks_init(&chunks, 8);
    assert_true(chunks_reserve(&chunks, 1024));
    *(uint64_t *)chunks_at(&chunks, 1023) = 5;
    refusing = true;
    assert_false(chunks_reserve(&chunks, 1025));
    assert_int_equal(chunks.room, 1024);
    assert_int_equal(*(uint64_t *)chunks_at(&chunks, 1023), 5);
    refusing = false;
    assert_true(chunks_reserve(&chunks, 1025));
    chunks_deinit(&chunks);
    memory_set_allocator(NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_stay_where_they_are_while_the_array_grows),
        cmocka_unit_test(new_elements_are_zero),
        cmocka_unit_test(no_two_elements_share_memory),
        cmocka_unit_test(chunks_laid_end_to_end_are_the_array),
        cmocka_unit_test(a_mapped_array_is_read_in_place),
        cmocka_unit_test(reserving_less_than_there_is_changes_nothing),
        cmocka_unit_test(running_out_of_memory_keeps_what_there_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
