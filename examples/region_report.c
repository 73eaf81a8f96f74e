/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to a history: one predicate, the region, for all of them; and iterators that see one moment.
 *
 *     region_report [DIRECTORY]
 *
 * Sensors in two houses report readings and alarms. The questions: how many alarms? the last three events of a house?
 * everything of one floor? what happened between two sequences? And: what does a reader see while others write?
 */
#include "example.h"

#define SENSORS 4
#define ROUNDS 25

static const char *const houses[] = {"/house/north", "/house/south"};

struct kinds {
    uint16_t reading;
    uint16_t alarm;
};

/* A kind is a number; its name is kept in the store, once for all programs that use it. */
static struct kinds name_kinds(struct fbat_store *store) {
    struct kinds kinds;
    struct fbat_error error;
    succeed(fbat_kind_resolve(store, fbat_text("sensor.reading"), 1, &kinds.reading, &error), &error);
    succeed(fbat_kind_resolve(store, fbat_text("sensor.alarm"), 2, &kinds.alarm, &error), &error);
    return kinds;
}

static void report(struct fbat_store *store, uint16_t kind, const char *house, int sensor, int value) {
    char entity[32];
    char payload[16];
    struct fbat_error error;
    snprintf(entity, sizeof entity, "floor-%d/sensor-%d", sensor / 2, sensor);
    snprintf(payload, sizeof payload, "%d", value);
    const struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = kind,
        .entity = fbat_text(entity),
        .scope = fbat_text(house),
        .payload = fbat_text(payload),
        .payload_type = FBAT_PAYLOAD_TEXT,
    };
    succeed(fbat_append(store, &event, NULL, NULL, &error), &error);
}

/* ROUNDS readings of each sensor; every tenth reading over all raises an alarm. */
static void fill(struct fbat_store *store, const struct kinds *kinds) {
    int readings = 0;
    for (int round = 0; round < ROUNDS; round++)
        for (int sensor = 0; sensor < SENSORS; sensor++)
            for (int house = 0; house < 2; house++) {
                report(store, kinds->reading, houses[house], sensor, round);
                if (++readings % 10 == 0)
                    report(store, kinds->alarm, houses[house], sensor, round);
            }
}

static uint64_t count(struct fbat_store *store, const struct fbat_region *region) {
    uint64_t events;
    struct fbat_error error;
    succeed(fbat_query_count(store, region, &events, &error), &error);
    return events;
}

/* Walks a region and says each event; returns how many there were. */
static uint64_t list(struct fbat_store *store, const struct fbat_region *region,
                     const struct fbat_query_options *options) {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_slice name;
    struct fbat_error error;
    uint64_t events = 0;
    int status;

    succeed(fbat_query(store, region, options, &iterator, &error), &error);
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        require(fbat_kind_name(store, event.kind, &name) == FBAT_OK, "the kind has its name");
        printf("    %4" PRIu64 "  %.*s  %.*s %.*s\n", event.sequence, (int)name.size, (const char *)name.data,
               (int)event.scope.size, (const char *)event.scope.data, (int)event.entity.size,
               (const char *)event.entity.data);
        events++;
    }
    succeed(status, &error);
    fbat_iterator_close(iterator);
    return events;
}

static void ask_counts(struct fbat_store *store, const struct kinds *kinds) {
    const struct fbat_region alarms = {.struct_size = sizeof alarms, .kind = kinds->alarm};
    const struct fbat_region category = {.struct_size = sizeof category, .category = 2};
    const struct fbat_region floor = {
        .struct_size = sizeof floor,
        .flags = FBAT_REGION_ENTITY_PREFIX,
        .entity = fbat_text("floor-1/"),
        .scope = fbat_text(houses[0]),
        .kind = kinds->reading,
    };
    printf("events: %" PRIu64 ", alarms: %" PRIu64 ", readings of the north house's upper floor: %" PRIu64 "\n",
           count(store, NULL), count(store, &alarms), count(store, &floor));
    require(count(store, &alarms) == count(store, &category), "a category is all its kinds");
    require(count(store, &floor) % (2u * ROUNDS) == 0, "two sensors a floor");
}

static void ask_lists(struct fbat_store *store) {
    const struct fbat_region south = {.struct_size = sizeof south, .scope = fbat_text(houses[1])};
    const struct fbat_region middle = {.struct_size = sizeof middle, .sequence_min = 10, .sequence_max = 14};
    const struct fbat_query_options newest = {
        .struct_size = sizeof newest,
        .direction = FBAT_BACKWARD,
        .limit = 3,
    };
    printf("the south house's last three, newest first:\n");
    require(list(store, &south, &newest) == 3, "as many as asked for");
    printf("sequences 10 to 14:\n");
    require(list(store, &middle, NULL) == 5, "both ends included");
}

/* An iterator sees what was there when it was opened, and no more, however long it takes. */
static void read_while_writing(struct fbat_store *store, const struct kinds *kinds) {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t before = count(store, NULL), seen = 0;
    int status;

    succeed(fbat_query(store, NULL, NULL, &iterator, &error), &error);
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        require(event.sequence <= fbat_iterator_snapshot(iterator), "nothing newer than the snapshot");
        if (++seen % 20 == 0)
            report(store, kinds->reading, houses[0], 0, 0);
    }
    succeed(status, &error);
    fbat_iterator_close(iterator);
    printf("while reading %" PRIu64 " events, %" PRIu64 " more were written\n", seen, count(store, NULL) - before);
    require(seen == before, "a query is one moment");
    require(count(store, NULL) == before + seen / 20, "the new ones are there for the next");
}

int main(int argc, char **argv) {
    struct example_place place;
    struct kinds kinds;
    struct fbat_store *store;

    example_begin(&place, argc, argv);
    store = example_open(&place);
    kinds = name_kinds(store);
    fill(store, &kinds);
    ask_counts(store, &kinds);
    ask_lists(store);
    read_while_writing(store, &kinds);
    example_close(store);
    example_end(&place);
    return 0;
}
