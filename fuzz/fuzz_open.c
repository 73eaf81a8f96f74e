/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose segment file is the input: opened for reading, everything in it read, checked and dumped; then opened
 * for writing, written to, closed and opened again. Any answer is fine but a crash, a hang, a read out of bounds, or
 * a store that opened and then contradicts itself.
 *
 * The disk is os_sim with guard pages, so that touching a page behind the end of a file is noticed. The store around
 * the input was made by the library itself, once; the first byte of the input says how it is used.
 */
#include "fuzz.h"

#include "format/footer.h"
#include "format/frame.h"
#include "format/segment_header.h"
#include "store/store.h"
#include "support/os_sim.h"

enum {
    SEAL_FRAMES = FUZZ_SEAL, /* make the checksums of frames right */
    SEAL_FOOTER = 1 << 1,    /* and those of the footer */
    WITH_LOCK = 1 << 2,      /* LOCK as the last writer left it; else none */
    SECOND = 1 << 3,         /* the input is segment 2, behind the intact segment 1; else segment 1 alone */
    WHOLE_FILE = 1 << 4,     /* the input is the whole file; else what follows an intact header */
    FILE_MAX = 1 << 17,
    DISK_FILE_MAX = 4 << 20, /* of the simulated disk: less to map and unmap for each run */
    LOOKUPS_MAX = 64,
};

#define STORE "/store"

struct bytes {
    uint8_t *data;
    size_t size;
};

/* The store that the library made. */
static struct { struct bytes meta, lock, first, second; } base;

/* ---- the base ---- */

static struct bytes take_file(struct os_sim *sim, const char *path) {
    const uint8_t *data;
    uint64_t size;
    FUZZ_REQUIRE(os_sim_file_bytes(sim, path, &data, &size));
    return (struct bytes){.data = fuzz_copy(data, (size_t)size), .size = (size_t)size};
}

static struct fbat_config config_of(void) {
    struct fbat_config config;
    fbat_config_init(&config, STORE);
    config.segment_max_bytes = 7000;
    config.batch.max_size = 8;
    return config;
}

static struct fbat_new_event event_of(const char *entity) {
    static const struct fbat_slice tag = {"tag", 3};
    static const struct fbat_header header = {{"by", 2}, {"web", 3}};
    return (struct fbat_new_event){
        .struct_size = sizeof(struct fbat_new_event),
        .kind = FBAT_KIND(1, 1),
        .entity = fbat_text(entity),
        .scope = fbat_text("shop"),
        .payload = fbat_text("{\"total\":12}"),
        .headers = &header,
        .header_count = 1,
        .tags = &tag,
        .tag_count = 1,
    };
}

/* A fence of three events, in two frames. */
static void append_fence(struct fbat_store *store, bool commit) {
    struct fbat_new_event events[2] = {event_of("order-1"), event_of("order-3")};
    struct fbat_fence *fence;
    FUZZ_REQUIRE(fbat_fence_begin(store, &fence, NULL) == FBAT_OK);
    FUZZ_REQUIRE(fbat_fence_append(fence, events, NULL, NULL, NULL) == FBAT_OK);
    FUZZ_REQUIRE(fbat_fence_append_batch(fence, events, 2, NULL, NULL, NULL) == FBAT_OK);
    if (commit)
        FUZZ_REQUIRE(fbat_fence_commit(fence, NULL, NULL) == FBAT_OK);
    else
        fbat_fence_cancel(fence);
}

/* Twelve frames of one and two events, in two segments; in the second one also a fence that was cancelled, and
 * another one. */
static void append_base(struct fbat_store *store) {
    static const char *const entities[] = {"order-1", "order-2", "customer-1"};
    FUZZ_REQUIRE(fbat_kind_define(store, FBAT_KIND(1, 1), fbat_text("order.placed"), NULL) == FBAT_OK);
    for (size_t at = 0; at < 12; at++) {
        struct fbat_new_event events[2] = {event_of(entities[at % 3]), event_of(entities[(at + 1) % 3])};
        FUZZ_REQUIRE(fbat_append_batch(store, events, 1 + at % 2, NULL, NULL, NULL) == FBAT_OK);
    }
    append_fence(store, false);
    append_fence(store, true);
}

static void make_base(void) {
    struct fbat_config config = config_of();
    struct fbat_store *store;
    if (base.meta.data)
        return;
    struct os_sim *sim = os_sim_create(&(struct os_sim_options){.seed = 11});
    FUZZ_REQUIRE(store_open(os_sim_process(sim, 100), &config, &store, NULL) == FBAT_OK);
    append_base(store);
    FUZZ_REQUIRE(store_close(store, NULL) == FBAT_OK);
    base.first = take_file(sim, STORE "/000001.fbat");
    base.second = take_file(sim, STORE "/000002.fbat");
    base.lock = take_file(sim, STORE "/LOCK");
    base.meta = take_file(sim, STORE "/store.meta");
    os_sim_destroy(sim);
}

/* ---- the input as a file ---- */

static void seal_frames(uint8_t *file, size_t size) {
    struct segment_header header;
    if (size < SEGMENT_HEADER_BYTES || segment_header_decode(file, &header) != SEGMENT_HEADER_VALID)
        return;
    uint32_t salt = segment_header_salt(&header);
    for (size_t at = SEGMENT_HEADER_BYTES; at + FRAME_HEADER_BYTES <= size;) {
        uint32_t bytes = load_u32(file + at + FRAME_BYTES_AT);
        if (bytes < FRAME_HEADER_BYTES || bytes % FRAME_ALIGNMENT != 0 || bytes > size - at)
            return;
        store_u32(file + at, crc32c(file + at + FRAME_BYTES_AT, bytes - FRAME_BYTES_AT, salt));
        at += bytes;
    }
}

static void seal_footer(uint8_t *file, size_t size) {
    if (size < SEGMENT_HEADER_BYTES + FOOTER_TRAILER_BYTES)
        return;
    uint8_t *trailer = file + size - FOOTER_TRAILER_BYTES;
    uint64_t table = load_u64(trailer + FOOTER_TABLE_OFFSET_AT), count = load_u32(trailer + FOOTER_PART_COUNT_AT);
    if (count > FOOTER_PARTS_MAX || table > size || count * FOOTER_PART_BYTES > size - table)
        return;
    for (uint64_t at = 0; at < count; at++) {
        uint8_t *part = file + table + at * FOOTER_PART_BYTES;
        uint64_t offset = load_u64(part + 8), bytes = load_u64(part + 16);
        if (offset <= size && bytes <= size - offset)
            store_u32(part + 4, crc32c(file + offset, (size_t)bytes, 0));
    }
    store_u32(trailer + FOOTER_TABLE_CRC_AT, crc32c(file + table, (size_t)count * FOOTER_PART_BYTES, 0));
    store_u32(trailer + FOOTER_CRC_AT, crc32c(trailer, FOOTER_CRC_AT, 0));
}

static struct bytes make_file(uint8_t flags, const uint8_t *data, size_t size) {
    const struct bytes *intact = flags & SECOND ? &base.second : &base.first;
    size_t header = flags & WHOLE_FILE ? 0 : SEGMENT_HEADER_BYTES;
    struct bytes file = {.data = malloc(header + size + 1), .size = header + size};
    FUZZ_REQUIRE(file.data);
    memcpy(file.data, intact->data, header);
    memcpy(file.data + header, data, size);
    if (flags & SEAL_FRAMES)
        seal_frames(file.data, file.size);
    if (flags & SEAL_FOOTER)
        seal_footer(file.data, file.size);
    return file;
}

static struct os_sim *make_disk(uint8_t flags, const uint8_t *data, size_t size) {
    struct os_sim *sim = os_sim_create(&(struct os_sim_options){
        .seed = 1, .file_bytes_max = DISK_FILE_MAX, .guard_pages = true, .no_write_back = true});
    struct os *os = os_sim_process(sim, 99);
    struct bytes file = make_file(flags, data, size);
    FUZZ_REQUIRE(os->methods->dir_create(os, STORE) == 0);
    FUZZ_REQUIRE(os_sim_set_file_bytes(sim, STORE "/store.meta", base.meta.data, base.meta.size));
    if (flags & WITH_LOCK)
        FUZZ_REQUIRE(os_sim_set_file_bytes(sim, STORE "/LOCK", base.lock.data, base.lock.size));
    if (flags & SECOND)
        FUZZ_REQUIRE(os_sim_set_file_bytes(sim, STORE "/000001.fbat", base.first.data, base.first.size));
    FUZZ_REQUIRE(
        os_sim_set_file_bytes(sim, flags & SECOND ? STORE "/000002.fbat" : STORE "/000001.fbat", file.data, file.size));
    free(file.data);
    return sim;
}

/* ---- reading all of it ---- */

static void look_at_event(const struct fbat_event *event) {
    struct fbat_header header;
    struct fbat_slice tag;
    fuzz_touch(event->scope.data, event->scope.size);
    fuzz_touch(event->entity.data, event->entity.size);
    fuzz_touch(event->payload.data, event->payload.size);
    fuzz_touch(event->hash, 32);
    for (size_t at = 0; fbat_event_header(event, at, &header) == FBAT_OK; at++) {
        fuzz_touch(header.name.data, header.name.size);
        fuzz_touch(header.value.data, header.value.size);
    }
    for (size_t at = 0; fbat_event_tag(event, at, &tag) == FBAT_OK; at++)
        fuzz_touch(tag.data, tag.size);
}

/* By id, by sequence, as the latest of its stream, and through its stream: answers may be damage, but not crashes. */
static void look_up(struct fbat_store *store, const struct fbat_event *event) {
    struct fbat_event again;
    struct fbat_error error;
    struct fbat_iterator *iterator;
    if (fbat_get(store, &event->id, &again, &error) == FBAT_OK)
        fbat_event_release(&again);
    if (fbat_get_by_sequence(store, event->sequence, &again, &error) == FBAT_OK)
        fbat_event_release(&again);
    if (fbat_latest(store, event->entity, event->scope, &again, &error) == FBAT_OK)
        fbat_event_release(&again);
    for (int direction = FBAT_FORWARD; direction <= FBAT_BACKWARD; direction++) {
        struct fbat_query_options options = {
            .struct_size = sizeof options, .direction = (enum fbat_direction)direction, .limit = LOOKUPS_MAX};
        if (fbat_stream(store, event->entity, event->scope, &options, &iterator, &error) != FBAT_OK)
            continue;
        while (fbat_iterator_next(iterator, &again, &error) == FBAT_OK)
            look_at_event(&again);
        fbat_iterator_close(iterator);
    }
}

/* Everything in one direction; the number of events, or SIZE_MAX when one was unreadable. */
static size_t iterate(struct fbat_store *store, const char *scope, enum fbat_direction direction, bool lookups) {
    struct fbat_region region = {.struct_size = sizeof region, .flags = FBAT_REGION_SYSTEM, .scope = fbat_text(scope)};
    struct fbat_query_options options = {.struct_size = sizeof options, .direction = direction};
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_error error;
    size_t count = 0;
    int status = fbat_query(store, &region, &options, &iterator, &error);
    FUZZ_REQUIRE(status == FBAT_OK);
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        look_at_event(&event);
        if (lookups && count < LOOKUPS_MAX)
            look_up(store, &event);
        count++;
    }
    FUZZ_REQUIRE(status == FBAT_END || status == FBAT_ERR_DAMAGED);
    fbat_iterator_close(iterator);
    return status == FBAT_END ? count : SIZE_MAX;
}

static int count_kind(void *user, uint16_t kind, struct fbat_slice name, uint64_t event_count) {
    (void)user;
    (void)kind;
    fuzz_touch(name.data, name.size);
    FUZZ_REQUIRE(event_count > 0);
    return 0;
}

static void look_at_store(struct fbat_store *store) {
    struct fbat_stats stats;
    struct fbat_error error;
    size_t forward = iterate(store, NULL, FBAT_FORWARD, true), backward = iterate(store, NULL, FBAT_BACKWARD, false);
    FUZZ_REQUIRE(forward == SIZE_MAX || backward == SIZE_MAX || forward == backward);
    (void)iterate(store, "shop", FBAT_FORWARD, false);
    (void)iterate(store, "shop", FBAT_BACKWARD, false);
    (void)fbat_stats(store, &stats, &error);
    (void)fbat_kind_counts(store, NULL, count_kind, NULL, &error);
}

static int take_finding(void *user, const struct fbat_finding *finding) {
    size_t *findings = user;
    FUZZ_REQUIRE(finding->message && *finding->message);
    *findings += finding->damage;
    return 0;
}

static int take_entry(void *user, const struct fbat_dump_entry *entry) {
    (void)user;
    if (entry->event)
        look_at_event(entry->event);
    return entry->detail ? 0 : 1;
}

/* The number of findings. */
static size_t check_and_dump(struct os *os) {
    size_t findings = 0;
    struct fbat_check_options options = {.struct_size = sizeof options, .finding = take_finding, .user = &findings};
    struct fbat_check_report report;
    struct fbat_error error;
    if (store_check(os, STORE, &options, &report, &error) != FBAT_OK)
        return SIZE_MAX;
    FUZZ_REQUIRE(report.findings == findings);
    (void)store_dump(os, STORE, 0, take_entry, NULL, &error);
    return findings;
}

static void read_all(struct os *os) {
    struct fbat_config config = config_of();
    struct fbat_store *store;
    struct fbat_error error;
    (void)check_and_dump(os);
    if (store_open_read_only(os, &config, &store, &error) != FBAT_OK) {
        FUZZ_REQUIRE(error.message[0] != '\0');
        return;
    }
    look_at_store(store);
    FUZZ_REQUIRE(store_close(store, &error) == FBAT_OK);
}

/* What opens for writing goes on, closes, and opens again with the same events. */
static void write_on(struct os *os) {
    struct fbat_config config = config_of();
    struct fbat_store *store;
    struct fbat_error error;
    struct fbat_receipt receipt;
    size_t damage_before = check_and_dump(os);
    if (store_open(os, &config, &store, &error) != FBAT_OK)
        return;
    struct fbat_new_event event = event_of("order-1");
    int status = fbat_append(store, &event, NULL, &receipt, &error);
    FUZZ_REQUIRE(status == FBAT_OK || status == FBAT_ERR_DAMAGED || status == FBAT_ERR_LIMIT);
    FUZZ_REQUIRE(store_close(store, &error) == FBAT_OK);
    FUZZ_REQUIRE(store_open(os, &config, &store, &error) == FBAT_OK);
    struct fbat_event again;
    if (status == FBAT_OK) {
        FUZZ_REQUIRE(fbat_get_by_sequence(store, receipt.sequence, &again, &error) == FBAT_OK);
        FUZZ_REQUIRE(memcmp(again.hash, receipt.hash, 32) == 0);
        fbat_event_release(&again);
    }
    FUZZ_REQUIRE(store_close(store, &error) == FBAT_OK);
    size_t damage_after = check_and_dump(os);
    FUZZ_REQUIRE(damage_before != 0 || damage_after == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > FILE_MAX)
        return 0;
    make_base();
    struct os_sim *sim = make_disk(data[0], data + 1, size - 1);
    read_all(os_sim_process(sim, 100));
    write_on(os_sim_process(sim, 101));
    os_sim_destroy(sim);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    static const struct {
        uint8_t flags;
        bool second;
        size_t cut; /* bytes left out at the end */
    } seeds[] = {
        {SEAL_FRAMES | SEAL_FOOTER, false, 0}, {SEAL_FRAMES, false, 8800},      {0, false, 9100},
        {SECOND | SEAL_FRAMES, true, 0},       {SECOND | WITH_LOCK, true, 0},   {SECOND | WHOLE_FILE, true, 0},
        {WHOLE_FILE | SEAL_FOOTER, false, 0},  {SECOND | WITH_LOCK, true, 100},
    };
    if (index >= sizeof seeds / sizeof seeds[0])
        return 0;
    make_base();
    const struct bytes *file = seeds[index].second ? &base.second : &base.first;
    size_t header = seeds[index].flags & WHOLE_FILE ? 0 : SEGMENT_HEADER_BYTES;
    return fuzz_seed_bytes(to, room, seeds[index].flags, file->data + header, file->size - header - seeds[index].cut);
}
