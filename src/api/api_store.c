/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of opening, closing, watermarks, kinds and maintenance. Their contracts stand in the public header. */
#include <string.h>

#include "api/handle.h"
#include "base/error.h"
#include "index/query.h"
#include "store/store.h"

int fbat_open(const struct fbat_config *config, struct fbat_store **out_store, struct fbat_error *out_error) {
    if (!config || !out_store)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "config or out_store is NULL");
    FBAT_TRY(store_open(os_posix(), config, out_store, out_error));
    handle_adopt(*out_store);
    return FBAT_OK;
}

int fbat_open_read_only(const struct fbat_config *config, struct fbat_store **out_store, struct fbat_error *out_error) {
    if (!config || !out_store)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "config or out_store is NULL");
    FBAT_TRY(store_open_read_only(os_posix(), config, out_store, out_error));
    handle_adopt(*out_store);
    return FBAT_OK;
}

int fbat_close(struct fbat_store *store, struct fbat_error *out_error) {
    if (!store)
        return FBAT_OK;
    FBAT_TRY(handle_check(store, out_error)); /* a child must not touch what is its parent's */
    return store_close(store, out_error);
}

void fbat_open_report(const struct fbat_store *store, struct fbat_open_report *out_report) {
    *out_report = store->report;
}

/* ---- watermarks ---- */

void fbat_frontier(struct fbat_store *store, struct fbat_frontier *out_frontier) {
    if (!store->read_only) {
        sequencer_frontier(&store->sequencer, out_frontier);
        return;
    }
    struct fbat_error ignored;
    uint64_t durable = follow_durable(store); /* before visible, which then is at least as much */
    (void)store_catch_up(store, &ignored);
    uint64_t visible = directory_visible(&store->directory);
    *out_frontier = (struct fbat_frontier){
        .accepted = visible,
        .written = visible,
        .visible = visible,
        .durable = durable < visible ? durable : visible,
    };
}

int fbat_sync(struct fbat_store *store, struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    return sequencer_sync(&store->sequencer, out_error);
}

int fbat_wait_durable(struct fbat_store *store, uint64_t sequence, uint32_t timeout_ms, struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    return sequencer_wait_durable(&store->sequencer, sequence, timeout_ms, out_error);
}

/* ---- kinds ---- */

int fbat_kind_define(struct fbat_store *store, uint16_t kind, struct fbat_slice name, struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    return kinds_define(store, kind, name, out_error);
}

int fbat_kind_resolve(struct fbat_store *store, struct fbat_slice name, unsigned category, uint16_t *out_kind,
                      struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    return out_kind ? kinds_resolve(store, name, category, out_kind, out_error)
                    : error_set(out_error, FBAT_ERR_ARGUMENT, "out_kind is NULL");
}

int fbat_kind(struct fbat_store *store, struct fbat_slice name, uint16_t *out_kind) {
    struct fbat_error ignored;
    FBAT_TRY(handle_check(store, &ignored));
    if (!out_kind || (!name.data && name.size > 0))
        return FBAT_ERR_ARGUMENT;
    if (store->read_only)
        FBAT_TRY(kinds_load(store, &ignored));
    return kinds_find(&store->kinds, name, out_kind);
}

int fbat_kind_name(struct fbat_store *store, uint16_t kind, struct fbat_slice *out_name) {
    struct fbat_error ignored;
    FBAT_TRY(handle_check(store, &ignored));
    if (!out_name)
        return FBAT_ERR_ARGUMENT;
    if (store->read_only)
        FBAT_TRY(kinds_load(store, &ignored));
    return kinds_name(&store->kinds, kind, out_name);
}

/* ---- maintenance ---- */

int fbat_stats(struct fbat_store *store, struct fbat_stats *out_stats, struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    return out_stats ? store_stats(store, out_stats, out_error)
                     : error_set(out_error, FBAT_ERR_ARGUMENT, "out_stats is NULL");
}

int fbat_check(const char *data_dir, const struct fbat_check_options *options, struct fbat_check_report *out_report,
               struct fbat_error *out_error) {
    if (!data_dir || strlen(data_dir) > LIMIT_PATH_BYTES - 64)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "data_dir is NULL or too long");
    if (options && options->struct_size != sizeof *options)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "options.struct_size is %u, expected %zu", options->struct_size,
                         sizeof *options);
    return store_check(os_posix(), data_dir, options, out_report, out_error);
}

int fbat_dump(const char *data_dir, uint64_t segment_id, fbat_dump_fn visit, void *user, struct fbat_error *out_error) {
    if (!data_dir || strlen(data_dir) > LIMIT_PATH_BYTES - 64 || !visit)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "data_dir or visit is NULL, or data_dir is too long");
    return store_dump(os_posix(), data_dir, segment_id, visit, user, out_error);
}
