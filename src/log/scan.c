/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One frame at a time. The window, where one is needed, holds at least the frame looked at and is read on in large
 * steps.
 *
 * I1: after make_available(n) succeeds, n bytes at scan->offset can be read through bytes_at, or the file ends before.
 */
#include "log/scan.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/memory.h"

enum { WINDOW_STEP = 1 << 20, READ_ATTEMPTS = 3 };

void scan_init(struct scan *scan, struct segment *segment, uint64_t offset) {
    memset(scan, 0, sizeof *scan);
    scan->segment = segment;
    scan->offset = offset;
}

void scan_deinit(struct scan *scan) {
    memory_free(scan->window);
    scan->window = NULL;
}

static uint64_t bytes_left(const struct scan *scan) {
    return scan->offset < scan->segment->file_bytes ? scan->segment->file_bytes - scan->offset : 0;
}

static int grow_window(struct scan *scan, uint64_t room, struct fbat_error *error) {
    if (room <= scan->window_room)
        return FBAT_OK;
    uint8_t *window = memory_allocate((size_t)room);
    if (!window)
        return error_set_no_memory(error);
    memory_free(scan->window);
    scan->window = window;
    scan->window_room = room;
    scan->window_bytes = 0;
    return FBAT_OK;
}

static int read_window(struct scan *scan, uint64_t needed, uint64_t *out_size, int *out_errno,
                       struct fbat_error *error) {
    struct segment *segment = scan->segment;
    uint64_t size = needed < WINDOW_STEP ? WINDOW_STEP : align_up(needed, WINDOW_STEP);
    size = size > bytes_left(scan) ? bytes_left(scan) : size;
    FBAT_TRY(grow_window(scan, size, error));
    *out_errno =
        segment->os->methods->file_read_at(segment->os, segment->file, scan->window, (size_t)size, scan->offset);
    *out_size = size;
    return FBAT_OK;
}

/* Reads the window anew from scan->offset. A file that was cut since its size was taken is read up to its new end. */
static int fill_window(struct scan *scan, uint64_t needed, struct fbat_error *error) {
    uint64_t size;
    int os_errno = ENODATA;
    scan->window_offset = scan->offset;
    scan->window_bytes = 0;
    for (int attempt = 0; attempt < READ_ATTEMPTS && os_errno == ENODATA; attempt++) {
        FBAT_TRY(read_window(scan, needed, &size, &os_errno, error));
        if (os_errno == ENODATA)
            FBAT_TRY(segment_refresh_size(scan->segment, error));
    }
    if (os_errno == ENODATA)
        return FBAT_OK; /* cut again and again: nothing to read now */
    if (os_errno) {
        char path[LIMIT_PATH_BYTES];
        segment_path(scan->segment->dir, scan->segment->header.segment_id, path);
        return error_set_os(error, os_errno, "read", path);
    }
    scan->window_bytes = size;
    return FBAT_OK;
}

static const uint8_t nothing; /* where there is no byte to point to */

static bool is_mapped_scan(const struct scan *scan) {
    return scan->segment->access == SEGMENT_WRITE || !scan->segment->file;
}

/* Bytes at scan->offset that can be read: at least `wanted`, or all up to the file's end. */
static int make_available(struct scan *scan, uint64_t wanted, const uint8_t **out_at, uint64_t *out_available,
                          struct fbat_error *error) {
    uint64_t left = bytes_left(scan);
    if (is_mapped_scan(scan)) {
        *out_at = scan->segment->map + scan->offset;
        *out_available = left;
        return FBAT_OK;
    }
    wanted = wanted > left ? left : wanted;
    uint64_t skipped = scan->offset - scan->window_offset;
    if (scan->offset < scan->window_offset || skipped > scan->window_bytes || scan->window_bytes - skipped < wanted) {
        FBAT_TRY(fill_window(scan, wanted, error));
        skipped = 0;
    }
    *out_at = scan->window ? scan->window + skipped : &nothing;
    *out_available = scan->window_bytes - skipped;
    return FBAT_OK;
}

int scan_look(struct scan *scan, enum frame_state *out_state, struct frame *out_frame, const uint8_t **out_bytes,
              struct fbat_error *error) {
    const uint8_t *at;
    uint64_t available;
    FBAT_TRY(make_available(scan, FRAME_HEADER_BYTES, &at, &available, error));
    if (available >= FRAME_HEADER_BYTES) {
        uint64_t frame_bytes = load_u32(at + FRAME_BYTES_AT);
        if (frame_bytes > available && frame_bytes <= bytes_left(scan) && frame_bytes <= LIMIT_FRAME_BYTES)
            FBAT_TRY(make_available(scan, frame_bytes, &at, &available, error));
    }
    struct frame frame;
    enum frame_state state = frame_decode(at, available, scan->segment->salt, &frame);
    if (state == FRAME_VALID) {
        *out_frame = frame;
        *out_bytes = at;
    }
    *out_state = state;
    return FBAT_OK;
}

/* Moves to the next 8-byte word that is not zero: no frame starts with eight zero bytes. */
static int skip_zeros(struct scan *scan, struct fbat_error *error) {
    for (;;) {
        const uint8_t *at;
        uint64_t available;
        FBAT_TRY(make_available(scan, FRAME_HEADER_BYTES, &at, &available, error));
        uint64_t index = 0;
        while (index + 8 <= available && load_u64(at + index) == 0)
            index += 8;
        scan->offset += index;
        if (index == 0 || index + 8 <= available)
            return FBAT_OK;
    }
}

int scan_find_bytes(struct scan *scan, bool *out_found, struct fbat_error *error) {
    const uint8_t *at;
    uint64_t available;
    FBAT_TRY(skip_zeros(scan, error));
    FBAT_TRY(make_available(scan, FRAME_ALIGNMENT, &at, &available, error));
    *out_found = !bytes_are_zero(at, (size_t)(available < FRAME_ALIGNMENT ? available : FRAME_ALIGNMENT));
    return FBAT_OK;
}

int scan_search(struct scan *scan, uint64_t above, bool *out_found, uint64_t *out_offset, struct frame *out_frame,
                struct fbat_error *error) {
    *out_found = false;
    for (;;) {
        scan->offset += FRAME_ALIGNMENT;
        FBAT_TRY(skip_zeros(scan, error));
        if (bytes_left(scan) < FRAME_HEADER_BYTES)
            return FBAT_OK;
        enum frame_state state;
        struct frame frame;
        const uint8_t *bytes;
        FBAT_TRY(scan_look(scan, &state, &frame, &bytes, error));
        if (state == FRAME_VALID && frame.first_sequence > above) {
            *out_found = true;
            *out_offset = scan->offset;
            *out_frame = frame;
            return FBAT_OK;
        }
    }
}
