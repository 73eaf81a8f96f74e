/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id runs: with them every id is found that is there and none that is not, whatever is missing, damaged, cut short or
 * going on at the same time; and they save the work they are there to save.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "format/id_run.h"
#include "index/id_runs.h"
#include "support/alloc_fail.h"
#include "support/test.h"

enum { EVENTS_MAX = 8192, NAMES_MAX = 512 };

/* A log whose ids are random, and all of them. */
struct world {
    struct log log;
    struct test_random random;
    struct fbat_id ids[EVENTS_MAX + 1]; /* by sequence */
};

static struct fbat_id random_id(struct test_random *random) {
    struct fbat_id id;
    test_random_fill(random, id.bytes, sizeof id.bytes);
    return id;
}

static int enter_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    log_init(&world->log);
    world->random = test_random_init(4711);
    *state = world;
    return 0;
}

static void end_world(struct world *world) {
    log_deinit(&world->log);
    free(world);
}

static int leave_world(void **state) {
    end_world(*state);
    return 0;
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, enter_world, leave_world)

static void append_id(struct world *world, struct fbat_id id) {
    assert_true(world->log.next_sequence <= EVENTS_MAX);
    world->ids[world->log.next_sequence] = id;
    log_append(&world->log, &(struct log_event){.id = id}, 1);
}

static void append_random(struct world *world, unsigned count) {
    for (unsigned k = 0; k < count; k++)
        append_id(world, random_id(&world->random));
}

/* Segments of `events` events each, sealed. */
static void add_segments(struct world *world, unsigned segments, unsigned events) {
    for (unsigned k = 0; k < segments; k++) {
        append_random(world, events);
        log_rotate(&world->log);
    }
}

static int maintain(struct world *world, bool *out_more, struct fbat_error *error) {
    return id_runs_maintain(world->log.os, LOG_DIR, &world->log.store_id, &world->log.directory, NULL, out_more, error);
}

/* Maintains until nothing is due; the number of steps. */
static unsigned maintain_all(struct world *world) {
    bool more = true;
    for (unsigned steps = 0;; steps++) {
        struct fbat_error error;
        if (maintain(world, &more, &error) != FBAT_OK)
            fail_msg("%s", error.message);
        if (!more)
            return steps;
        assert_true(steps < 1000);
    }
}

static int open_runs(struct world *world, bool writable) {
    return id_runs_open(world->log.os, LOG_DIR, &world->log.store_id, writable, &world->log.directory, NULL);
}

static uint64_t find(struct segment_list *list, uint64_t visible, const struct fbat_id *id) {
    struct segment_index *index = NULL;
    uint32_t position = 0;
    int status = segment_list_find_id(list, visible, id, segment_index_id_hash(id), &index, &position, NULL);
    uint64_t sequence = status == FBAT_OK ? segment_index_row(index, position)->sequence : 0;
    segment_index_release(index);
    return sequence;
}

/* Every id is found at its sequence, and random ones are not. */
static void expect_right_answers_up_to(struct world *world, uint64_t last) {
    struct segment_list *list = directory_acquire(&world->log.directory);
    uint64_t visible = directory_visible(&world->log.directory);
    for (uint64_t sequence = 1; sequence <= last; sequence++)
        if (find(list, visible, &world->ids[sequence]) != sequence)
            fail_msg("sequence %llu is not found by its id", (unsigned long long)sequence);
    for (int k = 0; k < 200; k++) {
        struct fbat_id id = random_id(&world->random);
        assert_int_equal(find(list, visible, &id), 0);
    }
    segment_list_release(list);
}

static void expect_right_answers(struct world *world) {
    expect_right_answers_up_to(world, world->log.next_sequence - 1);
}

/* ---- files ---- */

struct name_list {
    char names[NAMES_MAX][ID_RUN_NAME_BYTES];
    size_t count;
};

static int note_run_file(void *user, const char *path) {
    struct name_list *list = user;
    const char *name = strrchr(path, '/') + 1;
    if (strncmp(name, "ids-", 4) == 0) {
        assert_true(list->count < NAMES_MAX);
        snprintf(list->names[list->count++], sizeof list->names[0], "%s", name);
    }
    return 0;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(a, b);
}

/* The names of all run files, in order, with blanks between. */
static const char *run_files(struct world *world) {
    static char text[NAMES_MAX * ID_RUN_NAME_BYTES];
    static struct name_list list;
    list.count = 0;
    os_sim_files(world->log.sim, note_run_file, &list);
    qsort(list.names, list.count, sizeof list.names[0], compare_names);
    text[0] = '\0';
    for (size_t at = 0; at < list.count; at++) {
        strcat(text, at ? " " : "");
        strcat(text, list.names[at]);
    }
    return text;
}

static void path_of(const char *name, char *path, size_t size) {
    snprintf(path, size, LOG_DIR "/%s", name);
}

/* The name of the run of the k-th four segments, from 0. */
static const char *name_of_four(unsigned k) {
    static char name[ID_RUN_NAME_BYTES];
    id_run_name((struct id_run_range){4 * k + 1, 4 * k + 4}, false, name);
    return name;
}

/* A copy of a file of the store; free it. */
static uint8_t *copy_file(struct world *world, const char *name, uint64_t *out_size) {
    char path[128];
    const uint8_t *bytes;
    path_of(name, path, sizeof path);
    assert_true(os_sim_file_bytes(world->log.sim, path, &bytes, out_size));
    return exact_copy(bytes, (size_t)*out_size);
}

static void set_file(struct world *world, const char *name, const uint8_t *bytes, uint64_t size) {
    char path[128];
    path_of(name, path, sizeof path);
    assert_true(os_sim_set_file_bytes(world->log.sim, path, bytes, size));
}

static void flip(struct world *world, const char *name, uint64_t offset) {
    char path[128];
    path_of(name, path, sizeof path);
    assert_true(os_sim_flip(world->log.sim, path, offset, 0x10));
}

/* The ranges of the runs in use: "1-16 17-20". */
static const char *runs_in_use(struct world *world) {
    static char text[1024];
    struct segment_list *list = directory_acquire(&world->log.directory);
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t at = 0; list->runs && at < list->runs->count; at++) {
        const struct id_run_range range = list->runs->runs[at]->header.range;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d-%d", at ? " " : "", (int)range.first,
                                 (int)range.last);
    }
    segment_list_release(list);
    return text;
}

/* ---- starting again ---- */

/* Opens the store's segments anew, in a process of its own: what can be sealed is, the last one is taken as empty. */
static void reopen_segments(struct world *world, int64_t pid) {
    struct log *log = &world->log;
    directory_deinit(&log->directory);
    log->os = os_sim_process(log->sim, pid);
    assert_true(directory_init(&log->directory));
    uint64_t last_sequence = 0;
    for (uint64_t id = 1;; id++) {
        struct segment *segment;
        struct segment_index *index;
        const char *fault;
        if (segment_open(log->os, LOG_DIR, id, &log->store_id, SEGMENT_READ, &segment, NULL) != FBAT_OK)
            break;
        if (segment_index_open_footer(segment, &index, &fault, NULL) == FBAT_OK)
            last_sequence = index->summary.last_sequence;
        else
            assert_int_equal(segment_index_create(segment, &index, NULL), FBAT_OK);
        segment_forget_file(segment);
        assert_int_equal(directory_append(&log->directory, index, NULL), FBAT_OK);
        log->active = index;
    }
    directory_set_visible(&log->directory, last_sequence);
}

/* The next segment, while the one before stays without a footer. */
static void start_segment_unsealed(struct log *log, uint64_t segment_id) {
    const struct segment_header header = {
        .store_id = log->store_id,
        .segment_id = segment_id,
        .first_sequence = log->next_sequence,
        .capacity = 1 << 20,
        .durable_sequence = log->next_sequence - 1,
        .last_recorded_us = log->last_recorded_us,
    };
    struct segment *segment;
    assert_int_equal(segment_create(log->os, LOG_DIR, &header, &segment, NULL), FBAT_OK);
    assert_int_equal(segment_index_create(segment, &log->active, NULL), FBAT_OK);
    assert_int_equal(directory_append(&log->directory, log->active, NULL), FBAT_OK);
}

/* ---- making ---- */

static void every_id_is_found_at_every_number_of_segments(void **state) {
    struct world *world = *state;
    for (unsigned segments = 0; segments < 70; segments++) {
        add_segments(world, 1, 1 + segments % 7);
        maintain_all(world);
        expect_right_answers(world);
    }
    append_random(world, 3);
    expect_right_answers(world);
    assert_string_equal(runs_in_use(world), "1-64 65-68");
}

static void runs_of_four_neighbours_become_one_and_the_parts_go(void **state) {
    struct world *world = *state;
    static const struct {
        unsigned segments;
        const char *files;
    } steps[] = {
        {0, ""},
        {3, ""},
        {4, "ids-000001-000004.fbati"},
        {7, "ids-000001-000004.fbati"},
        {8, "ids-000001-000004.fbati ids-000005-000008.fbati"},
        {15, "ids-000001-000004.fbati ids-000005-000008.fbati ids-000009-000012.fbati"},
        {16, "ids-000001-000016.fbati"},
        {21, "ids-000001-000016.fbati ids-000017-000020.fbati"},
    };
    unsigned segments = 0;
    for (size_t at = 0; at < COUNT_OF(steps); at++) {
        for (; segments < steps[at].segments; segments++) {
            add_segments(world, 1, 2);
            maintain_all(world);
        }
        assert_string_equal(run_files(world), steps[at].files);
    }
}

static void one_call_makes_one_run_and_says_whether_to_call_again(void **state) {
    struct world *world = *state;
    add_segments(world, 16, 3);
    static const char *const in_use[] = {
        "1-4", "1-4 5-8", "1-4 5-8 9-12", "1-4 5-8 9-12 13-16", "1-16",
    };
    bool more = false;
    for (size_t at = 0; at < COUNT_OF(in_use); at++) {
        assert_int_equal(maintain(world, &more, NULL), FBAT_OK);
        assert_true(more);
        assert_string_equal(runs_in_use(world), in_use[at]);
        expect_right_answers(world);
    }
    assert_int_equal(maintain(world, &more, NULL), FBAT_OK);
    assert_false(more);
}

static void a_group_with_an_unsealed_segment_waits_and_others_do_not(void **state) {
    struct world *world = *state;
    add_segments(world, 1, 5);
    append_random(world, 5);
    start_segment_unsealed(&world->log, 3);
    add_segments(world, 6, 5);
    maintain_all(world);
    assert_string_equal(runs_in_use(world), "5-8");
    expect_right_answers(world);
    add_segments(world, 12, 5);
    maintain_all(world);
    assert_string_equal(runs_in_use(world), "5-8 9-12 13-16 17-20"); /* 5 is not where 16 segments begin */
    expect_right_answers(world);
}

struct durability {
    struct os_sim *sim;
    unsigned not_durable;
};

static int look_whether_durable(void *user, const char *path) {
    struct durability *found = user;
    if (!strstr(path, "/ids-"))
        return 0;
    const uint8_t *cache, *disk;
    uint64_t cache_size, disk_size;
    found->not_durable += !(os_sim_file_bytes(found->sim, path, &cache, &cache_size) &&
                            os_sim_disk_bytes(found->sim, path, &disk, &disk_size) && cache_size == disk_size &&
                            memcmp(cache, disk, (size_t)cache_size) == 0);
    return 0;
}

static void a_run_in_use_is_durable_with_its_name(void **state) {
    struct world *world = *state;
    struct durability found = {.sim = world->log.sim};
    assert_int_equal(world->log.os->methods->dir_sync(world->log.os, "/"), 0);
    add_segments(world, 20, 5);
    maintain_all(world);
    os_sim_files(world->log.sim, look_whether_durable, &found);
    assert_string_equal(runs_in_use(world), "1-16 17-20");
    assert_int_equal(found.not_durable, 0);
}

static void ids_that_collide_are_told_apart(void **state) {
    struct world *world = *state;
    /* Homes in the last slot of a table of 1024: one cluster that goes on at the table's front, and one bucket. */
    for (int segment = 0; segment < 16; segment++) {
        for (int k = 0; k < 60; k++) {
            struct fbat_id id = random_id(&world->random);
            while (k % 3 && segment_index_id_hash(&id) >> 54 != 1023)
                id = random_id(&world->random);
            append_id(world, id);
        }
        log_rotate(&world->log);
        maintain_all(world);
    }
    assert_string_equal(runs_in_use(world), "1-16");
    expect_right_answers(world);
    struct segment_list *list = directory_acquire(&world->log.directory);
    for (int k = 0; k < 1000; k++) { /* absent ones, in that bucket */
        struct fbat_id id = random_id(&world->random);
        while (segment_index_id_hash(&id) >> 54 != 1023)
            id = random_id(&world->random);
        assert_int_equal(find(list, UINT64_MAX, &id), 0);
    }
    segment_list_release(list);
}

/* ---- what it saves ---- */

static void a_run_names_the_segment_of_each_id_and_hardly_any_other_for_little_heap(void **state) {
    struct world *world = *state;
    add_segments(world, 64, 50);
    maintain_all(world);
    struct segment_list *list = directory_acquire(&world->log.directory);
    assert_int_equal(list->runs->count, 1);
    struct id_run *run = list->runs->runs[0];
    struct id_run_probe probe;
    uint64_t segment_id;
    unsigned others = 0;
    for (uint64_t sequence = 1; sequence < world->log.next_sequence; sequence++) {
        bool named = false;
        assert_true(id_run_first(run, segment_index_id_hash(&world->ids[sequence]), &probe));
        while (id_run_next(&probe, &segment_id)) {
            bool right = segment_id == (sequence - 1) / 50 + 1;
            named |= right;
            others += !right;
        }
        assert_true(named);
    }
    assert_int_equal(others, 0);
    for (int k = 0; k < 100000; k++) {
        assert_true(id_run_first(run, test_random_u64(&world->random), &probe));
        others += id_run_next(&probe, &segment_id);
    }
    assert_true(id_run_set_memory(list->runs) < 512 && id_run_set_memory(NULL) == 0);
    assert_true(others <= 2); /* 26 bits of fingerprint, 16 entries at most on average: 2.4 in 10 million */
    segment_list_release(list);
}

static void segments_that_a_run_does_not_name_are_not_asked(void **state) {
    struct world *world = *state;
    add_segments(world, 4, 20);
    maintain_all(world);
    struct segment_list *list = directory_acquire(&world->log.directory);
    /* A segment that claims to hold nothing any more would not be noticed by a lookup that does not ask it. */
    uint64_t sequence = 25; /* in segment 2 */
    struct slots_table *table = atomic_load(&list->slots[1]->index->id_slots.table);
    uint64_t size = table->size;
    table->size = 0; /* no probe of it finds anything */
    assert_int_equal(find(list, UINT64_MAX, &world->ids[sequence]), 0);
    assert_int_equal(find(list, UINT64_MAX, &world->ids[sequence + 20]), sequence + 20);
    table->size = size;
    assert_int_equal(find(list, UINT64_MAX, &world->ids[sequence]), sequence);
    segment_list_release(list);
}

static void an_id_is_not_found_before_it_is_visible(void **state) {
    struct world *world = *state;
    add_segments(world, 5, 4);
    maintain_all(world);
    struct segment_list *list = directory_acquire(&world->log.directory);
    for (uint64_t visible = 0; visible <= 20; visible++)
        for (uint64_t sequence = 1; sequence <= 20; sequence++)
            assert_int_equal(find(list, visible, &world->ids[sequence]), sequence <= visible ? sequence : 0);
    segment_list_release(list);
}

/* ---- opening ---- */

static void runs_are_found_again(void **state) {
    struct world *world = *state;
    add_segments(world, 22, 10);
    maintain_all(world);
    reopen_segments(world, 101);
    assert_int_equal(open_runs(world, true), FBAT_OK);
    assert_string_equal(runs_in_use(world), "1-16 17-20");
    assert_int_equal(maintain_all(world), 0);
    expect_right_answers(world);
}

static void what_a_longer_run_covers_is_removed_by_a_writer_only(void **state) {
    struct world *world = *state;
    add_segments(world, 12, 10);
    maintain_all(world);
    uint64_t size, whole_size;
    uint8_t *part = copy_file(world, "ids-000005-000008.fbati", &size);
    add_segments(world, 4, 10);
    maintain_all(world);
    uint8_t *whole = copy_file(world, "ids-000001-000016.fbati", &whole_size);
    set_file(world, "ids-000005-000008.fbati", part, size);
    set_file(world, "ids-000001-000004.fbati.new", whole, 100);
    const char *before = "ids-000001-000004.fbati.new ids-000001-000016.fbati ids-000005-000008.fbati";
    assert_string_equal(run_files(world), before);
    reopen_segments(world, 101);
    assert_int_equal(open_runs(world, false), FBAT_OK);
    assert_string_equal(runs_in_use(world), "1-16");
    assert_string_equal(run_files(world), before);
    assert_int_equal(open_runs(world, true), FBAT_OK);
    assert_string_equal(run_files(world), "ids-000001-000016.fbati");
    expect_right_answers(world);
    free(part);
    free(whole);
}

static void an_invalid_run_is_ignored_and_the_parts_of_it_serve(void **state) {
    struct world *world = *state;
    uint64_t sizes[3], whole_size;
    uint8_t *parts[3];
    add_segments(world, 12, 10);
    maintain_all(world);
    for (unsigned k = 0; k < 3; k++)
        parts[k] = copy_file(world, name_of_four(k), &sizes[k]);
    add_segments(world, 4, 10);
    maintain_all(world);
    uint8_t *whole = copy_file(world, "ids-000001-000016.fbati", &whole_size);
    for (unsigned at = 0; at < ID_RUN_HEADER_BYTES; at += 7) {
        for (unsigned k = 0; k < 3; k++)
            set_file(world, name_of_four(k), parts[k], sizes[k]);
        set_file(world, "ids-000001-000016.fbati", whole, whole_size);
        flip(world, "ids-000001-000016.fbati", at);
        assert_int_equal(open_runs(world, at % 2), FBAT_OK);
        reopen_segments(world, 200 + at);
        assert_int_equal(open_runs(world, at % 2), FBAT_OK);
        assert_string_equal(runs_in_use(world), "1-4 5-8 9-12");
        expect_right_answers(world);
    }
    assert_int_equal(maintain_all(world), 2);
    assert_string_equal(run_files(world), "ids-000001-000016.fbati");
    for (unsigned k = 0; k < 3; k++)
        free(parts[k]);
    free(whole);
}

static void a_run_of_another_size_is_ignored(void **state) {
    struct world *world = *state;
    add_segments(world, 4, 10);
    maintain_all(world);
    uint64_t size;
    uint8_t *bytes = copy_file(world, "ids-000001-000004.fbati", &size);
    for (uint64_t cut = 0; cut < size; cut += 511) {
        set_file(world, "ids-000001-000004.fbati", bytes, cut);
        reopen_segments(world, (int64_t)(200 + cut));
        assert_int_equal(open_runs(world, true), FBAT_OK);
        assert_string_equal(runs_in_use(world), "");
        assert_string_equal(run_files(world), "");
    }
    expect_right_answers(world);
    free(bytes);
}

static void a_run_of_other_segments_is_ignored(void **state) {
    struct world *world = *state;
    add_segments(world, 8, 10);
    maintain_all(world);
    uint64_t size;
    uint8_t *bytes = copy_file(world, "ids-000005-000008.fbati", &size);
    void *state_of_other;
    enter_world(&state_of_other);
    struct world *other = state_of_other;
    other->random = test_random_init(4712);
    add_segments(other, 8, 10); /* the same store id, counts and sequences, but other events */
    set_file(other, "ids-000005-000008.fbati", bytes, size);
    set_file(other, "ids-000009-000012.fbati", bytes, size);
    assert_int_equal(open_runs(other, true), FBAT_OK);
    assert_string_equal(runs_in_use(other), "");
    assert_string_equal(run_files(other), "");
    expect_right_answers(other);
    end_world(other);
    free(bytes);
}

static void a_run_of_another_name_is_ignored(void **state) {
    struct world *world = *state;
    add_segments(world, 8, 10);
    maintain_all(world);
    uint64_t size;
    uint8_t *bytes = copy_file(world, "ids-000005-000008.fbati", &size);
    set_file(world, "ids-000001-000004.fbati", bytes, size);
    reopen_segments(world, 101);
    assert_int_equal(open_runs(world, false), FBAT_OK);
    assert_string_equal(runs_in_use(world), "5-8");
    expect_right_answers(world);
    free(bytes);
}

static void a_run_that_cannot_be_opened_now_is_kept_for_later(void **state) {
    struct world *world = *state;
    add_segments(world, 4, 5);
    maintain_all(world);
    reopen_segments(world, 101);
    static const unsigned classes[] = {OS_SIM_OPENS, OS_SIM_READS, OS_SIM_MAPS};
    for (size_t at = 0; at < COUNT_OF(classes); at++) {
        os_sim_fail_nth(world->log.sim, classes[at], 1, 24 /* EMFILE */);
        assert_int_equal(open_runs(world, true), FBAT_OK);
        assert_true(os_sim_fault_fired(world->log.sim));
        assert_string_equal(runs_in_use(world), "");
        assert_string_equal(run_files(world), "ids-000001-000004.fbati");
        expect_right_answers(world);
    }
    assert_int_equal(open_runs(world, true), FBAT_OK);
    assert_string_equal(runs_in_use(world), "1-4");
}

static void a_second_opening_takes_up_what_has_come_since(void **state) {
    struct world *world = *state, reader;
    add_segments(world, 16, 5);
    reader = *world;
    memset(&reader.log.directory, 0, sizeof reader.log.directory); /* one of its own */
    reopen_segments(&reader, 101);
    maintain_all(world);
    assert_string_equal(runs_in_use(&reader), "");
    assert_int_equal(open_runs(&reader, false), FBAT_OK);
    assert_string_equal(runs_in_use(&reader), "1-16");
    expect_right_answers(&reader);
    struct segment_list *list = directory_acquire(&reader.log.directory);
    assert_int_equal(open_runs(&reader, false), FBAT_OK);
    struct segment_list *again = directory_acquire(&reader.log.directory);
    assert_ptr_equal(list->runs->runs[0], again->runs->runs[0]);
    segment_list_release(again);
    segment_list_release(list);
    directory_deinit(&reader.log.directory);
}

static void a_list_keeps_its_runs_while_they_are_merged(void **state) {
    struct world *world = *state;
    add_segments(world, 15, 5);
    maintain_all(world);
    struct segment_list *before = directory_acquire(&world->log.directory);
    add_segments(world, 1, 5);
    maintain_all(world);
    assert_string_equal(run_files(world), "ids-000001-000016.fbati");
    assert_int_equal(before->runs->count, 3);
    for (uint64_t sequence = 1; sequence <= 75; sequence++)
        assert_int_equal(find(before, 75, &world->ids[sequence]), sequence);
    segment_list_release(before);
}

/* ---- damage ---- */

static void a_page_that_went_bad_is_noticed_and_the_run_made_again(void **state) {
    struct world *world = *state;
    add_segments(world, 16, 100);
    maintain_all(world);
    uint64_t size;
    free(copy_file(world, "ids-000001-000016.fbati", &size));
    struct id_run_header header = {.range = {1, 16}, .entry_count = 1600};
    id_run_choose_bits(&header);
    id_run_lay_out(&header);
    for (uint64_t at = header.buckets_offset; at < size; at += 97) {
        reopen_segments(world, (int64_t)(200 + at));
        flip(world, "ids-000001-000016.fbati", at);
        assert_int_equal(open_runs(world, true), FBAT_OK);
        assert_string_equal(runs_in_use(world), "1-16");
        expect_right_answers(world);
        if (at % 5 != 0 && maintain_all(world) == 0)
            fail_msg("the flip at %llu was not noticed", (unsigned long long)at);
        if (at % 5 == 0) /* noticed by nobody: the file is as before */
            flip(world, "ids-000001-000016.fbati", at);
        else
            assert_string_equal(run_files(world), "ids-000001-000016.fbati");
    }
    expect_right_answers(world);
}

static void a_damaged_part_is_found_when_it_is_merged(void **state) {
    struct world *world = *state;
    add_segments(world, 15, 20);
    maintain_all(world);
    add_segments(world, 1, 20);
    flip(world, "ids-000005-000008.fbati", 2 * ID_RUN_PAGE_BYTES + 5);
    reopen_segments(world, 101);
    assert_int_equal(open_runs(world, true), FBAT_OK);
    /* 13-16; the merge that finds it; the removal; 5-8; the merge. */
    assert_int_equal(maintain_all(world), 5);
    assert_string_equal(run_files(world), "ids-000001-000016.fbati");
    expect_right_answers(world);
}

/* Gives a run's bytes right checksums again. */
static void reseal_run(uint8_t *bytes, const struct id_run_header *header) {
    struct id_run_header sealed = *header;
    uint32_t salt = id_run_salt(header);
    uint64_t pages = id_run_page_count(header);
    uint8_t *checksums = bytes + header->checksums_offset;
    for (uint64_t page = 0; page < pages; page++)
        store_u32(checksums + 4 * page, crc32c(bytes + header->buckets_offset + page * ID_RUN_PAGE_BYTES,
                                               ID_RUN_PAGE_BYTES, salt ^ (uint32_t)page));
    sealed.checksums_crc = crc32c(checksums, (size_t)(4 * pages), 0);
    id_run_encode(&sealed, bytes);
}

static void a_run_that_contradicts_itself_is_damaged(void **state) {
    struct world *world = *state;
    add_segments(world, 4, 20);
    maintain_all(world);
    uint64_t size;
    uint8_t *bytes = copy_file(world, "ids-000001-000004.fbati", &size);
    struct id_run_header header;
    assert_null(id_run_decode(bytes, size, &header));
    uint64_t buckets = id_run_bucket_count(&header);
    static const uint32_t wrong[] = {UINT32_MAX, 81, 1000};
    for (size_t at = 0; at < COUNT_OF(wrong); at++)
        for (uint64_t bucket = 0; bucket <= buckets; bucket++) {
            uint8_t *forged = exact_copy(bytes, (size_t)size);
            store_u32(forged + header.buckets_offset + 4 * bucket, wrong[at]);
            reseal_run(forged, &header);
            set_file(world, "ids-000001-000004.fbati", forged, size);
            reopen_segments(world, (int64_t)(200 + bucket));
            assert_int_equal(open_runs(world, true), FBAT_OK);
            assert_string_equal(runs_in_use(world), "1-4");
            expect_right_answers(world);
            assert_int_equal(maintain_all(world), 2);
            free(forged);
        }
    free(bytes);
}

static int compare_u32(const void *a, const void *b) {
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    return first < second ? -1 : first > second;
}

/* Rewrites a run as one that keeps fewer bits of the hashes. */
static void forget_bits(struct world *world, const char *name, uint32_t fingerprint_bits) {
    uint64_t size;
    uint8_t *bytes = copy_file(world, name, &size);
    struct id_run_header header;
    assert_null(id_run_decode(bytes, size, &header));
    header.key_bits = header.bucket_bits + fingerprint_bits;
    uint32_t keep = id_run_fingerprint_mask(&header) | ((UINT32_C(1) << header.segment_bits) - 1);
    uint32_t *entries = (uint32_t *)(void *)(bytes + header.entries_offset);
    const uint32_t *buckets = (const uint32_t *)(const void *)(bytes + header.buckets_offset);
    for (uint64_t at = 0; at < header.entry_count; at++)
        entries[at] &= keep;
    for (uint64_t bucket = 0; bucket < id_run_bucket_count(&header); bucket++)
        qsort(entries + buckets[bucket], buckets[bucket + 1] - buckets[bucket], sizeof *entries, compare_u32);
    reseal_run(bytes, &header);
    set_file(world, name, bytes, size);
    free(bytes);
}

static void runs_that_keep_few_bits_serve_and_are_not_merged_from(void **state) {
    struct world *world = *state;
    static const struct {
        uint32_t bits[4], key_bits; /* of the parts, beside the buckets; of the whole, beside its buckets */
    } cases[] = {
        {{30, 30, 30, 30}, 28},
        {{0, 30, 30, 30}, 28},  /* none: segments 1 to 4 are asked again */
        {{30, 30, 20, 30}, 18}, /* enough: the whole keeps as many */
        {{1, 2, 3, 4}, 28},
    };
    add_segments(world, 16, 20); /* 80 events have 8 buckets, 320 have 32 */
    for (size_t at = 0; at < COUNT_OF(cases); at++) {
        reopen_segments(world, (int64_t)(200 + at));
        bool more;
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(maintain(world, &more, NULL), FBAT_OK);
        for (unsigned k = 0; k < 4; k++)
            forget_bits(world, name_of_four(k), cases[at].bits[k]);
        reopen_segments(world, (int64_t)(300 + at));
        assert_int_equal(open_runs(world, true), FBAT_OK);
        assert_string_equal(runs_in_use(world), "1-4 5-8 9-12 13-16");
        expect_right_answers(world);
        assert_int_equal(maintain_all(world), 1);
        assert_string_equal(runs_in_use(world), "1-16");
        struct segment_list *list = directory_acquire(&world->log.directory);
        const struct id_run_header *header = &list->runs->runs[0]->header;
        assert_int_equal(header->bucket_bits, 5);
        assert_int_equal(header->key_bits, 5 + cases[at].key_bits);
        segment_list_release(list);
        expect_right_answers(world);
        assert_int_equal(world->log.os->methods->path_remove(world->log.os, LOG_DIR "/ids-000001-000016.fbati"), 0);
    }
}

/* Changes the number in a used id slot of a sealed segment. */
static void change_slot(struct world *world, const struct segment_index *index, uint32_t number) {
    const struct slots_table *table = atomic_load(&index->id_slots.table);
    uint64_t slot = 0;
    while (table->numbers[slot] == 0)
        slot++;
    uint32_t difference = table->numbers[slot] ^ number;
    char path[128];
    segment_path(LOG_DIR, index->segment->header.segment_id, path);
    uint64_t offset = (uint64_t)((const uint8_t *)&table->numbers[slot] - index->segment->map);
    for (unsigned at = 0; at < 4; at++)
        if (difference >> 8 * at & 0xff)
            assert_true(os_sim_flip(world->log.sim, path, offset + at, (uint8_t)(difference >> 8 * at)));
}

static void a_segment_whose_slots_lost_an_event_gets_no_run(void **state) {
    struct world *world = *state;
    static const uint32_t numbers[] = {21, UINT32_MAX, 0}; /* it has 20 rows */
    add_segments(world, 4, 20);
    struct segment_list *list = directory_acquire(&world->log.directory);
    for (size_t at = 0; at < COUNT_OF(numbers); at++) {
        struct fbat_error error;
        bool more = false;
        change_slot(world, list->slots[2]->index, numbers[at]);
        assert_int_equal(maintain(world, &more, &error), FBAT_ERR_DAMAGED);
        assert_int_equal(error.segment_id, 3);
        assert_string_equal(run_files(world), "");
    }
    segment_list_release(list);
}

/* ---- failure ---- */

static void a_cancelled_run_leaves_nothing_and_can_be_made_later(void **state) {
    struct world *world = *state;
    atomic_bool cancel = true;
    bool more = false;
    add_segments(world, 4, 20);
    assert_int_equal(
        id_runs_maintain(world->log.os, LOG_DIR, &world->log.store_id, &world->log.directory, &cancel, &more, NULL),
        FBAT_OK);
    assert_true(more);
    assert_string_equal(run_files(world), "");
    assert_string_equal(runs_in_use(world), "");
    assert_int_equal(maintain_all(world), 1);
    expect_right_answers(world);
}

static void make_and_open(struct world *world) {
    bool more = true;
    while (more && maintain(world, &more, NULL) == FBAT_OK)
        continue;
    (void)open_runs(world, true);
}

/* 16 segments, of which the first 12 have runs already. */
static struct world *start_fault_world(void) {
    void *state;
    enter_world(&state);
    struct world *world = state;
    assert_int_equal(world->log.os->methods->dir_sync(world->log.os, "/"), 0);
    add_segments(world, 12, 5);
    maintain_all(world);
    add_segments(world, 4, 5);
    return world;
}

static void whichever_call_fails_lookups_stay_right_and_the_next_try_succeeds(void **state) {
    (void)state;
    bool fired = true;
    for (uint64_t nth = 1; fired; nth++) {
        struct world *world = start_fault_world();
        os_sim_fail_nth(world->log.sim, OS_SIM_FALLIBLE, nth, nth % 2 ? 5 /* EIO */ : 28 /* ENOSPC */);
        make_and_open(world);
        fired = os_sim_fault_fired(world->log.sim);
        os_sim_fail_nth(world->log.sim, OS_SIM_FALLIBLE, 0, 0);
        expect_right_answers(world);
        maintain_all(world);
        expect_right_answers(world);
        reopen_segments(world, 101);
        assert_int_equal(open_runs(world, true), FBAT_OK);
        maintain_all(world);
        assert_string_equal(run_files(world), "ids-000001-000016.fbati");
        expect_right_answers(world);
        end_world(world);
        assert_true(nth < 1000);
    }
}

static void whichever_allocation_fails_lookups_stay_right_and_nothing_leaks(void **state) {
    (void)state;
    bool fired = true;
    alloc_fail_install();
    int64_t live = alloc_fail_live();
    for (uint64_t nth = 1; fired; nth++) {
        struct world *world = start_fault_world();
        alloc_fail_nth(nth);
        make_and_open(world);
        fired = alloc_fail_fired();
        alloc_fail_nth(0);
        expect_right_answers(world);
        maintain_all(world);
        assert_string_equal(runs_in_use(world), "1-16");
        expect_right_answers(world);
        end_world(world);
        assert_int_equal(alloc_fail_live(), live);
        assert_true(nth < 1000);
    }
    alloc_fail_uninstall();
}

static void after_a_power_cut_at_any_call_every_id_is_found(void **state) {
    (void)state;
    uint64_t seed = test_seed(1);
    bool stopped = true;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t nth = 1; stopped; nth++) {
        struct world *world = start_fault_world();
        os_sim_stop_nth(world->log.sim, OS_SIM_ANY, nth, nth % 3 == 0);
        make_and_open(world);
        stopped = !os_sim_is_alive(world->log.os);
        os_sim_stop_nth(world->log.sim, OS_SIM_ANY, 0, false);
        os_sim_crash(world->log.sim, seed + nth);
        reopen_segments(world, 101);
        assert_int_equal(open_runs(world, nth % 2), FBAT_OK);
        expect_right_answers(world);
        assert_int_equal(open_runs(world, true), FBAT_OK);
        maintain_all(world);
        assert_string_equal(run_files(world), "ids-000001-000016.fbati");
        expect_right_answers(world);
        end_world(world);
        assert_true(nth < 1000);
    }
}

/* The defect that page checksums are there for: what the sync said is not so. */
static void pages_that_never_reached_the_disk_are_noticed(void **state) {
    (void)state;
    uint64_t seed = test_seed(1);
    unsigned noticed = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 40; round++) {
        struct world *world = start_fault_world();
        os_sim_skip_sync(world->log.sim, true);
        maintain_all(world);
        os_sim_skip_sync(world->log.sim, false);
        os_sim_crash(world->log.sim, seed + round);
        reopen_segments(world, 101);
        assert_int_equal(open_runs(world, true), FBAT_OK);
        bool in_use = strcmp(runs_in_use(world), "1-16") == 0;
        expect_right_answers(world);
        noticed += in_use && maintain_all(world) > 0;
        end_world(world);
    }
    assert_true(noticed > 0);
}

/* ---- threads ---- */

enum { SHARED_SEGMENTS = 48, SHARED_EVENTS = 6 };

struct shared {
    struct world *world;
    _Atomic uint64_t appended; /* ids up to here may be looked for */
    atomic_bool done;
    atomic_uint wrong;
};

static void *look_up_all_the_time(void *user) {
    struct shared *shared = user;
    struct test_random random = test_random_init(99);
    while (!atomic_load(&shared->done)) {
        uint64_t appended = atomic_load(&shared->appended);
        struct segment_list *list = directory_acquire(&shared->world->log.directory);
        for (int k = 0; k < 64 && appended > 0; k++) {
            uint64_t sequence = 1 + test_random_below(&random, appended);
            struct fbat_id absent = random_id(&random);
            if (find(list, UINT64_MAX, &shared->world->ids[sequence]) != sequence)
                atomic_fetch_add(&shared->wrong, 1);
            if (find(list, UINT64_MAX, &absent) != 0)
                atomic_fetch_add(&shared->wrong, 1);
        }
        segment_list_release(list);
    }
    return NULL;
}

static void *maintain_all_the_time(void *user) {
    struct shared *shared = user;
    bool last_round = false, more = true;
    while (!last_round || more) {
        last_round = atomic_load(&shared->done);
        if (maintain(shared->world, &more, NULL) < 0)
            atomic_fetch_add(&shared->wrong, 1);
    }
    return NULL;
}

/* log_init, but with a disk that leaves mapped bytes alone while threads use them. */
static void start_quiet_log(struct log *log) {
    log_deinit(log);
    log->sim = os_sim_create(&(struct os_sim_options){.seed = 7, .no_write_back = true});
    log->os = os_sim_process(log->sim, 100);
    assert_int_equal(log->os->methods->dir_create(log->os, LOG_DIR), 0);
    assert_true(directory_init(&log->directory));
    start_segment_unsealed(log, 1);
}

static void runs_are_made_while_a_writer_appends_and_readers_look(void **state) {
    struct shared shared = {.world = *state};
    pthread_t readers[2], maintainer;
    start_quiet_log(&shared.world->log);
    for (size_t at = 0; at < COUNT_OF(readers); at++)
        assert_int_equal(pthread_create(&readers[at], NULL, look_up_all_the_time, &shared), 0);
    assert_int_equal(pthread_create(&maintainer, NULL, maintain_all_the_time, &shared), 0);
    for (unsigned segment = 0; segment < SHARED_SEGMENTS; segment++) {
        for (unsigned k = 0; k < SHARED_EVENTS; k++) {
            append_random(shared.world, 1);
            atomic_store(&shared.appended, shared.world->log.next_sequence - 1);
        }
        log_rotate(&shared.world->log);
    }
    atomic_store(&shared.done, true);
    for (size_t at = 0; at < COUNT_OF(readers); at++)
        pthread_join(readers[at], NULL);
    pthread_join(maintainer, NULL);
    assert_int_equal(atomic_load(&shared.wrong), 0);
    assert_string_equal(runs_in_use(shared.world), "1-16 17-32 33-48");
    expect_right_answers(shared.world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WORLD_TEST(every_id_is_found_at_every_number_of_segments),
        WORLD_TEST(runs_of_four_neighbours_become_one_and_the_parts_go),
        WORLD_TEST(one_call_makes_one_run_and_says_whether_to_call_again),
        WORLD_TEST(a_group_with_an_unsealed_segment_waits_and_others_do_not),
        WORLD_TEST(a_run_in_use_is_durable_with_its_name),
        WORLD_TEST(ids_that_collide_are_told_apart),
        WORLD_TEST(a_run_names_the_segment_of_each_id_and_hardly_any_other_for_little_heap),
        WORLD_TEST(segments_that_a_run_does_not_name_are_not_asked),
        WORLD_TEST(an_id_is_not_found_before_it_is_visible),
        WORLD_TEST(runs_are_found_again),
        WORLD_TEST(what_a_longer_run_covers_is_removed_by_a_writer_only),
        WORLD_TEST(an_invalid_run_is_ignored_and_the_parts_of_it_serve),
        WORLD_TEST(a_run_of_another_size_is_ignored),
        WORLD_TEST(a_run_of_other_segments_is_ignored),
        WORLD_TEST(a_run_of_another_name_is_ignored),
        WORLD_TEST(a_run_that_cannot_be_opened_now_is_kept_for_later),
        WORLD_TEST(a_second_opening_takes_up_what_has_come_since),
        WORLD_TEST(a_list_keeps_its_runs_while_they_are_merged),
        WORLD_TEST(a_page_that_went_bad_is_noticed_and_the_run_made_again),
        WORLD_TEST(a_damaged_part_is_found_when_it_is_merged),
        WORLD_TEST(a_run_that_contradicts_itself_is_damaged),
        WORLD_TEST(runs_that_keep_few_bits_serve_and_are_not_merged_from),
        WORLD_TEST(a_segment_whose_slots_lost_an_event_gets_no_run),
        WORLD_TEST(a_cancelled_run_leaves_nothing_and_can_be_made_later),
        cmocka_unit_test(whichever_call_fails_lookups_stay_right_and_the_next_try_succeeds),
        cmocka_unit_test(whichever_allocation_fails_lookups_stay_right_and_nothing_leaks),
        cmocka_unit_test(after_a_power_cut_at_any_call_every_id_is_found),
        cmocka_unit_test(pages_that_never_reached_the_disk_are_noticed),
        WORLD_TEST(runs_are_made_while_a_writer_appends_and_readers_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
