/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat append: one event from the command line.
 *
 * Happy path: options become a struct fbat_new_event, the payload comes from the argument, a file or standard input,
 * and the receipt is printed when its level is reached. Failure: bad options are found before the store is opened or
 * created. Main thread only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloudevent.h"
#include "json_scan.h"
#include "json_write.h"
#include "region.h"
#include "text.h"
#include "times.h"
#include "verbs.h"

#define READ_BYTES_FIRST (64u * 1024u)

struct append {
    struct command *command;
    struct fbat_new_event event;
    struct fbat_append_options options;
    struct scratch scratch;
    struct fbat_header *headers;
    struct fbat_slice *tags;
    char *payload; /* what was read, to be freed */
};

/* ---- The payload ---- */

/* All of fd, up to one byte more than size_max. False with errno. */
static bool read_all(int fd, size_t size_max, char **out_data, size_t *out_size) {
    size_t capacity = READ_BYTES_FIRST, size = 0;
    char *data = heap_allocate(capacity);
    for (;;) {
        if (size == capacity)
            data = heap_resize(data, capacity *= 2);
        size_t room = capacity - size, wanted = size_max + 1 - size;
        ssize_t got = read(fd, data + size, room < wanted ? room : wanted);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            free(data);
            return false;
        }
        size += (size_t)got;
        if (got == 0 || size > size_max)
            break;
    }
    *out_data = data;
    *out_size = size;
    return true;
}

static bool read_payload(struct append *append, const char *file) {
    size_t size, size_max = append->command->config.single_append_max_bytes;
    bool standard = strcmp(file, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    bool read = fd >= 0 && read_all(fd, size_max, &append->payload, &size);
    int failed = errno;
    if (fd >= 0 && !standard)
        close(fd);
    if (!read) {
        command_fail(append->command, "cannot read %s: %s", standard ? "standard input" : file, strerror(failed));
        return false;
    }
    if (size > size_max) {
        command_fail(append->command,
                     "the payload is over %zu bytes; -o single_append_max_bytes=N raises the limit, to 64MiB",
                     size_max);
        return false;
    }
    append->event.payload = fbat_bytes(append->payload, size);
    return true;
}

static bool take_append_payload(struct append *append) {
    const struct command *command = append->command;
    const char *file = command_option(command, OPTION_FILE);
    const char *argument = command->argument_count > 1 ? command->arguments[1] : NULL;
    if (file != NULL && argument != NULL) {
        command_fail(command, "the payload is given twice, as argument and with --file");
        return false;
    }
    if (file != NULL || (argument != NULL && strcmp(argument, "-") == 0))
        return read_payload(append, file != NULL ? file : argument);
    append->event.payload = fbat_text(argument);
    return true;
}

/* What a payload is when nobody says it: JSON if it is, else text if it is UTF-8 without zero bytes, else bytes. */
static uint8_t detect_type(struct fbat_slice payload) {
    if (payload.size == 0)
        return FBAT_PAYLOAD_BYTES;
    if (json_is_valid(payload))
        return FBAT_PAYLOAD_JSON;
    bool text = memchr(payload.data, '\0', payload.size) == NULL && text_is_utf8(payload);
    return text ? FBAT_PAYLOAD_TEXT : FBAT_PAYLOAD_BYTES;
}

static bool check_type(const struct append *append, const char *name) {
    const struct fbat_new_event *event = &append->event;
    if (event->payload_type == FBAT_PAYLOAD_JSON && event->payload.size > 0 && !json_is_valid(event->payload)) {
        command_fail(append->command, "--type is %s, but the payload is not valid JSON", name);
        return false;
    }
    if (event->payload_type == FBAT_PAYLOAD_TEXT && !text_is_utf8(event->payload)) {
        command_fail(append->command, "--type is %s, but the payload is not valid UTF-8", name);
        return false;
    }
    return true;
}

static bool take_type(struct append *append) {
    static const struct {
        const char *name;
        uint8_t type;
    } types[] = {
        {"bytes", FBAT_PAYLOAD_BYTES}, {"json", FBAT_PAYLOAD_JSON}, {"msgpack", FBAT_PAYLOAD_MSGPACK},
        {"text", FBAT_PAYLOAD_TEXT},   {"cbor", FBAT_PAYLOAD_CBOR}, {"protobuf", FBAT_PAYLOAD_PROTOBUF},
    };
    const char *name = command_option(append->command, OPTION_TYPE);
    if (name == NULL) {
        append->event.payload_type = detect_type(append->event.payload);
        return true;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, types[i].name) == 0) {
            append->event.payload_type = types[i].type;
            return check_type(append, name);
        }
    }
    command_fail(append->command, "--type is '%s'; expected json, text, bytes, msgpack, cbor or protobuf", name);
    return false;
}

/* ---- The other fields ---- */

static bool take_coordinate(struct append *append) {
    static const enum option_key required[] = {OPTION_NEW_ENTITY, OPTION_NEW_SCOPE, OPTION_NEW_KIND};
    const struct command *command = append->command;
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++) {
        const char *value = command_option(command, required[i]);
        if (value == NULL || value[0] == '\0') {
            command_fail(command, "--%s is %s; usage: fbat append %s", option_specs[required[i]].name,
                         value == NULL ? "missing" : "empty", command->verb->arguments);
            return false;
        }
    }
    append->event.entity = fbat_text(command_option(command, OPTION_NEW_ENTITY));
    append->event.scope = fbat_text(command_option(command, OPTION_NEW_SCOPE));
    return true;
}

/* Appends a header; there is room for all options and the three ids. */
static void add_append_header(struct append *append, struct fbat_slice name, struct fbat_slice value) {
    append->headers[append->event.header_count].name = name;
    append->headers[append->event.header_count].value = value;
    append->event.header_count++;
}

static bool take_append_id(struct append *append, enum option_key key, enum kept_attribute kept,
                           struct fbat_id *out_id) {
    const char *text = command_option(append->command, key);
    if (text == NULL)
        return true;
    if (text[0] == '\0') {
        command_fail(append->command, "--%s is empty; expected a UUID or any other text", option_specs[key].name);
        return false;
    }
    if (cloudevent_id(append->event.scope, fbat_text(text), out_id) != FBAT_OK) {
        command_fail(append->command, "no id can be made of '%s': out of memory", text);
        return false;
    }
    bool own_story = key == OPTION_CORRELATION && memcmp(out_id, &append->event.id, sizeof *out_id) == 0;
    struct fbat_slice usual = fbat_text(own_story ? command_option(append->command, OPTION_ID) : NULL);
    if (cloudevent_keeps_id(fbat_text(text), out_id, usual))
        add_append_header(append, fbat_text(kept_names[kept]), fbat_text(text));
    return true;
}

static bool take_append_time(struct append *append) {
    const char *text = command_option(append->command, OPTION_TIME);
    char canonical[TIME_TEXT_SIZE];
    if (text == NULL)
        return true;
    if (!time_parse(text, strlen(text), &append->event.event_time_us)) {
        command_fail(append->command, "--time is '%s'; expected an RFC 3339 time like 2024-01-31T12:00:00Z", text);
        return false;
    }
    append->event.has_event_time = 1;
    time_format(append->event.event_time_us, canonical);
    if (strcmp(text, canonical) != 0)
        add_append_header(append, fbat_text(kept_names[KEPT_TIME]), fbat_text(text));
    return true;
}

static bool take_repeated(struct append *append) {
    const struct command *command = append->command;
    for (size_t i = 0; i < command->use_count; i++) {
        const char *value = command->uses[i].value, *equals;
        if (command->uses[i].key == OPTION_TAG)
            append->tags[append->event.tag_count++] = fbat_text(value);
        if (command->uses[i].key != OPTION_HEADER)
            continue;
        equals = strchr(value, '=');
        if (equals == NULL || equals == value) {
            command_fail(command, "--header is '%s'; expected NAME=VALUE", value);
            return false;
        }
        add_append_header(append, fbat_bytes(value, (size_t)(equals - value)), fbat_text(equals + 1));
    }
    return true;
}

static bool take_expectation(struct append *append) {
    const char *text = command_option(append->command, OPTION_EXPECT);
    struct fbat_new_event *event = &append->event;
    if (text == NULL || strcmp(text, "any") == 0)
        event->expect = FBAT_EXPECT_ANY;
    else if (strcmp(text, "none") == 0)
        event->expect = FBAT_EXPECT_NONE;
    else if (strcmp(text, "exists") == 0)
        event->expect = FBAT_EXPECT_EXISTS;
    else if (number_parse(text, &event->expected_revision))
        event->expect = FBAT_EXPECT_REVISION;
    else {
        command_fail(append->command, "--expect is '%s'; expected none, exists, any, or a revision", text);
        return false;
    }
    return true;
}

static bool take_level(struct append *append) {
    bool durable = command_has(append->command, OPTION_DURABLE), written = command_has(append->command, OPTION_WRITTEN);
    if (durable && written) {
        command_fail(append->command, "--durable and --written exclude each other");
        return false;
    }
    append->options.struct_size = sizeof append->options;
    append->options.level = durable ? FBAT_LEVEL_DURABLE : written ? FBAT_LEVEL_WRITTEN : FBAT_LEVEL_DEFAULT;
    return true;
}

static bool take_append_kind(struct append *append, struct fbat_store *store) {
    const struct command *command = append->command;
    const char *text = command_option(command, OPTION_NEW_KIND);
    struct fbat_error error;
    uint64_t category;
    if (region_kind_number(text, &append->event.kind))
        return true;
    if (!command_number(command, OPTION_NEW_CATEGORY, 1, 15, 1, &category))
        return false;
    if (fbat_kind_resolve(store, fbat_text(text), (unsigned)category, &append->event.kind, &error) == FBAT_OK)
        return true;
    command_fail_with(command, &error);
    return false;
}

/* ---- The receipt ---- */

static void print_receipt(struct append *append, const struct fbat_receipt *receipt) {
    struct out *out = &append->command->out;
    char id[FBAT_ID_TEXT_SIZE];
    const char *level = receipt->level == FBAT_LEVEL_DURABLE ? "durable" : "written";
    if (!command_has(append->command, OPTION_JSON)) {
        fbat_id_format(&receipt->id, id);
        out_printf(out, "sequence %llu, revision %llu, id %s, %s%s\n", (unsigned long long)receipt->sequence,
                   (unsigned long long)receipt->revision, id, level, receipt->replayed ? ", was there already" : "");
        return;
    }
    struct json_writer json;
    json_open(&json, out, '{');
    json_member_u64(&json, "sequence", receipt->sequence);
    json_member_u64(&json, "revision", receipt->revision);
    json_member_id(&json, "id", &receipt->id);
    json_member_time(&json, "recordedtime", receipt->recorded_us);
    json_member_text(&json, "level", level);
    json_member_bool(&json, "replayed", receipt->replayed != 0);
    json_member_hex(&json, "hash", receipt->hash, sizeof receipt->hash);
    json_close(&json, '}');
    out_char(out, '\n');
}

static enum exit_code append_to_store(struct append *append) {
    struct fbat_receipt receipt;
    struct fbat_error error;
    enum exit_code code = EXIT_DONE;
    struct fbat_store *store = command_open_to_write(append->command);
    if (store == NULL)
        return EXIT_ERROR;
    if (!take_append_kind(append, store))
        code = EXIT_ERROR;
    else if (fbat_append(store, &append->event, &append->options, &receipt, &error) != FBAT_OK)
        code = command_fail_with(append->command, &error);
    bool appended = code == EXIT_DONE;
    code = command_close(append->command, store, code);
    if (appended)
        print_receipt(append, &receipt);
    return code;
}

enum exit_code verb_append(struct command *command) {
    struct append append;
    enum exit_code code = EXIT_ERROR;
    memset(&append, 0, sizeof append);
    append.command = command;
    append.headers = heap_allocate((command->use_count + KEPT_COUNT) * sizeof *append.headers);
    append.tags = heap_allocate((command->use_count + 1) * sizeof *append.tags);
    append.event.struct_size = sizeof append.event;
    append.event.headers = append.headers;
    append.event.tags = append.tags;
    if (take_coordinate(&append) && take_append_time(&append) &&
        take_append_id(&append, OPTION_ID, KEPT_ID, &append.event.id) &&
        take_append_id(&append, OPTION_CORRELATION, KEPT_CORRELATION, &append.event.correlation) &&
        take_append_id(&append, OPTION_CAUSATION, KEPT_CAUSATION, &append.event.causation) && take_repeated(&append) &&
        take_expectation(&append) && take_level(&append) && take_append_payload(&append) && take_type(&append))
        code = append_to_store(&append);
    free(append.headers);
    free(append.tags);
    free(append.payload);
    return code;
}
