/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat init: creates a store, or says that there is one. Main thread only.
 */
#include <string.h>

#include "json_write.h"
#include "verbs.h"

static enum exit_code report_store(struct command *command, struct fbat_store *store, bool created) {
    struct fbat_stats stats;
    struct fbat_error error;
    char id[FBAT_ID_TEXT_SIZE];
    if (fbat_stats(store, &stats, &error) != FBAT_OK)
        return command_fail_with(command, &error);
    fbat_id_format(&stats.store_id, id);
    if (!command_has(command, OPTION_JSON)) {
        out_printf(&command->out, created ? "created the store %s in %s\n" : "there is already the store %s in %s\n",
                   id, command->arguments[0]);
        return EXIT_DONE;
    }
    struct json_writer json;
    json_open(&json, &command->out, '{');
    json_member_text(&json, "directory", command->arguments[0]);
    json_member_text(&json, "store", id);
    json_member_bool(&json, "created", created);
    json_member_u64(&json, "disk_version", stats.disk_version);
    json_close(&json, '}');
    out_char(&command->out, '\n');
    return EXIT_DONE;
}

enum exit_code verb_init(struct command *command) {
    struct fbat_store *store = NULL;
    struct fbat_error error;
    int status = fbat_open_read_only(&command->config, &store, &error);
    bool created = status == FBAT_ERR_NOT_FOUND || status == FBAT_ERR_NOT_A_STORE;
    if (created)
        status = fbat_open(&command->config, &store, &error);
    if (status != FBAT_OK)
        return command_fail_with(command, &error);
    return command_close(command, store, report_store(command, store, created));
}
