/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options. Each exists once, with one meaning; a verb lists the ones it takes.
 */
#include "command.h"

const struct option_spec option_specs[OPTION_KEY_COUNT] = {
    [OPTION_HELP] = {"help", 'h', false, NULL, "print this text"},
    [OPTION_CONFIG] = {"option", 'o', true, "NAME=VALUE", "set a configuration field; `fbat help config` lists them"},
    [OPTION_JSON] = {"json", 'j', false, NULL, "print JSON: one object a line for events, one object for a report"},

    [OPTION_ENTITY] = {"entity", 'e', false, "NAME", "only events of this entity"},
    [OPTION_ENTITY_PREFIX] = {"entity-prefix", 0, false, "TEXT", "only entities that start with TEXT"},
    [OPTION_SCOPE] = {"scope", 's', false, "NAME", "only events in this scope"},
    [OPTION_KIND] = {"kind", 'k', false, "KIND", "only this kind: a name, or a number like 0x1001 or 1:1"},
    [OPTION_CATEGORY] = {"category", 0, false, "N", "only kinds of this category, 1 to 15"},
    [OPTION_SINCE] = {"since", 0, false, "TIME", "recorded at TIME or later: RFC 3339, a date, or an age like -1h"},
    [OPTION_UNTIL] = {"until", 0, false, "TIME", "recorded at TIME or earlier"},
    [OPTION_FROM_SEQUENCE] = {"from-seq", 0, false, "N", "from this sequence"},
    [OPTION_TO_SEQUENCE] = {"to-seq", 0, false, "N", "up to this sequence"},
    [OPTION_FROM_REVISION] = {"from-rev", 0, false, "N", "from this revision of its stream"},
    [OPTION_TO_REVISION] = {"to-rev", 0, false, "N", "up to this revision of its stream"},
    [OPTION_SYSTEM] = {"system", 0, false, NULL, "the store's own events too"},

    [OPTION_REVERSE] = {"reverse", 'r', false, NULL, "the newest first"},
    [OPTION_LIMIT] = {"limit", 'n', false, "N", "at most N events"},
    [OPTION_COUNT] = {"count", 'c', false, NULL, "print only how many there are"},
    [OPTION_EXPLAIN] = {"explain", 0, false, NULL, "print how the events were found instead of them"},
    [OPTION_PAYLOAD] = {"payload", 'p', false, NULL, "print payloads and nothing else"},
    [OPTION_PLAIN] = {"plain", 0, false, NULL, "leave out sequence and recordedtime"},
    [OPTION_LINES] = {"lines", 'n', false, "N", "start with the last N events; 10 if not given"},
    [OPTION_FOLLOW] = {"follow", 'f', false, NULL, "wait for new events until Ctrl-C"},
    [OPTION_CURSOR] = {"cursor", 0, false, "NAME", "go on where this named cursor is, and move it on"},
    [OPTION_RESET] = {"reset", 0, false, "NAME=SEQUENCE", "set a cursor: what is behind SEQUENCE comes next"},
    [OPTION_REMOVE] = {"remove", 0, false, "NAME", "forget a cursor"},
    [OPTION_SEGMENT] = {"segment", 0, false, "N", "only this segment"},
    [OPTION_ID_SCOPE] = {"scope", 's', false, "NAME", "the scope of an id that is no UUID"},

    [OPTION_NEW_ENTITY] = {"entity", 'e', false, "NAME", "who the event is about: the stream's key; required"},
    [OPTION_NEW_SCOPE] = {"scope", 's', false, "NAME", "where the entity lives; required"},
    [OPTION_NEW_KIND] = {"kind", 'k', false, "KIND", "what happened: a name, or a number like 0x1001 or 1:1; required"},
    [OPTION_NEW_CATEGORY] = {"category", 0, false, "N", "category for a kind name not used before; 1 if not given"},
    [OPTION_FILE] = {"file", 0, false, "FILE", "take the payload from FILE, - for standard input"},
    [OPTION_TYPE] = {"type", 't', false, "TYPE",
                     "what the payload is: json text bytes msgpack cbor protobuf; if not given, found out"},
    [OPTION_ID] = {"id", 0, false, "ID", "the event's id and idempotency key: a UUID, or any text"},
    [OPTION_CORRELATION] = {"correlation", 0, false, "ID", "id of the story the event belongs to"},
    [OPTION_CAUSATION] = {"causation", 0, false, "ID", "id of the event that caused this one"},
    [OPTION_TIME] = {"time", 0, false, "TIME", "when it happened, RFC 3339; now if not given"},
    [OPTION_EXPECT] = {"expect", 0, false, "WHAT", "append only if the stream is at: none exists any, or a revision"},
    [OPTION_HEADER] = {"header", 'H', true, "NAME=VALUE", "add a header; may be repeated"},
    [OPTION_TAG] = {"tag", 0, true, "TAG", "add a tag; may be repeated"},
    [OPTION_DURABLE] = {"durable", 0, false, NULL, "acknowledge when a power cut cannot lose it"},
    [OPTION_WRITTEN] = {"written", 0, false, NULL, "acknowledge when the death of the process cannot lose it"},

    [OPTION_SUBJECT] = {"subject", 0, false, "NAME", "entity of events that have no subject"},
    [OPTION_KIND_CATEGORY] = {"kind-category", 0, false, "N", "category for types not seen before; 1 if not given"},
    [OPTION_KEEP_GOING] = {"keep-going", 0, false, NULL, "leave out bad lines, report and count them"},
};
