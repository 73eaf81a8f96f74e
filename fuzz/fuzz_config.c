/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration by text: lines "name=value". What is accepted is valid, is formatted, and is accepted again with the same
 * result; what is refused changes nothing.
 */
#include "fuzz.h"

#include <fbat/fbat.h>

/* Sets each line; fails when one that must be accepted is not. */
static void set_lines(struct fbat_config *config, char *text, bool must_be_accepted) {
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        struct fbat_config before = *config;
        struct fbat_error error;
        char *value = strchr(line, '=');
        if (value)
            *value++ = '\0';
        int status = fbat_config_set(config, line, value ? value : "", &error);
        FUZZ_REQUIRE(status == FBAT_OK || (status == FBAT_ERR_CONFIG && !must_be_accepted));
        if (status == FBAT_OK)
            continue;
        FUZZ_REQUIRE(error.status == status && error.message[0] && strlen(error.message) < sizeof error.message);
        FUZZ_REQUIRE(memcmp(&before, config, sizeof before) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fbat_config config, again;
    char formatted[4096], *text = malloc(size + 1);
    FUZZ_REQUIRE(text);
    memcpy(text, data, size);
    text[size] = '\0';
    fbat_config_init(&config, "dir");
    set_lines(&config, text, false);
    free(text);
    FUZZ_REQUIRE(fbat_config_validate(&config, NULL) == FBAT_OK);
    FUZZ_REQUIRE(fbat_config_format(&config, formatted, sizeof formatted) < sizeof formatted);
    fbat_config_init(&again, "dir");
    again.data_dir = config.data_dir;
    set_lines(&again, formatted, true);
    FUZZ_REQUIRE(memcmp(&config, &again, sizeof config) == 0);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    static const char *const seeds[] = {"segment_max_bytes=64MiB\nsync.every_n_events=1\nsync.mode=data\n",
                                        "index.views=soa,tiles64\nindex.layout=aosoa64\nindex.enable_checkpoint=off\n",
                                        "writer.restart_policy=bounded:3/60000\nbatch.max_size=4096\n"};
    struct fbat_config config;
    fbat_config_init(&config, "dir");
    if (index == 3) {
        size_t size = fbat_config_format(&config, (char *)to, room);
        return size < room ? size : 0;
    }
    if (index > 3 || strlen(seeds[index]) > room)
        return 0;
    memcpy(to, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
