/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os_sim itself: the referee must know the rules. What a power cut may leave is tested over many seeds: everything the
 * model promises to keep is kept under all of them, and everything it may lose or keep is lost and kept under some.
 * What os_sim shares with the real implementation is in test_os.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "support/os_sim.h"
#include "support/test.h"

#define SEEDS 400
#define SECTOR 512u

/* --- A machine with one process and one directory "/d", both durable ---------------------------------------------- */

struct machine {
    struct os_sim *sim;
    struct os *os;
};

static struct machine start_machine(const struct os_sim_options *options) {
    struct machine machine = {.sim = os_sim_create(options)};
    machine.os = os_sim_process(machine.sim, 100);
    assert_int_equal(machine.os->methods->dir_create(machine.os, "/d"), 0);
    assert_int_equal(machine.os->methods->dir_sync(machine.os, "/"), 0);
    return machine;
}

/* Only syncs reach the disk: what a test sees is then the crash's doing alone. */
static struct machine start_quiet_machine(uint64_t seed) {
    return start_machine(&(struct os_sim_options){.seed = seed, .no_write_back = true});
}

static void crash_and_restart(struct machine *machine, uint64_t seed) {
    os_sim_crash(machine->sim, seed);
    machine->os = os_sim_process(machine->sim, 101);
}

static struct os_file *open_in(struct os *os, const char *path, enum os_open_mode mode) {
    struct os_file *file = NULL;
    assert_int_equal(os->methods->file_open(os, path, mode, &file), 0);
    return file;
}

static void fill_at(struct os *os, struct os_file *file, uint8_t value, size_t size, uint64_t offset) {
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    memset(bytes, value, size);
    assert_int_equal(os->methods->file_write_at(os, file, bytes, size, offset), 0);
    free(bytes);
}

static void sync_file(struct os *os, struct os_file *file) {
    assert_int_equal(os->methods->file_sync(os, file, OS_SYNC_DATA), 0);
}

/* A durable file of size bytes of value; left open for writing. */
static struct os_file *make_durable(struct os *os, const char *path, uint8_t value, size_t size) {
    struct os_file *file = open_in(os, path, OS_OPEN_CREATE_NEW);
    fill_at(os, file, value, size, 0);
    sync_file(os, file);
    assert_int_equal(os->methods->dir_sync(os, "/d"), 0);
    return file;
}

static uint8_t *map_all(struct os *os, struct os_file *file, uint64_t size) {
    void *address = NULL;
    assert_int_equal(os->methods->file_map(os, file, size, true, &address), 0);
    return address;
}

static bool exists(struct os *os, const char *path) {
    enum os_path_kind kind = OS_PATH_NONE;
    assert_int_equal(os->methods->path_kind(os, path, &kind), 0);
    return kind != OS_PATH_NONE;
}

struct bytes {
    const uint8_t *data;
    uint64_t size;
};

static struct bytes cache_of(struct os_sim *sim, const char *path) {
    struct bytes bytes = {0};
    assert_true(os_sim_file_bytes(sim, path, &bytes.data, &bytes.size));
    return bytes;
}

static bool all_are(const uint8_t *data, uint64_t size, uint8_t value) {
    for (uint64_t at = 0; at < size; at++)
        if (data[at] != value)
            return false;
    return true;
}

/* --- Power cuts: bytes -------------------------------------------------------------------------------------------- */

static void synced_bytes_survive_every_power_cut(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_machine(&(struct os_sim_options){.seed = seed});
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', 5000);
        fill_at(machine.os, file, 'b', 3000, 4000);
        sync_file(machine.os, file);
        crash_and_restart(&machine, seed);
        struct bytes left = cache_of(machine.sim, "/d/a");
        assert_int_equal(left.size, 7000);
        assert_true(all_are(left.data, 4000, 'a') && all_are(left.data + 4000, 3000, 'b'));
        os_sim_destroy(machine.sim);
    }
}

/* Writes 'b' over eight durable sectors of 'a', through a mapping or not; returns how many are 'b' after the cut. */
static unsigned count_kept_sectors(uint64_t seed, bool by_mapping) {
    struct machine machine = start_quiet_machine(seed);
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 8 * SECTOR);
    if (by_mapping)
        memset(map_all(machine.os, file, 8 * SECTOR), 'b', 8 * SECTOR);
    else
        fill_at(machine.os, file, 'b', 8 * SECTOR, 0);
    crash_and_restart(&machine, seed);
    struct bytes left = cache_of(machine.sim, "/d/a");
    unsigned kept = 0;
    assert_int_equal(left.size, 8 * SECTOR);
    for (unsigned sector = 0; sector < 8; sector++) {
        const uint8_t *at = left.data + sector * SECTOR;
        bool is_new = all_are(at, SECTOR, 'b');
        assert_true(is_new || all_are(at, SECTOR, 'a')); /* a sector is never torn */
        kept += is_new;
    }
    os_sim_destroy(machine.sim);
    return kept;
}

static void check_tearing(bool by_mapping) {
    unsigned seeds_by_kept[9] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        seeds_by_kept[count_kept_sectors(seed, by_mapping)]++;
    for (unsigned kept = 0; kept <= 8; kept++)
        assert_true(seeds_by_kept[kept] > 0);
}

static void unsynced_writes_are_lost_kept_or_torn_between_sectors(void **state) {
    (void)state;
    check_tearing(false);
}

static void unsynced_stores_through_a_mapping_are_treated_as_writes(void **state) {
    (void)state;
    check_tearing(true);
}

static void later_sectors_may_survive_without_earlier_ones(void **state) {
    (void)state;
    bool reordered = false;
    for (uint64_t seed = 0; seed < SEEDS && !reordered; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', 4 * SECTOR);
        fill_at(machine.os, file, 'b', SECTOR, 0);
        fill_at(machine.os, file, 'c', SECTOR, 2 * SECTOR);
        crash_and_restart(&machine, seed);
        struct bytes left = cache_of(machine.sim, "/d/a");
        reordered = left.data[0] == 'a' && left.data[2 * SECTOR] == 'c';
        os_sim_destroy(machine.sim);
    }
    assert_true(reordered);
}

static void unsynced_growth_ends_at_the_old_size_the_new_or_between(void **state) {
    (void)state;
    unsigned old_sizes = 0, new_sizes = 0, between = 0, zeros = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', 1000);
        fill_at(machine.os, file, 'b', 4000, 1000);
        crash_and_restart(&machine, seed);
        struct bytes left = cache_of(machine.sim, "/d/a");
        assert_in_range(left.size, 1000, 5000);
        assert_true(all_are(left.data, 1000, 'a'));
        for (uint64_t at = 1000; at < left.size; at++)
            assert_true(left.data[at] == 'b' || left.data[at] == 0);
        old_sizes += left.size == 1000;
        new_sizes += left.size == 5000;
        between += left.size > 1000 && left.size < 5000;
        zeros += left.size > 1000 && left.data[left.size - 1] == 0;
        os_sim_destroy(machine.sim);
    }
    assert_true(old_sizes > 0 && new_sizes > 0 && between > 0 && zeros > 0);
}

static void an_unsynced_cut_has_happened_or_not(void **state) {
    (void)state;
    unsigned cut = 0, uncut = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', 3 * SECTOR);
        assert_int_equal(machine.os->methods->file_truncate(machine.os, file, SECTOR), 0);
        crash_and_restart(&machine, seed);
        struct bytes left = cache_of(machine.sim, "/d/a");
        assert_true(left.size == SECTOR || left.size == 3 * SECTOR);
        assert_true(all_are(left.data, left.size, 'a'));
        cut += left.size == SECTOR;
        uncut += left.size != SECTOR;
        os_sim_destroy(machine.sim);
    }
    assert_true(cut > 0 && uncut > 0);
}

static void a_synced_cut_does_not_come_back(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_machine(&(struct os_sim_options){.seed = seed});
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', 3000);
        assert_int_equal(machine.os->methods->file_truncate(machine.os, file, 100), 0);
        sync_file(machine.os, file);
        assert_int_equal(machine.os->methods->file_truncate(machine.os, file, 3000), 0);
        crash_and_restart(&machine, seed);
        struct bytes left = cache_of(machine.sim, "/d/a");
        assert_in_range(left.size, 100, 3000);
        assert_true(all_are(left.data, 100, 'a') && all_are(left.data + 100, left.size - 100, 0));
        os_sim_destroy(machine.sim);
    }
}

static void versions_in_between_may_reach_the_disk(void **state) {
    (void)state;
    bool seen = false;
    for (uint64_t seed = 0; seed < SEEDS && !seen; seed++) {
        struct machine machine = start_machine(&(struct os_sim_options){.seed = seed, .write_back_one_in = 2});
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', SECTOR);
        for (uint8_t version = 'b'; version <= 'f'; version++)
            fill_at(machine.os, file, version, SECTOR, 0);
        crash_and_restart(&machine, seed);
        uint8_t left = cache_of(machine.sim, "/d/a").data[0];
        seen = left > 'a' && left < 'f';
        os_sim_destroy(machine.sim);
    }
    assert_true(seen);
}

/* --- Power cuts: names -------------------------------------------------------------------------------------------- */

static void an_unsynced_name_is_lost_or_kept(void **state) {
    (void)state;
    unsigned kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = open_in(machine.os, "/d/a", OS_OPEN_CREATE_NEW);
        fill_at(machine.os, file, 'a', 100, 0);
        sync_file(machine.os, file);
        crash_and_restart(&machine, seed);
        if (exists(machine.os, "/d/a")) {
            kept++;
            assert_int_equal(cache_of(machine.sim, "/d/a").size, 100);
        }
        os_sim_destroy(machine.sim);
    }
    assert_in_range(kept, 1, SEEDS - 1);
}

static void an_unsynced_removal_is_lost_or_kept(void **state) {
    (void)state;
    unsigned kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        make_durable(machine.os, "/d/a", 'a', 100);
        assert_int_equal(machine.os->methods->path_remove(machine.os, "/d/a"), 0);
        crash_and_restart(&machine, seed);
        kept += !exists(machine.os, "/d/a");
        os_sim_destroy(machine.sim);
    }
    assert_in_range(kept, 1, SEEDS - 1);
}

static void synced_names_survive_every_power_cut(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_machine(&(struct os_sim_options){.seed = seed});
        make_durable(machine.os, "/d/a", 'a', 100);
        make_durable(machine.os, "/d/b", 'b', 100);
        assert_int_equal(machine.os->methods->path_rename(machine.os, "/d/a", "/d/c"), 0);
        assert_int_equal(machine.os->methods->path_remove(machine.os, "/d/b"), 0);
        assert_int_equal(machine.os->methods->dir_sync(machine.os, "/d"), 0);
        crash_and_restart(&machine, seed);
        assert_false(exists(machine.os, "/d/a") || exists(machine.os, "/d/b"));
        assert_true(all_are(cache_of(machine.sim, "/d/c").data, 100, 'a'));
        os_sim_destroy(machine.sim);
    }
}

static void a_rename_happens_whole_or_not_at_all(void **state) {
    (void)state;
    unsigned done = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_machine(&(struct os_sim_options){.seed = seed});
        make_durable(machine.os, "/d/target", 'o', 100);
        make_durable(machine.os, "/d/new", 'n', 100);
        assert_int_equal(machine.os->methods->path_rename(machine.os, "/d/new", "/d/target"), 0);
        crash_and_restart(&machine, seed);
        bool renamed = !exists(machine.os, "/d/new");
        assert_true(all_are(cache_of(machine.sim, "/d/target").data, 100, renamed ? 'n' : 'o'));
        done += renamed;
        os_sim_destroy(machine.sim);
    }
    assert_in_range(done, 1, SEEDS - 1);
}

static void unsynced_changes_of_different_names_are_independent(void **state) {
    (void)state;
    unsigned seeds_by_outcome[4] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        open_in(machine.os, "/d/a", OS_OPEN_CREATE_NEW);
        open_in(machine.os, "/d/b", OS_OPEN_CREATE_NEW);
        crash_and_restart(&machine, seed);
        seeds_by_outcome[exists(machine.os, "/d/a") + 2 * exists(machine.os, "/d/b")]++;
        os_sim_destroy(machine.sim);
    }
    for (unsigned outcome = 0; outcome < 4; outcome++)
        assert_true(seeds_by_outcome[outcome] > 0);
}

static void changes_of_one_name_keep_their_order(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_machine(&(struct os_sim_options){.seed = seed, .write_back_one_in = 4});
        make_durable(machine.os, "/d/a", 'a', 100);
        assert_int_equal(machine.os->methods->path_rename(machine.os, "/d/a", "/d/b"), 0);
        assert_int_equal(machine.os->methods->path_remove(machine.os, "/d/b"), 0);
        make_durable(machine.os, "/d/b", 'c', 100);
        crash_and_restart(&machine, seed);
        assert_false(exists(machine.os, "/d/a"));
        assert_true(all_are(cache_of(machine.sim, "/d/b").data, 100, 'c'));
        os_sim_destroy(machine.sim);
    }
}

static void what_lies_in_a_lost_directory_is_lost(void **state) {
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        assert_int_equal(machine.os->methods->dir_create(machine.os, "/d/e"), 0);
        assert_int_equal(machine.os->methods->dir_create(machine.os, "/d/e/f"), 0);
        struct os_file *file = open_in(machine.os, "/d/e/f/a", OS_OPEN_CREATE_NEW);
        fill_at(machine.os, file, 'a', 100, 0);
        sync_file(machine.os, file);
        assert_int_equal(machine.os->methods->dir_sync(machine.os, "/d/e/f"), 0);
        assert_int_equal(machine.os->methods->dir_sync(machine.os, "/d/e"), 0);
        crash_and_restart(&machine, seed);
        assert_int_equal(exists(machine.os, "/d/e/f/a"), exists(machine.os, "/d/e"));
        lost += !exists(machine.os, "/d/e");
        os_sim_destroy(machine.sim);
    }
    assert_in_range(lost, 1, SEEDS - 1);
}

/* --- Determinism and clones --------------------------------------------------------------------------------------- */

static struct machine make_unsynced_mess(uint64_t seed) {
    struct machine machine = start_machine(&(struct os_sim_options){.seed = seed, .write_back_one_in = 3});
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 20 * SECTOR);
    fill_at(machine.os, file, 'b', 10 * SECTOR, 5 * SECTOR);
    struct os_file *other = open_in(machine.os, "/d/b", OS_OPEN_CREATE_NEW);
    fill_at(machine.os, other, 'c', 7 * SECTOR, 0);
    assert_int_equal(machine.os->methods->path_rename(machine.os, "/d/b", "/d/c"), 0);
    return machine;
}

static bool same_file(struct os_sim *a, struct os_sim *b, const char *path) {
    struct bytes left = {0}, right = {0};
    bool in_a = os_sim_file_bytes(a, path, &left.data, &left.size);
    bool in_b = os_sim_file_bytes(b, path, &right.data, &right.size);
    if (!in_a || !in_b)
        return in_a == in_b;
    return left.size == right.size && memcmp(left.data, right.data, left.size) == 0;
}

static bool same_disks(struct os_sim *a, struct os_sim *b) {
    return same_file(a, b, "/d/a") && same_file(a, b, "/d/b") && same_file(a, b, "/d/c");
}

static void the_same_seed_gives_the_same_machine(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct machine first = make_unsynced_mess(seed);
        struct machine second = make_unsynced_mess(seed);
        os_sim_crash(first.sim, seed);
        os_sim_crash(second.sim, seed);
        assert_true(same_disks(first.sim, second.sim));
        os_sim_destroy(first.sim);
        os_sim_destroy(second.sim);
    }
}

static void several_crashes_can_be_tried_from_one_moment(void **state) {
    (void)state;
    struct machine machine = make_unsynced_mess(1);
    struct os_sim *whole = os_sim_clone(machine.sim, 1);
    assert_true(same_disks(machine.sim, whole));
    unsigned different = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct os_sim *clone = os_sim_clone(machine.sim, 1);
        os_sim_crash(clone, seed);
        different += !same_disks(clone, whole);
        os_sim_destroy(clone);
    }
    assert_true(different > 10);
    assert_true(same_disks(machine.sim, whole)); /* none of them touched the original */
    os_sim_destroy(whole);
    os_sim_destroy(machine.sim);
}

static void clones_crash_alike(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct machine machine = make_unsynced_mess(seed);
        struct os_sim *first = os_sim_clone(machine.sim, 1);
        struct os_sim *second = os_sim_clone(machine.sim, 2); /* the crash's own seed decides, and nothing else */
        os_sim_crash(first, seed);
        os_sim_crash(second, seed);
        assert_true(same_disks(first, second));
        os_sim_destroy(first);
        os_sim_destroy(second);
        os_sim_destroy(machine.sim);
    }
}

/* --- Processes ---------------------------------------------------------------------------------------------------- */

static void a_kill_loses_no_bytes_but_the_lock(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    struct os_file *file = open_in(machine.os, "/d/a", OS_OPEN_CREATE_NEW);
    int64_t holder;
    assert_int_equal(machine.os->methods->file_lock(machine.os, file, &holder), 0);
    fill_at(machine.os, file, 'a', 1000, 0);
    map_all(machine.os, file, 1000)[10] = 'x';
    os_sim_kill(machine.sim, machine.os);
    struct os *os = os_sim_process(machine.sim, 200);
    file = open_in(os, "/d/a", OS_OPEN_WRITE);
    assert_int_equal(os->methods->file_lock_holder(os, file), 0);
    assert_int_equal(os->methods->file_lock(os, file, &holder), 0);
    struct bytes left = cache_of(machine.sim, "/d/a");
    assert_int_equal(left.size, 1000);
    assert_int_equal(left.data[10], 'x');
    assert_int_equal(left.data[11], 'a');
    os_sim_destroy(machine.sim);
}

static void a_dead_process_reaches_nothing(void **state) {
    (void)state;
    for (int power_cut = 0; power_cut < 2; power_cut++) {
        struct machine machine = start_quiet_machine(1);
        struct os *dead = machine.os;
        struct os_file *file = make_durable(dead, "/d/a", 'a', 1000);
        uint8_t *bytes = map_all(dead, file, 1000);
        if (power_cut)
            os_sim_crash(machine.sim, 1);
        else
            os_sim_kill(machine.sim, dead);
        assert_false(os_sim_is_alive(dead));
        bytes[0] = 'x';
        uint64_t size;
        assert_int_equal(dead->methods->file_write_at(dead, file, "x", 1, 1), EIO);
        assert_int_equal(dead->methods->file_size(dead, file, &size), EIO);
        assert_int_equal(dead->methods->file_sync(dead, file, OS_SYNC_ALL), EIO);
        assert_int_equal(dead->methods->path_remove(dead, "/d/a"), EIO);
        dead->methods->file_unmap(dead, bytes, 1000);
        dead->methods->file_unlock(dead, file);
        dead->methods->file_close(dead, file);
        assert_true(all_are(cache_of(machine.sim, "/d/a").data, 1000, 'a'));
        os_sim_destroy(machine.sim);
    }
}

static void two_processes_share_the_cache_and_contend_for_the_lock(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    struct os *other = os_sim_process(machine.sim, 200);
    struct os_file *mine = make_durable(machine.os, "/d/a", 'a', 1000);
    struct os_file *theirs = open_in(other, "/d/a", OS_OPEN_WRITE);
    map_all(machine.os, mine, 1000)[7] = 'x';
    assert_int_equal(map_all(other, theirs, 1000)[7], 'x');
    int64_t holder = 0;
    assert_int_equal(machine.os->methods->file_lock(machine.os, mine, &holder), 0);
    assert_int_equal(other->methods->file_lock(other, theirs, &holder), EWOULDBLOCK);
    assert_int_equal(holder, 100);
    assert_int_equal(other->methods->process_id(other), 200);
    os_sim_kill(machine.sim, machine.os);
    assert_true(os_sim_is_alive(other));
    assert_int_equal(other->methods->file_lock(other, theirs, &holder), 0);
    os_sim_destroy(machine.sim);
}

static void a_process_is_stopped_before_or_after_its_nth_call(void **state) {
    (void)state;
    for (int after = 0; after < 2; after++) {
        struct machine machine = start_quiet_machine(1);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', 3);
        os_sim_stop_nth(machine.sim, OS_SIM_WRITES, 2, after);
        fill_at(machine.os, file, 'x', 1, 0);
        assert_int_equal(machine.os->methods->file_write_at(machine.os, file, "y", 1, 1), EIO);
        assert_false(os_sim_is_alive(machine.os));
        assert_int_equal(machine.os->methods->file_write_at(machine.os, file, "z", 1, 2), EIO);
        assert_memory_equal(cache_of(machine.sim, "/d/a").data, after ? "xya" : "xaa", 3);
        os_sim_destroy(machine.sim);
    }
}

/* --- Faults ------------------------------------------------------------------------------------------------------- */

static void the_nth_call_of_a_class_fails_once(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 10);
    uint64_t size;
    uint64_t before = os_sim_calls(machine.sim, OS_SIM_WRITES | OS_SIM_SYNCS);
    os_sim_fail_nth(machine.sim, OS_SIM_WRITES, 2, ENXIO);
    fill_at(machine.os, file, 'b', 10, 0);
    assert_int_equal(machine.os->methods->file_size(machine.os, file, &size), 0);
    assert_false(os_sim_fault_fired(machine.sim));
    assert_int_equal(machine.os->methods->file_write_at(machine.os, file, "cccc", 4, 0), ENXIO);
    assert_true(os_sim_fault_fired(machine.sim));
    fill_at(machine.os, file, 'd', 10, 0);
    assert_int_equal(os_sim_calls(machine.sim, OS_SIM_WRITES | OS_SIM_SYNCS) - before, 3);
    os_sim_fail_from(machine.sim, OS_SIM_FALLIBLE, 2, EDOM);
    assert_int_equal(machine.os->methods->file_size(machine.os, file, &size), 0);
    for (int round = 0; round < 3; round++)
        assert_int_equal(machine.os->methods->file_size(machine.os, file, &size), EDOM);
    os_sim_fail_from(machine.sim, OS_SIM_FALLIBLE, 0, 0);
    assert_int_equal(machine.os->methods->file_size(machine.os, file, &size), 0);
    os_sim_destroy(machine.sim);
}

static void every_fallible_method_can_fail(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    struct os *os = machine.os;
    struct os_file *file = make_durable(os, "/d/a", 'a', 10);
    struct os_file *opened = NULL;
    void *address = NULL;
    int64_t holder = 5;
    uint64_t size = 5;
    uint8_t byte = 5;
    enum os_path_kind kind = OS_PATH_OTHER;
    os_sim_fail_from(machine.sim, OS_SIM_FALLIBLE, 1, ENXIO);
    assert_int_equal(os->methods->file_open(os, "/d/a", OS_OPEN_READ, &opened), ENXIO);
    assert_int_equal(os->methods->file_read_at(os, file, &byte, 1, 0), ENXIO);
    assert_int_equal(os->methods->file_write_at(os, file, &byte, 1, 0), ENXIO);
    assert_int_equal(os->methods->file_size(os, file, &size), ENXIO);
    assert_int_equal(os->methods->file_allocated(os, file, &size), ENXIO);
    assert_int_equal(os->methods->file_truncate(os, file, 1), ENXIO);
    assert_int_equal(os->methods->file_allocate(os, file, 100), ENXIO);
    assert_int_equal(os->methods->file_sync(os, file, OS_SYNC_ALL), ENXIO);
    assert_int_equal(os->methods->file_map(os, file, 10, true, &address), ENXIO);
    assert_int_equal(os->methods->file_lock(os, file, &holder), ENXIO);
    assert_int_equal(os->methods->path_kind(os, "/d", &kind), ENXIO);
    assert_int_equal(os->methods->dir_create(os, "/e"), ENXIO);
    assert_int_equal(os->methods->dir_list(os, "/d", NULL, NULL), ENXIO);
    assert_int_equal(os->methods->dir_sync(os, "/d"), ENXIO);
    assert_int_equal(os->methods->path_rename(os, "/d/a", "/d/b"), ENXIO);
    assert_int_equal(os->methods->path_remove(os, "/d/a"), ENXIO);
    assert_int_equal(os->methods->random(os, &byte, 1), ENXIO);
    assert_null(opened);
    assert_null(address);
    assert_true(holder == 5 && size == 5 && byte == 5 && kind == OS_PATH_OTHER);
    os_sim_destroy(machine.sim);
}

static void a_failing_write_has_written_a_prefix(void **state) {
    (void)state;
    bool lengths_seen[8] = {false};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', 8);
        os_sim_fail_nth(machine.sim, OS_SIM_WRITES, 1, EIO);
        assert_int_equal(machine.os->methods->file_write_at(machine.os, file, "bbbbbbbb", 8, 0), EIO);
        const uint8_t *left = cache_of(machine.sim, "/d/a").data;
        size_t length = 0;
        while (length < 8 && left[length] == 'b')
            length++;
        assert_true(length < 8 && all_are(left + length, 8 - length, 'a'));
        lengths_seen[length] = true;
        os_sim_destroy(machine.sim);
    }
    for (size_t length = 0; length < 8; length++)
        assert_true(lengths_seen[length]);
}

/* After a failed sync the next one succeeds, and yet what the first covered may not be there. */
static void a_retried_sync_lies(void **state) {
    (void)state;
    unsigned lost = 0, kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', SECTOR);
        fill_at(machine.os, file, 'b', SECTOR, 0);
        os_sim_fail_nth(machine.sim, OS_SIM_SYNCS, 1, EIO);
        assert_int_equal(machine.os->methods->file_sync(machine.os, file, OS_SYNC_ALL), EIO);
        sync_file(machine.os, file);
        assert_true(all_are(cache_of(machine.sim, "/d/a").data, SECTOR, 'b'));
        crash_and_restart(&machine, seed);
        uint8_t left = cache_of(machine.sim, "/d/a").data[0];
        lost += left == 'a';
        kept += left == 'b';
        os_sim_destroy(machine.sim);
    }
    assert_true(lost > 0 && kept > 0);
    assert_int_equal(lost + kept, SEEDS);
}

static void what_is_written_after_a_failed_sync_can_be_synced(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', SECTOR);
        fill_at(machine.os, file, 'b', SECTOR, SECTOR);
        os_sim_fail_nth(machine.sim, OS_SIM_SYNCS, 1, EIO);
        assert_int_equal(machine.os->methods->file_sync(machine.os, file, OS_SYNC_ALL), EIO);
        fill_at(machine.os, file, 'c', SECTOR, 2 * SECTOR);
        sync_file(machine.os, file);
        crash_and_restart(&machine, seed);
        struct bytes left = cache_of(machine.sim, "/d/a");
        assert_int_equal(left.size, 3 * SECTOR);
        assert_true(all_are(left.data, SECTOR, 'a'));
        assert_true(all_are(left.data + SECTOR, SECTOR, 'b') || all_are(left.data + SECTOR, SECTOR, 0));
        assert_true(all_are(left.data + 2 * SECTOR, SECTOR, 'c'));
        os_sim_destroy(machine.sim);
    }
}

/* Writing the same bytes again, as a recovery may do, makes them dirty: that sync is about them. */
static void what_is_written_again_after_a_failed_sync_is_synced(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', SECTOR);
        fill_at(machine.os, file, 'b', 3 * SECTOR, 0);
        os_sim_fail_nth(machine.sim, OS_SIM_SYNCS, 1, EIO);
        assert_int_equal(machine.os->methods->file_sync(machine.os, file, OS_SYNC_ALL), EIO);
        fill_at(machine.os, file, 'b', 3 * SECTOR, 0);
        assert_int_equal(machine.os->methods->file_truncate(machine.os, file, 3 * SECTOR), 0);
        sync_file(machine.os, file);
        crash_and_restart(&machine, seed);
        struct bytes left = cache_of(machine.sim, "/d/a");
        assert_int_equal(left.size, 3 * SECTOR);
        assert_true(all_are(left.data, 3 * SECTOR, 'b'));
        os_sim_destroy(machine.sim);
    }
}

static void a_failed_directory_sync_can_be_repeated(void **state) {
    (void)state;
    unsigned kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct machine machine = start_quiet_machine(seed);
        open_in(machine.os, "/d/a", OS_OPEN_CREATE_NEW);
        os_sim_fail_nth(machine.sim, OS_SIM_SYNCS, 1, EIO);
        assert_int_equal(machine.os->methods->dir_sync(machine.os, "/d"), EIO);
        if (seed % 2)
            assert_int_equal(machine.os->methods->dir_sync(machine.os, "/d"), 0);
        crash_and_restart(&machine, seed);
        assert_true(exists(machine.os, "/d/a") || seed % 2 == 0);
        kept += exists(machine.os, "/d/a");
        os_sim_destroy(machine.sim);
    }
    assert_in_range(kept, SEEDS / 2 + 1, SEEDS - 1);
}

static void a_full_disk_refuses_growth_and_nothing_else(void **state) {
    (void)state;
    struct machine machine =
        start_machine(&(struct os_sim_options){.capacity_bytes = 10 * SECTOR, .no_write_back = true});
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 6 * SECTOR);
    assert_int_equal(os_sim_used_bytes(machine.sim), 6 * SECTOR);
    assert_int_equal(machine.os->methods->file_truncate(machine.os, file, 11 * SECTOR), ENOSPC);
    assert_int_equal(cache_of(machine.sim, "/d/a").size, 6 * SECTOR);
    assert_int_equal(machine.os->methods->file_allocate(machine.os, file, 11 * SECTOR), ENOSPC);
    assert_in_range(cache_of(machine.sim, "/d/a").size, 6 * SECTOR, 10 * SECTOR);
    assert_int_equal(machine.os->methods->file_truncate(machine.os, file, 6 * SECTOR), 0);
    uint8_t many[5 * SECTOR] = {1};
    assert_int_equal(machine.os->methods->file_write_at(machine.os, file, many, sizeof many, 6 * SECTOR), ENOSPC);
    assert_int_equal(cache_of(machine.sim, "/d/a").size, 10 * SECTOR); /* what fitted is written */
    fill_at(machine.os, file, 'b', 10 * SECTOR, 0);
    sync_file(machine.os, file);
    struct os_file *other = open_in(machine.os, "/d/b", OS_OPEN_CREATE_NEW);
    assert_int_equal(machine.os->methods->file_write_at(machine.os, other, "x", 1, 0), ENOSPC);
    os_sim_set_capacity(machine.sim, 0);
    assert_int_equal(machine.os->methods->file_write_at(machine.os, other, "x", 1, 0), 0);
    os_sim_destroy(machine.sim);
}

static void removed_files_give_their_space_back_when_closed(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 4 * SECTOR);
    assert_int_equal(machine.os->methods->path_remove(machine.os, "/d/a"), 0);
    assert_int_equal(machine.os->methods->dir_sync(machine.os, "/d"), 0);
    assert_int_equal(os_sim_used_bytes(machine.sim), 4 * SECTOR);
    machine.os->methods->file_close(machine.os, file);
    assert_int_equal(os_sim_used_bytes(machine.sim), 0);
    os_sim_destroy(machine.sim);
}

static void skipped_syncs_keep_nothing(void **state) {
    (void)state;
    bool lost = false;
    for (uint64_t seed = 0; seed < SEEDS && !lost; seed++) {
        struct machine machine = start_quiet_machine(seed);
        struct os_file *file = make_durable(machine.os, "/d/a", 'a', SECTOR);
        os_sim_skip_sync(machine.sim, true);
        fill_at(machine.os, file, 'b', SECTOR, 0);
        sync_file(machine.os, file);
        crash_and_restart(&machine, seed);
        lost = cache_of(machine.sim, "/d/a").data[0] == 'a';
        os_sim_destroy(machine.sim);
    }
    assert_true(lost);
}

static void read_only_media_refuse_changes_and_can_be_read(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    struct os *os = machine.os;
    struct os_file *file = make_durable(os, "/d/a", 'a', 10);
    struct os_file *other = NULL;
    uint8_t byte = 0;
    os_sim_set_read_only(machine.sim, true);
    assert_int_equal(os->methods->file_write_at(os, file, "x", 1, 0), EROFS);
    assert_int_equal(os->methods->file_open(os, "/d/a", OS_OPEN_WRITE, &other), EROFS);
    assert_int_equal(os->methods->file_open(os, "/d/b", OS_OPEN_CREATE, &other), EROFS);
    assert_int_equal(os->methods->dir_create(os, "/e"), EROFS);
    assert_int_equal(os->methods->path_remove(os, "/d/a"), EROFS);
    assert_int_equal(os->methods->path_rename(os, "/d/a", "/d/b"), EROFS);
    other = open_in(os, "/d/a", OS_OPEN_READ);
    assert_int_equal(os->methods->file_read_at(os, other, &byte, 1, 0), 0);
    assert_int_equal(byte, 'a');
    os_sim_destroy(machine.sim);
}

static void a_file_system_without_allocation_says_so(void **state) {
    (void)state;
    struct machine machine = start_machine(&(struct os_sim_options){.no_allocate = true});
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 10);
    assert_int_equal(machine.os->methods->file_allocate(machine.os, file, 100), EOPNOTSUPP);
    assert_int_equal(cache_of(machine.sim, "/d/a").size, 10);
    os_sim_destroy(machine.sim);
}

/* --- Misuse is caught --------------------------------------------------------------------------------------------- */

/* Runs misuse in a child and returns the signal it died of, 0 if it did not. */
static int signal_of(void (*misuse)(void)) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        misuse();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void store_past_the_end_and_sync(void) {
    struct machine machine = start_quiet_machine(1);
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 1000);
    map_all(machine.os, file, 8192)[1000] = 1;
    sync_file(machine.os, file);
}

static void store_into_what_was_cut_off_and_crash(void) {
    struct machine machine = start_quiet_machine(1);
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 20000);
    uint8_t *bytes = map_all(machine.os, file, 20000);
    machine.os->methods->file_truncate(machine.os, file, 1000);
    bytes[15000] = 1;
    os_sim_crash(machine.sim, 1);
}

static void touch_a_page_past_the_end(void) {
    struct machine machine = start_machine(&(struct os_sim_options){.guard_pages = true});
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 1000);
    volatile uint8_t *bytes = map_all(machine.os, file, 8192);
    (void)bytes[5000];
}

static void unmap_what_is_not_mapped(void) {
    struct machine machine = start_quiet_machine(1);
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 1000);
    uint8_t *bytes = map_all(machine.os, file, 1000);
    machine.os->methods->file_unmap(machine.os, bytes, 999);
}

static void use_a_file_of_another_process(void) {
    struct machine machine = start_quiet_machine(1);
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 1000);
    sync_file(os_sim_process(machine.sim, 5), file);
}

static void nothing_wrong(void) {
    struct machine machine = start_machine(&(struct os_sim_options){.guard_pages = true});
    struct os_file *file = make_durable(machine.os, "/d/a", 'a', 1000);
    map_all(machine.os, file, 8192)[999] = 1;
    sync_file(machine.os, file);
    os_sim_crash(machine.sim, 1);
}

static void breaking_the_rules_of_os_is_caught(void **state) {
    (void)state;
    assert_int_equal(signal_of(nothing_wrong), 0);
    assert_int_equal(signal_of(store_past_the_end_and_sync), SIGABRT);
    assert_int_equal(signal_of(store_into_what_was_cut_off_and_crash), SIGABRT);
    assert_int_equal(signal_of(unmap_what_is_not_mapped), SIGABRT);
    assert_int_equal(signal_of(use_a_file_of_another_process), SIGABRT);
}

static void a_page_past_the_end_faults_with_guard_pages(void **state) {
    (void)state;
    assert_int_equal(signal_of(touch_a_page_past_the_end), SIGSEGV);
}

/* --- Clock, randomness, bytes ------------------------------------------------------------------------------------- */

static void the_clock_is_the_tests(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    struct os *os = machine.os;
    int64_t first = os->methods->clock_us(os);
    assert_in_range(first, OS_SIM_CLOCK_START_US, OS_SIM_CLOCK_START_US + 1000);
    os_sim_advance_clock(machine.sim, 5000000);
    assert_in_range(os->methods->clock_us(os) - first, 5000000, 5001000);
    uint64_t monotonic = os->methods->monotonic_us(os);
    os_sim_set_clock(machine.sim, 1000);
    assert_in_range(os->methods->clock_us(os), 1000, 2000);
    os_sim_advance_clock(machine.sim, -500);
    assert_true(os->methods->monotonic_us(os) >= monotonic);
    os_sim_destroy(machine.sim);
}

static void randomness_comes_from_the_seed_and_survives_a_crash(void **state) {
    (void)state;
    struct machine first = start_quiet_machine(1);
    struct machine second = start_quiet_machine(1);
    uint64_t a, b, c;
    assert_int_equal(first.os->methods->random(first.os, &a, sizeof a), 0);
    assert_int_equal(second.os->methods->random(second.os, &b, sizeof b), 0);
    assert_true(a == b);
    crash_and_restart(&first, 9);
    assert_int_equal(first.os->methods->random(first.os, &c, sizeof c), 0);
    assert_true(a != c); /* a machine that comes up again does not draw the same ids */
    os_sim_destroy(first.sim);
    os_sim_destroy(second.sim);
}

static int count_file(void *user, const char *path) {
    unsigned *count = user;
    (*count)++;
    return strncmp(path, "/d/", 3) == 0 ? 0 : -1;
}

static void bytes_can_be_set_flipped_and_listed(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    unsigned count = 0;
    assert_true(os_sim_set_file_bytes(machine.sim, "/d/a", "abc", 3));
    assert_false(os_sim_set_file_bytes(machine.sim, "/missing/a", "abc", 3));
    assert_true(os_sim_flip(machine.sim, "/d/a", 1, 0x20));
    assert_false(os_sim_flip(machine.sim, "/d/a", 3, 0x20));
    struct bytes durable = {0};
    assert_true(os_sim_disk_bytes(machine.sim, "/d/a", &durable.data, &durable.size));
    assert_int_equal(durable.size, 3);
    assert_memory_equal(durable.data, "aBc", 3);
    crash_and_restart(&machine, 3);
    assert_memory_equal(cache_of(machine.sim, "/d/a").data, "aBc", 3);
    assert_int_equal(os_sim_files(machine.sim, count_file, &count), 0);
    assert_int_equal(count, 1);
    os_sim_destroy(machine.sim);
}

static void paths_may_be_relative_and_untidy(void **state) {
    (void)state;
    struct machine machine = start_quiet_machine(1);
    make_durable(machine.os, "/d/a", 'a', 10);
    assert_true(exists(machine.os, "d/a"));
    assert_true(exists(machine.os, "./d//a"));
    assert_true(exists(machine.os, "/x/../d/./a"));
    assert_true(exists(machine.os, "/d/"));
    assert_true(exists(machine.os, "."));
    os_sim_destroy(machine.sim);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_bytes_survive_every_power_cut),
        cmocka_unit_test(unsynced_writes_are_lost_kept_or_torn_between_sectors),
        cmocka_unit_test(unsynced_stores_through_a_mapping_are_treated_as_writes),
        cmocka_unit_test(later_sectors_may_survive_without_earlier_ones),
        cmocka_unit_test(unsynced_growth_ends_at_the_old_size_the_new_or_between),
        cmocka_unit_test(an_unsynced_cut_has_happened_or_not),
        cmocka_unit_test(a_synced_cut_does_not_come_back),
        cmocka_unit_test(versions_in_between_may_reach_the_disk),
        cmocka_unit_test(an_unsynced_name_is_lost_or_kept),
        cmocka_unit_test(an_unsynced_removal_is_lost_or_kept),
        cmocka_unit_test(synced_names_survive_every_power_cut),
        cmocka_unit_test(a_rename_happens_whole_or_not_at_all),
        cmocka_unit_test(unsynced_changes_of_different_names_are_independent),
        cmocka_unit_test(changes_of_one_name_keep_their_order),
        cmocka_unit_test(what_lies_in_a_lost_directory_is_lost),
        cmocka_unit_test(the_same_seed_gives_the_same_machine),
        cmocka_unit_test(several_crashes_can_be_tried_from_one_moment),
        cmocka_unit_test(clones_crash_alike),
        cmocka_unit_test(a_kill_loses_no_bytes_but_the_lock),
        cmocka_unit_test(a_dead_process_reaches_nothing),
        cmocka_unit_test(two_processes_share_the_cache_and_contend_for_the_lock),
        cmocka_unit_test(a_process_is_stopped_before_or_after_its_nth_call),
        cmocka_unit_test(the_nth_call_of_a_class_fails_once),
        cmocka_unit_test(every_fallible_method_can_fail),
        cmocka_unit_test(a_failing_write_has_written_a_prefix),
        cmocka_unit_test(a_retried_sync_lies),
        cmocka_unit_test(what_is_written_after_a_failed_sync_can_be_synced),
        cmocka_unit_test(what_is_written_again_after_a_failed_sync_is_synced),
        cmocka_unit_test(a_failed_directory_sync_can_be_repeated),
        cmocka_unit_test(a_full_disk_refuses_growth_and_nothing_else),
        cmocka_unit_test(removed_files_give_their_space_back_when_closed),
        cmocka_unit_test(skipped_syncs_keep_nothing),
        cmocka_unit_test(read_only_media_refuse_changes_and_can_be_read),
        cmocka_unit_test(a_file_system_without_allocation_says_so),
        cmocka_unit_test(breaking_the_rules_of_os_is_caught),
        cmocka_unit_test(a_page_past_the_end_faults_with_guard_pages),
        cmocka_unit_test(the_clock_is_the_tests),
        cmocka_unit_test(randomness_comes_from_the_seed_and_survives_a_crash),
        cmocka_unit_test(bytes_can_be_set_flipped_and_listed),
        cmocka_unit_test(paths_may_be_relative_and_untidy),
    };
    return cmocka_run_group_tests_name("os_sim itself", tests, NULL, NULL);
}
