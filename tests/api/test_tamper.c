/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage, done on purpose: bits flipped, frames removed, swapped, repeated, inserted, overwritten; files cut, swapped
 * and deleted. fbat_check finds each and says where; and opening never takes damage before the durable watermark for the
 * end of the log.
 */
#include "fixture.h"

#include <sys/stat.h>
#include <unistd.h>

enum { PARTS_MAX = 512, HEADER_BYTES = 4096, SALT_AT = 24, SALT_BYTES = 32 };

/* ---- specimens ---- */

/* A part of a segment's file, as fbat_dump shows it. */
struct part {
    enum fbat_dump_what what;
    uint64_t segment_id, offset, bytes, first_sequence;
    uint32_t events;
};

/* A store closed cleanly, and what it is made of. */
struct specimen {
    struct fixture *fixture;
    char copy[TEST_PATH_SIZE]; /* the one that is damaged */
    uint64_t segments;
    size_t part_count;
    struct part parts[PARTS_MAX];
};

static int note_part(void *user, const struct fbat_dump_entry *entry) {
    struct specimen *specimen = user;
    if (entry->what == FBAT_DUMP_EVENT)
        return 0;
    assert_true(specimen->part_count < PARTS_MAX && entry->what != FBAT_DUMP_BROKEN);
    specimen->parts[specimen->part_count++] = (struct part){entry->what,  entry->segment_id,     entry->offset,
                                                            entry->bytes, entry->first_sequence, entry->event_count};
    specimen->segments = entry->segment_id;
    return 0;
}

static void append_some(struct fbat_store *store, int round, size_t batch_size) {
    const struct fbat_header header = {fbat_text("name"), fbat_text("value")};
    const struct fbat_slice tag = fbat_text("tag");
    struct fbat_new_event events[8];
    for (size_t item = 0; item < batch_size; item++) {
        events[item] = event_of((round + (int)item) % 3 ? "one" : "two", "scope", "some payload");
        events[item].headers = &header;
        events[item].header_count = item % 2;
        events[item].tags = &tag;
        events[item].tag_count = (size_t)round % 2;
    }
    assert_ok(fbat_append_batch(store, events, batch_size, NULL, NULL, &fault));
}

static struct specimen *make_specimen(struct fixture *fixture, uint64_t segment_max_bytes, int rounds,
                                      size_t batch_size) {
    struct specimen *specimen = calloc(1, sizeof *specimen);
    assert_non_null(specimen);
    specimen->fixture = fixture;
    join_path(fixture->root, "copy", specimen->copy);
    fixture->config.segment_max_bytes = segment_max_bytes;
    open_store(fixture);
    for (int round = 0; round < rounds; round++) {
        append_some(fixture->store, round, batch_size);
        if (round == rounds / 2)
            assert_ok(fbat_sync(fixture->store, &fault));
    }
    close_store(fixture);
    assert_whole(fixture->dir);
    assert_ok(fbat_dump(fixture->dir, 0, note_part, specimen, &fault));
    copy_store(fixture->dir, specimen->copy);
    return specimen;
}

static struct specimen *make_single(struct fixture *fixture) {
    return make_specimen(fixture, 256 << 20, 24, 1);
}

static struct specimen *make_sealed(struct fixture *fixture) {
    return make_specimen(fixture, 5 << 10, 24, 1);
}

static struct specimen *make_batches(struct fixture *fixture) {
    return make_specimen(fixture, 8 << 10, 12, 6);
}

static uint8_t *read_segment(const struct specimen *specimen, uint64_t segment_id, size_t *out_size) {
    char path[TEST_PATH_SIZE];
    segment_path_of(specimen->fixture->dir, segment_id, path);
    return read_file(path, out_size);
}

static void write_segment(const struct specimen *specimen, uint64_t segment_id, const void *bytes, size_t size) {
    char path[TEST_PATH_SIZE];
    segment_path_of(specimen->copy, segment_id, path);
    write_file(path, bytes, size);
}

/* Undoes the damage to one segment of the copy. */
static void heal(const struct specimen *specimen, uint64_t segment_id) {
    size_t size;
    uint8_t *bytes = read_segment(specimen, segment_id, &size);
    write_segment(specimen, segment_id, bytes, size);
    free(bytes);
}

/* The n-th frame among those of all segments, from 0, or NULL. */
static const struct part *find_frame(const struct specimen *specimen, size_t number) {
    for (size_t at = 0; at < specimen->part_count; at++)
        if (specimen->parts[at].what == FBAT_DUMP_FRAME && number-- == 0)
            return &specimen->parts[at];
    return NULL;
}

static size_t count_frames(const struct specimen *specimen) {
    size_t count = 0;
    while (find_frame(specimen, count))
        count++;
    return count;
}

/* ---- findings ---- */

struct findings {
    int damage;
    struct fbat_finding first;
    char message[256];
};

static int note_finding(void *user, const struct fbat_finding *finding) {
    struct findings *findings = user;
    if (finding->damage && findings->damage++ == 0) {
        findings->first = *finding;
        snprintf(findings->message, sizeof findings->message, "%s", finding->message);
    }
    return 0;
}

static struct findings check_copy(const struct specimen *specimen) {
    struct findings findings = {0};
    const struct fbat_check_options options = {
        .struct_size = sizeof options, .finding = note_finding, .user = &findings};
    struct fbat_check_report report;
    assert_ok(fbat_check(specimen->copy, &options, &report, &fault));
    assert_int_equal(report.findings, findings.damage);
    return findings;
}

/* Damage was found, first of all in this segment and between these offsets. */
static void assert_found(const struct specimen *specimen, const char *what, uint64_t segment_id, uint64_t least,
                         uint64_t most) {
    struct findings findings = check_copy(specimen);
    if (findings.damage > 0 && findings.first.segment_id == segment_id && findings.first.offset >= least &&
        findings.first.offset <= most)
        return;
    print_error("%s in segment %llu, expected to be found at %llu to %llu: %d findings", what,
                (unsigned long long)segment_id, (unsigned long long)least, (unsigned long long)most, findings.damage);
    if (findings.damage > 0)
        print_error("; the first (%d) in segment %llu at offset %llu, sequence %llu: %s", (int)findings.first.kind,
                    (unsigned long long)findings.first.segment_id, (unsigned long long)findings.first.offset,
                    (unsigned long long)findings.first.sequence, findings.message);
    print_error("\n");
    fail();
}

/* ---- flipped bits ---- */

/* Where damage to a byte must be found: in its frame; of a header or footer, up to the byte's part. */
static void expected_place(const struct specimen *specimen, uint64_t segment_id, uint64_t offset, uint64_t *out_least,
                           uint64_t *out_most) {
    *out_least = 0;
    *out_most = offset;
    for (size_t at = 0; at < specimen->part_count; at++) {
        const struct part *part = &specimen->parts[at];
        if (part->segment_id != segment_id || part->offset > offset)
            continue;
        if (part->what == FBAT_DUMP_FRAME)
            *out_least = offset < part->offset + part->bytes ? part->offset : part->offset + part->bytes;
        if (offset < part->offset + part->bytes)
            *out_most = part->offset + part->bytes - 1;
    }
}

static void check_flip(const struct specimen *specimen, uint64_t segment_id, uint64_t offset, unsigned bit,
                       const uint8_t *bytes) {
    char path[TEST_PATH_SIZE], what[64];
    uint64_t least, most;
    uint8_t flipped = (uint8_t)(bytes[offset] ^ 1u << bit);
    segment_path_of(specimen->copy, segment_id, path);
    expected_place(specimen, segment_id, offset, &least, &most);
    patch_file(path, offset, &flipped, 1);
    snprintf(what, sizeof what, "bit %u of the byte at %llu", bit, (unsigned long long)offset);
    assert_found(specimen, what, segment_id, least, most);
    patch_file(path, offset, &bytes[offset], 1);
}

static void check_random_flips(struct specimen *specimen, uint64_t seed) {
    seed = test_seed(seed);
    print_message("seed %llu; FBAT_TEST_SEED=%llu tests/api/test_tamper replays it\n", (unsigned long long)seed,
                  (unsigned long long)seed);
    struct test_random random = test_random_init(seed);
    uint64_t flips = test_scaled(300);
    for (uint64_t segment_id = 1; segment_id <= specimen->segments; segment_id++) {
        size_t size;
        uint8_t *bytes = read_segment(specimen, segment_id, &size);
        for (uint64_t at = 0; at < flips / specimen->segments + 1; at++)
            check_flip(specimen, segment_id, test_random_below(&random, size), (unsigned)test_random_below(&random, 8),
                       bytes);
        free(bytes);
    }
    assert_int_equal(check_copy(specimen).damage, 0); /* each was undone */
    free(specimen);
}

static void any_flipped_bit_of_an_unsealed_segment_is_found(void **state) {
    check_random_flips(make_single(*state), 71);
}

static void any_flipped_bit_of_sealed_segments_is_found(void **state) {
    check_random_flips(make_sealed(*state), 72);
}

static void any_flipped_bit_among_batches_is_found(void **state) {
    check_random_flips(make_batches(*state), 73);
}

/* Every byte that is neither in a frame nor in the zeros of a header: the few that random flips seldom meet. */
static void flipped_bit_in_any_byte_around_the_frames_is_found(void **state) {
    struct specimen *specimen = make_sealed(*state);
    size_t size;
    uint8_t *bytes = read_segment(specimen, 2, &size);
    uint64_t frames_end = 0;
    for (size_t at = 0; at < specimen->part_count; at++)
        if (specimen->parts[at].segment_id == 2 && specimen->parts[at].what == FBAT_DUMP_FRAME)
            frames_end = specimen->parts[at].offset + specimen->parts[at].bytes;
    assert_true(frames_end > HEADER_BYTES && frames_end < size);
    for (uint64_t offset = 0; offset < 160; offset++)
        check_flip(specimen, 2, offset, (unsigned)offset % 8, bytes);
    for (uint64_t offset = frames_end; offset < size; offset++)
        check_flip(specimen, 2, offset, (unsigned)offset % 8, bytes);
    free(bytes);
    free(specimen);
}

/* Every bit of one frame: its header, a record's fixed part, names, payload, padding. */
static void flipped_bit_anywhere_in_a_frame_is_found(void **state) {
    struct specimen *specimen = make_single(*state);
    size_t size;
    uint8_t *bytes = read_segment(specimen, 1, &size);
    const struct part *frame = find_frame(specimen, 5);
    for (uint64_t bit = 0; bit < frame->bytes * 8; bit += 3)
        check_flip(specimen, 1, frame->offset + bit / 8, (unsigned)bit % 8, bytes);
    free(bytes);
    free(specimen);
}

static void untouched_copy_has_no_findings(void **state) {
    static struct specimen *(*const make[])(struct fixture * fixture) = {make_single, make_sealed, make_batches};
    struct fixture *fixture = *state;
    for (int at = 0; at < 3; at++) {
        struct specimen *specimen = make[at](fixture);
        assert_whole(specimen->copy);
        char lock[TEST_PATH_SIZE];
        join_path(specimen->copy, "LOCK", lock);
        assert_int_equal(unlink(lock), 0); /* which is evidence, and not needed */
        assert_whole(specimen->copy);
        assert_true(test_remove_tree(fixture->dir));
        free(specimen);
    }
}

/* ---- frames ---- */

/* A segment under the knife. */
struct patient {
    uint8_t *bytes;
    size_t size;
    uint64_t segment_id;
};

static struct patient open_patient(const struct specimen *specimen, const struct part *frame) {
    struct patient patient = {.segment_id = frame->segment_id};
    uint8_t *bytes = read_segment(specimen, frame->segment_id, &patient.size);
    patient.bytes = realloc(bytes, patient.size * 3 + 65536);
    assert_non_null(patient.bytes);
    return patient;
}

static void take_out(struct patient *patient, uint64_t offset, uint64_t bytes) {
    memmove(patient->bytes + offset, patient->bytes + offset + bytes, patient->size - offset - bytes);
    patient->size -= bytes;
}

static void put_in(struct patient *patient, uint64_t offset, const uint8_t *from, uint64_t bytes) {
    uint8_t *copy = malloc(bytes);
    assert_non_null(copy);
    memcpy(copy, from, bytes);
    memmove(patient->bytes + offset + bytes, patient->bytes + offset, patient->size - offset);
    memcpy(patient->bytes + offset, copy, bytes);
    patient->size += bytes;
    free(copy);
}

static void close_patient(const struct specimen *specimen, struct patient *patient, const char *what, uint64_t least,
                          uint64_t most) {
    write_segment(specimen, patient->segment_id, patient->bytes, patient->size);
    free(patient->bytes);
    assert_found(specimen, what, patient->segment_id, least, most);
    heal(specimen, patient->segment_id);
}

/* Each operation on frame `number` of a specimen; false where it cannot be done there. */
typedef bool (*operation_fn)(const struct specimen *specimen, size_t number);

static void check_operation(struct fixture *fixture, operation_fn operate) {
    static struct specimen *(*const make[])(struct fixture * fixture) = {make_single, make_sealed, make_batches};
    for (int at = 0; at < 3; at++) {
        struct specimen *specimen = make[at](fixture);
        size_t frames = count_frames(specimen), done = 0;
        for (size_t number = 0; number < frames; number++)
            done += operate(specimen, number);
        assert_true(done > 0);
        assert_int_equal(check_copy(specimen).damage, 0);
        assert_true(test_remove_tree(fixture->dir));
        free(specimen);
    }
}

static bool remove_frame(const struct specimen *specimen, size_t number) {
    const struct part *frame = find_frame(specimen, number);
    struct patient patient = open_patient(specimen, frame);
    take_out(&patient, frame->offset, frame->bytes);
    close_patient(specimen, &patient, "a frame removed", frame->offset, frame->offset + frame->bytes);
    return true;
}

static void removed_frame_is_found(void **state) {
    check_operation(*state, remove_frame);
}

static bool swap_with_next(const struct specimen *specimen, size_t number) {
    const struct part *frame = find_frame(specimen, number), *next = find_frame(specimen, number + 1);
    if (!next || next->segment_id != frame->segment_id)
        return false;
    struct patient patient = open_patient(specimen, frame);
    put_in(&patient, next->offset + next->bytes, patient.bytes + frame->offset, frame->bytes);
    take_out(&patient, frame->offset, frame->bytes);
    close_patient(specimen, &patient, "two frames swapped", frame->offset, next->offset);
    return true;
}

static void swapped_frames_are_found(void **state) {
    check_operation(*state, swap_with_next);
}

static bool repeat_frame(const struct specimen *specimen, size_t number) {
    const struct part *frame = find_frame(specimen, number);
    struct patient patient = open_patient(specimen, frame);
    put_in(&patient, frame->offset + frame->bytes, patient.bytes + frame->offset, frame->bytes);
    close_patient(specimen, &patient, "a frame repeated", frame->offset + frame->bytes, frame->offset + frame->bytes);
    return true;
}

static void repeated_frame_is_found(void **state) {
    check_operation(*state, repeat_frame);
}

/* An earlier frame of the same size in the place of a later one. */
static bool overwrite_with_older(const struct specimen *specimen, size_t number) {
    const struct part *frame = find_frame(specimen, number), *older = NULL;
    for (size_t at = 0; at < number; at++)
        if (find_frame(specimen, at)->bytes == frame->bytes &&
            find_frame(specimen, at)->segment_id == frame->segment_id)
            older = find_frame(specimen, at);
    if (!older)
        return false;
    struct patient patient = open_patient(specimen, frame);
    memcpy(patient.bytes + frame->offset, patient.bytes + older->offset, frame->bytes);
    close_patient(specimen, &patient, "a frame overwritten", frame->offset, frame->offset);
    return true;
}

static void frame_overwritten_by_an_older_one_is_found(void **state) {
    check_operation(*state, overwrite_with_older);
}

static bool replace_by_zeros(const struct specimen *specimen, size_t number) {
    const struct part *frame = find_frame(specimen, number);
    struct patient patient = open_patient(specimen, frame);
    memset(patient.bytes + frame->offset, 0, frame->bytes);
    write_segment(specimen, patient.segment_id, patient.bytes, patient.size);
    free(patient.bytes);
    struct findings findings = check_copy(specimen);
    assert_true(findings.damage > 0);
    /* At the very end of the log there is no place left but the sequence that is missing. */
    if (findings.first.segment_id == frame->segment_id)
        assert_int_equal(findings.first.offset, frame->offset);
    else
        assert_int_equal(findings.first.sequence, frame->first_sequence);
    heal(specimen, frame->segment_id);
    return true;
}

static void frame_replaced_by_zeros_is_found(void **state) {
    check_operation(*state, replace_by_zeros);
}

/* The same frame, as another store made it, in front of each frame. */
static void frame_of_another_store_is_found(void **state) {
    struct fixture *fixture = *state;
    struct specimen *foreign = make_single(fixture);
    struct patient donor = open_patient(foreign, find_frame(foreign, 0));
    assert_true(test_remove_tree(fixture->dir));
    struct specimen *specimen = make_single(fixture);
    for (size_t number = 0; number < count_frames(specimen); number++) {
        const struct part *frame = find_frame(specimen, number), *other = find_frame(foreign, number);
        struct patient patient = open_patient(specimen, frame);
        put_in(&patient, frame->offset, donor.bytes + other->offset, other->bytes);
        close_patient(specimen, &patient, "a foreign frame inserted", frame->offset, frame->offset);
        patient = open_patient(specimen, frame);
        assert_int_equal(frame->bytes, other->bytes);
        memcpy(patient.bytes + frame->offset, donor.bytes + other->offset, other->bytes);
        close_patient(specimen, &patient, "a frame replaced by a foreign one", frame->offset, frame->offset);
    }
    free(donor.bytes);
    free(foreign);
    free(specimen);
}

/* ---- forged: with every checksum right ---- */

static void seal_frame(struct patient *patient, const struct part *frame) {
    uint8_t *at = patient->bytes + frame->offset;
    uint32_t salt = crc32c_of(patient->bytes + SALT_AT, SALT_BYTES, 0);
    uint32_t crc = crc32c_of(at + 4, frame->bytes - 4, salt);
    for (int byte = 0; byte < 4; byte++)
        at[byte] = (uint8_t)(crc >> (8 * byte));
}

static uint8_t *find_in_frame(struct patient *patient, const struct part *frame, const char *text) {
    uint8_t *found = memmem(patient->bytes + frame->offset, frame->bytes, text, strlen(text));
    assert_non_null(found);
    return found;
}

static void check_forgery(struct fixture *fixture, const char *text, enum fbat_finding_kind kind) {
    struct specimen *specimen = make_single(fixture);
    const struct part *frame = find_frame(specimen, 7);
    struct patient patient = open_patient(specimen, frame);
    seal_frame(&patient, frame);
    write_segment(specimen, 1, patient.bytes, patient.size);
    assert_int_equal(check_copy(specimen).damage, 0); /* we seal as the library does */
    *find_in_frame(&patient, frame, text) ^= 1;
    seal_frame(&patient, frame);
    write_segment(specimen, 1, patient.bytes, patient.size);
    free(patient.bytes);
    struct findings findings = check_copy(specimen);
    assert_true(findings.damage > 0);
    assert_int_equal(findings.first.kind, kind);
    assert_int_equal(findings.first.sequence, 8);
    assert_in_range(findings.first.offset, frame->offset, frame->offset + frame->bytes - 1);
    free(specimen);
}

static void forged_payload_is_found_by_its_hash(void **state) {
    check_forgery(*state, "some payload", FBAT_FINDING_HASH);
}

static void forged_tag_is_found_by_its_hash(void **state) {
    check_forgery(*state, "tag", FBAT_FINDING_HASH);
}

static void forged_scope_is_found_by_its_hash(void **state) {
    check_forgery(*state, "scope", FBAT_FINDING_HASH);
}

/* A payload whose event's own hash was made anew as well: the next event of the stream does not follow it. */
static void forged_hash_is_found_by_the_chain(void **state) {
    struct fixture *fixture = *state;
    struct specimen *specimen = make_single(fixture);
    const struct part *frame = find_frame(specimen, 7);
    struct patient patient = open_patient(specimen, frame);
    struct fbat_event event;
    uint8_t hash[32];
    char payload[] = "SOME PAYLOAD";
    open_store(fixture);
    assert_ok(fbat_get_by_sequence(fixture->store, 8, &event, &fault));
    memcpy(find_in_frame(&patient, frame, "some payload"), payload, sizeof payload - 1);
    event.payload = fbat_text(payload);
    hash_event(&event, true, hash);
    memcpy(patient.bytes + event.offset + 128, hash, 32); /* the record's last field before the names */
    fbat_event_release(&event);
    close_store(fixture);
    seal_frame(&patient, frame);
    write_segment(specimen, 1, patient.bytes, patient.size);
    free(patient.bytes);
    struct findings findings = check_copy(specimen);
    assert_int_equal(findings.damage, 1);
    assert_int_equal(findings.first.kind, FBAT_FINDING_CHAIN);
    assert_true(findings.first.sequence > 8);
    assert_true(findings.first.offset > frame->offset);
    free(specimen);
}

/* An event taken out, all behind it moved up and numbered anew: the hashes know their sequences. */
static void renumbered_log_is_found_by_its_hashes(void **state) {
    struct fixture *fixture = *state;
    struct specimen *specimen = make_single(fixture);
    const struct part *removed = find_frame(specimen, 7);
    struct patient patient = open_patient(specimen, removed);
    take_out(&patient, removed->offset, removed->bytes);
    for (size_t number = 8; number < count_frames(specimen); number++) {
        struct part frame = *find_frame(specimen, number);
        frame.offset -= removed->bytes;
        patient.bytes[frame.offset + 8]--; /* the first sequence, below 256 */
        seal_frame(&patient, &frame);
    }
    write_segment(specimen, 1, patient.bytes, patient.size);
    free(patient.bytes);
    struct findings findings = check_copy(specimen);
    assert_int_equal(findings.first.kind, FBAT_FINDING_HASH);
    assert_int_equal(findings.first.sequence, 8);
    assert_int_equal(findings.first.offset, removed->offset + 32);
    free(specimen);
}

/* ---- forged footers ---- */

enum { PART_BYTES = 32, TRAILER_BYTES = 256, ID_MADE_AT = 136, TABLE_AT = 192, TABLE_CRC_AT = 200, CRC_AT = 252 };

static uint64_t load_number(const uint8_t *at, int size) {
    uint64_t value = 0;
    for (int byte = size - 1; byte >= 0; byte--)
        value = value << 8 | at[byte];
    return value;
}

static void store_crc(uint8_t *at, uint32_t crc) {
    for (int byte = 0; byte < 4; byte++)
        at[byte] = (uint8_t)(crc >> (8 * byte));
}

/* Makes all checksums of a sealed segment's footer right again, from docs/FORMAT.md. */
static void seal_footer(struct patient *patient) {
    uint8_t *trailer = patient->bytes + patient->size - TRAILER_BYTES;
    uint8_t *table = patient->bytes + load_number(trailer + TABLE_AT, 8);
    uint64_t parts = load_number(trailer + 12, 4);
    for (uint64_t at = 0; at < parts; at++) {
        uint8_t *part = table + at * PART_BYTES;
        uint64_t offset = load_number(part + 8, 8), bytes = load_number(part + 16, 8);
        if (offset <= patient->size && bytes <= patient->size - offset) /* else it was forged too */
            store_crc(part + 4, crc32c_of(patient->bytes + offset, bytes, 0));
    }
    store_crc(trailer + TABLE_CRC_AT, crc32c_of(table, parts * PART_BYTES, 0));
    store_crc(trailer + CRC_AT, crc32c_of(trailer, CRC_AT, 0));
}

/* A word of segment 1's footer that says nothing: padding, and the last id made, which frames need not tell. */
static bool is_mute(const struct specimen *specimen, const struct patient *patient, uint64_t offset) {
    uint64_t trailer = patient->size - TRAILER_BYTES;
    if (offset >= trailer + ID_MADE_AT && offset < trailer + ID_MADE_AT + 16)
        return true;
    int footer_part = 0;
    for (size_t at = 0; at < specimen->part_count; at++) {
        const struct part *part = &specimen->parts[at];
        if (part->segment_id != 1 || part->what != FBAT_DUMP_FOOTER)
            continue;
        footer_part++; /* rows, streams, id slots, stream slots, the rest */
        if ((footer_part == 3 || footer_part == 4) && offset >= part->offset &&
            offset < part->offset + part->events * 4)
            return false; /* an empty slot says that there is nothing */
    }
    return load_number(patient->bytes + offset, 4) == 0;
}

/* Flips a bit in every word of the footer in turn; each must be found, though all checksums are right, because the footer
 * no longer says what the frames say. */
static void forged_footer_is_found_by_the_frames(void **state) {
    struct specimen *specimen = make_sealed(*state);
    struct patient patient = open_patient(specimen, &specimen->parts[0]);
    uint64_t frames_end = 0;
    for (size_t at = 0; at < specimen->part_count; at++)
        if (specimen->parts[at].segment_id == 1 && specimen->parts[at].what == FBAT_DUMP_FRAME)
            frames_end = specimen->parts[at].offset + specimen->parts[at].bytes;
    uint8_t *healthy = malloc(patient.size);
    assert_non_null(healthy);
    seal_footer(&patient);
    memcpy(healthy, patient.bytes, patient.size);
    write_segment(specimen, 1, patient.bytes, patient.size);
    assert_int_equal(check_copy(specimen).damage, 0); /* we seal as the library does */
    for (uint64_t offset = (frames_end + 63) / 64 * 64; offset < patient.size; offset += 4) {
        if (is_mute(specimen, &patient, offset))
            continue;
        patient.bytes[offset] ^= 1;
        seal_footer(&patient);
        if (memcmp(patient.bytes, healthy, patient.size) != 0) { /* not a checksum, which was just made right */
            write_segment(specimen, 1, patient.bytes, patient.size);
            if (check_copy(specimen).damage == 0)
                fail_msg("a forged footer passes: the byte at %llu of %zu", (unsigned long long)offset, patient.size);
        }
        memcpy(patient.bytes, healthy, patient.size);
    }
    free(healthy);
    free(patient.bytes);
    free(specimen);
}

/* ---- files ---- */

static uint64_t first_sequence_of(const struct specimen *specimen, uint64_t segment_id) {
    for (size_t at = 0; at < specimen->part_count; at++)
        if (specimen->parts[at].segment_id == segment_id && specimen->parts[at].what == FBAT_DUMP_SEGMENT)
            return specimen->parts[at].first_sequence;
    fail();
    return 0;
}

static void missing_segment_is_found(void **state) {
    struct specimen *specimen = make_sealed(*state);
    assert_true(specimen->segments > 3);
    const uint64_t victims[] = {1, 2, specimen->segments - 1, specimen->segments};
    for (int at = 0; at < 4; at++) {
        char path[TEST_PATH_SIZE];
        segment_path_of(specimen->copy, victims[at], path);
        assert_int_equal(unlink(path), 0);
        struct findings findings = check_copy(specimen);
        assert_true(findings.damage > 0);
        assert_int_equal(findings.first.sequence, first_sequence_of(specimen, victims[at]));
        struct fbat_config config = specimen->fixture->config;
        struct fbat_store *store;
        config.data_dir = specimen->copy;
        assert_status(FBAT_ERR_DAMAGED, fbat_open(&config, &store, &fault));
        assert_status(FBAT_ERR_DAMAGED, fbat_open_read_only(&config, &store, &fault));
        heal(specimen, victims[at]);
    }
    assert_int_equal(check_copy(specimen).damage, 0);
    free(specimen);
}

static void swapped_segments_are_found(void **state) {
    struct specimen *specimen = make_sealed(*state);
    for (uint64_t segment_id = 1; segment_id < specimen->segments; segment_id++) {
        size_t size, next_size;
        uint8_t *bytes = read_segment(specimen, segment_id, &size);
        uint8_t *next = read_segment(specimen, segment_id + 1, &next_size);
        write_segment(specimen, segment_id, next, next_size);
        write_segment(specimen, segment_id + 1, bytes, size);
        assert_found(specimen, "segments swapped", segment_id, 0, 0);
        heal(specimen, segment_id);
        heal(specimen, segment_id + 1);
        free(bytes);
        free(next);
    }
    free(specimen);
}

/* A cut between two frames shows where the next segment should follow, any other where it was made. */
static void check_truncation(const struct specimen *specimen, uint64_t segment_id, uint64_t size) {
    char path[TEST_PATH_SIZE], what[64];
    segment_path_of(specimen->copy, segment_id, path);
    assert_int_equal(truncate(path, (off_t)size), 0);
    snprintf(what, sizeof what, "the file cut at %llu", (unsigned long long)size);
    struct findings findings = check_copy(specimen);
    if (findings.first.segment_id == segment_id + 1 && findings.first.kind == FBAT_FINDING_SEQUENCE)
        assert_int_equal(findings.first.offset, 0);
    else
        assert_found(specimen, what, segment_id, 0, size);
    heal(specimen, segment_id);
}

/* A sealed segment cut exactly to its frames has lost nothing: its footer is made again from them. Any other cut, of
 * any segment, is damage. */
static void truncated_segment_is_found(void **state) {
    struct specimen *specimen = make_sealed(*state);
    struct test_random random = test_random_init(test_seed(74));
    for (uint64_t segment_id = 1; segment_id <= specimen->segments; segment_id++) {
        uint64_t end = 0, frames_end = 0;
        for (size_t at = 0; at < specimen->part_count; at++) {
            const struct part *part = &specimen->parts[at];
            if (part->segment_id != segment_id)
                continue;
            end = part->offset + part->bytes;
            frames_end = part->what == FBAT_DUMP_FRAME ? end : frames_end;
        }
        check_truncation(specimen, segment_id, 0);
        check_truncation(specimen, segment_id, HEADER_BYTES - 1);
        check_truncation(specimen, segment_id, HEADER_BYTES);
        check_truncation(specimen, segment_id, end - 1);
        for (uint64_t at = 0; at < test_scaled(20); at++) {
            uint64_t size = test_random_below(&random, end);
            if (size != frames_end)
                check_truncation(specimen, segment_id, size);
        }
    }
    free(specimen);
}

/* ---- opening ---- */

enum { SYNCED = 12, UNSYNCED = 8 };

/* Dies with SYNCED events durable and UNSYNCED written behind them. */
static int write_and_die(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    (void)in, (void)out;
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    for (int at = 0; at < SYNCED + UNSYNCED; at++) {
        struct fbat_new_event event = event_of(at % 2 ? "odd" : "even", "scope", "payload");
        child_check(fbat_append(store, &event, NULL, NULL, &error) == FBAT_OK);
        if (at + 1 == SYNCED)
            child_check(fbat_sync(store, &error) == FBAT_OK);
    }
    return 0;
}

static struct specimen *make_victim(struct fixture *fixture) {
    struct child child;
    struct specimen *specimen = calloc(1, sizeof *specimen);
    assert_non_null(specimen);
    specimen->fixture = fixture;
    fixture->config.sync.max_delay_ms = 0;
    child_start(&child, write_and_die, fixture);
    assert_int_equal(child_wait(&child), 0);
    assert_ok(fbat_dump(fixture->dir, 0, note_part, specimen, &fault));
    join_path(fixture->root, "copy", specimen->copy);
    copy_store(fixture->dir, specimen->copy);
    return specimen;
}

static void flip_in_copy(const struct specimen *specimen, const struct part *frame, struct test_random *random) {
    char path[TEST_PATH_SIZE];
    size_t size;
    uint64_t offset = frame->offset + test_random_below(random, frame->bytes);
    segment_path_of(specimen->copy, frame->segment_id, path);
    uint8_t *bytes = read_file(path, &size);
    uint8_t flipped = (uint8_t)(bytes[offset] ^ 1u << test_random_below(random, 8));
    patch_file(path, offset, &flipped, 1);
    free(bytes);
}

/* Refused for writing and reading, with the place, and nothing was changed. */
static void assert_open_finds_damage(const struct specimen *specimen, const struct part *frame) {
    struct fbat_config config = specimen->fixture->config;
    struct fbat_store *store;
    char path[TEST_PATH_SIZE];
    size_t before_size, after_size;
    config.data_dir = specimen->copy;
    segment_path_of(specimen->copy, frame->segment_id, path);
    uint8_t *before = read_file(path, &before_size);
    for (int way = 0; way < 2; way++) {
        memset(&fault, 0, sizeof fault);
        assert_status(FBAT_ERR_DAMAGED,
                      way ? fbat_open_read_only(&config, &store, &fault) : fbat_open(&config, &store, &fault));
        assert_int_equal(fault.segment_id, frame->segment_id);
        assert_int_equal(fault.offset, frame->offset);
        assert_int_equal(fault.sequence, frame->first_sequence);
        char place[64];
        snprintf(place, sizeof place, "segment %llu, offset %llu", (unsigned long long)frame->segment_id,
                 (unsigned long long)frame->offset);
        assert_message_has(place);
    }
    uint8_t *after = read_file(path, &after_size);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    free(before);
    free(after);
}

static void damage_before_the_durable_watermark_refuses_the_opening(void **state) {
    struct specimen *specimen = make_victim(*state);
    struct test_random random = test_random_init(test_seed(75));
    for (uint64_t at = 0; at < test_scaled(60); at++) {
        const struct part *frame = find_frame(specimen, at % SYNCED);
        flip_in_copy(specimen, frame, &random);
        assert_open_finds_damage(specimen, frame);
        copy_store(specimen->fixture->dir, specimen->copy);
    }
    free(specimen);
}

/* Behind the watermark it is a torn tail: what stands before it is all there. */
static void damage_behind_the_durable_watermark_ends_the_log_there_and_says_so(void **state) {
    struct specimen *specimen = make_victim(*state);
    struct test_random random = test_random_init(test_seed(76));
    for (size_t number = SYNCED; number < SYNCED + UNSYNCED; number++) {
        const struct part *frame = find_frame(specimen, number);
        struct fbat_config config = specimen->fixture->config;
        struct fbat_open_report report;
        struct fbat_store *store;
        flip_in_copy(specimen, frame, &random);
        config.data_dir = specimen->copy;
        assert_ok(fbat_open(&config, &store, &fault));
        fbat_open_report(store, &report);
        assert_int_equal(count_events(store), number);
        assert_int_equal(report.dropped_segment_id, 1);
        assert_int_equal(report.dropped_offset, frame->offset);
        assert_true(report.dropped_bytes > 0);
        assert_ok(fbat_close(store, &fault));
        assert_whole(specimen->copy);
        copy_store(specimen->fixture->dir, specimen->copy);
    }
    free(specimen);
}

/* After a clean close everything was durable. */
static void damage_in_a_closed_store_refuses_the_opening(void **state) {
    struct specimen *specimen = make_single(*state);
    struct test_random random = test_random_init(test_seed(77));
    for (size_t number = 0; number < count_frames(specimen); number++) {
        const struct part *frame = find_frame(specimen, number);
        flip_in_copy(specimen, frame, &random);
        assert_open_finds_damage(specimen, frame);
        copy_store(specimen->fixture->dir, specimen->copy);
    }
    free(specimen);
}

/* Without LOCK, the watermark that each frame carries still tells damage from a torn tail. */
static void watermark_in_later_frames_proves_damage_without_the_lock_file(void **state) {
    struct specimen *specimen = make_victim(*state);
    struct test_random random = test_random_init(test_seed(78));
    for (size_t number = 0; number < SYNCED; number++) {
        char lock[TEST_PATH_SIZE];
        const struct part *frame = find_frame(specimen, number);
        flip_in_copy(specimen, frame, &random);
        join_path(specimen->copy, "LOCK", lock);
        assert_int_equal(unlink(lock), 0);
        assert_open_finds_damage(specimen, frame);
        copy_store(specimen->fixture->dir, specimen->copy);
    }
    free(specimen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(untouched_copy_has_no_findings),
        behaviour_in_memory(any_flipped_bit_of_an_unsealed_segment_is_found),
        behaviour_in_memory(any_flipped_bit_of_sealed_segments_is_found),
        behaviour_in_memory(any_flipped_bit_among_batches_is_found),
        behaviour_in_memory(flipped_bit_in_any_byte_around_the_frames_is_found),
        behaviour_in_memory(flipped_bit_anywhere_in_a_frame_is_found),
        behaviour_in_memory(removed_frame_is_found),
        behaviour_in_memory(swapped_frames_are_found),
        behaviour_in_memory(repeated_frame_is_found),
        behaviour_in_memory(frame_overwritten_by_an_older_one_is_found),
        behaviour_in_memory(frame_replaced_by_zeros_is_found),
        behaviour_in_memory(frame_of_another_store_is_found),
        behaviour_in_memory(forged_payload_is_found_by_its_hash),
        behaviour_in_memory(forged_tag_is_found_by_its_hash),
        behaviour_in_memory(forged_scope_is_found_by_its_hash),
        behaviour_in_memory(forged_hash_is_found_by_the_chain),
        behaviour_in_memory(renumbered_log_is_found_by_its_hashes),
        behaviour_in_memory(forged_footer_is_found_by_the_frames),
        behaviour_in_memory(missing_segment_is_found),
        behaviour_in_memory(swapped_segments_are_found),
        behaviour_in_memory(truncated_segment_is_found),
        behaviour_in_memory(damage_before_the_durable_watermark_refuses_the_opening),
        behaviour_in_memory(damage_behind_the_durable_watermark_ends_the_log_there_and_says_so),
        behaviour_in_memory(damage_in_a_closed_store_refuses_the_opening),
        behaviour_in_memory(watermark_in_later_frames_proves_damage_without_the_lock_file),
    };
    return cmocka_run_group_tests_name("api: damage", tests, NULL, NULL);
}
