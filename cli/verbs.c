/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of verbs: what each is called, takes and says about itself.
 */
#include "verbs.h"

const struct verb verbs[] = {
    {
        .name = "init",
        .arguments = "DIR",
        .summary = "create a store",
        .notes = "Creates the store in DIR, which may be absent or empty, and prints its identity. A store that is\n"
                 "there already stays as it is. append and import create one too.\n",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = verb_init,
        .options = {COMMON_OPTIONS},
    },
    {
        .name = "append",
        .arguments = "DIR --entity E --scope S --kind K [PAYLOAD | -]",
        .summary = "append one event",
        .notes =
            "The payload is the argument, a FILE, or standard input (-); without any it is empty. Prints where the\n"
            "event went. Repeating the same append with the same --id adds nothing and prints the same place.\n"
            "An id that is no UUID gets one derived from scope and text, and is kept in the header `id`.\n",
        .arguments_min = 1,
        .arguments_max = 2,
        .run = verb_append,
        .options = {OPTION_NEW_ENTITY, OPTION_NEW_SCOPE, OPTION_NEW_KIND, OPTION_FILE, OPTION_TYPE, OPTION_ID,
                    OPTION_CORRELATION, OPTION_CAUSATION, OPTION_TIME, OPTION_EXPECT, OPTION_HEADER, OPTION_TAG,
                    OPTION_NEW_CATEGORY, OPTION_DURABLE, OPTION_WRITTEN, COMMON_OPTIONS},
    },
    {
        .name = "import",
        .arguments = "DIR FILE|-",
        .summary = "take in events written as CloudEvents, one JSON object a line",
        .notes =
            "source becomes the scope, subject the entity, type the kind's name, id the event's id, time the event\n"
            "time, data or data_base64 the payload; correlationid and causationid link events; sequence and\n"
            "recordedtime are left out, and everything else becomes headers. Events that are in the store already\n"
            "add nothing, so a broken import is finished by repeating it. Everything is durable at the end, or after\n"
            "each batch with --durable. A bad line stops the import, with what came before it in the store.\n",
        .arguments_min = 2,
        .arguments_max = 2,
        .run = verb_import,
        .options = {OPTION_KEEP_GOING, OPTION_SUBJECT, OPTION_KIND_CATEGORY, OPTION_DURABLE, COMMON_OPTIONS},
    },
    {
        .name = "export",
        .arguments = "DIR [FILE|-]",
        .summary = "write events as CloudEvents, one JSON object a line",
        .notes =
            "In sequence order, to standard output or FILE. import makes an equal store of it. Beyond CloudEvents:\n"
            "sequence, recordedtime; fbattags and fbatheaders (JSON text: tags, and headers that are no attributes);\n"
            "fbatcategory (the kind's, when not 1); fbatpayloadtype (when datacontenttype does not say it);\n"
            "fbattime (microseconds, for times outside the years 0000 to 9999). A kind without a name is\n"
            "kind.0x1001 and the like.\n",
        .arguments_min = 1,
        .arguments_max = 2,
        .run = verb_export,
        .options = {REGION_OPTIONS, OPTION_LIMIT, OPTION_PLAIN, COMMON_OPTIONS},
    },
    {
        .name = "get",
        .arguments = "DIR ID|@SEQUENCE",
        .summary = "show one event",
        .notes = "ID is a UUID, or with --scope the text that was given as id. Exit 1 when there is no such event.\n",
        .arguments_min = 2,
        .arguments_max = 2,
        .run = verb_get,
        .options = {OPTION_PAYLOAD, OPTION_ID_SCOPE, COMMON_OPTIONS},
    },
    {
        .name = "query",
        .arguments = "DIR",
        .summary = "show the events of a region",
        .notes = "Without options: all events. Columns: sequence, event time, kind, scope, entity@revision, payload.\n",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = verb_query,
        .options = {REGION_OPTIONS, OPTION_REVERSE, OPTION_LIMIT, OPTION_COUNT, OPTION_EXPLAIN, OPTION_PAYLOAD,
                    COMMON_OPTIONS},
    },
    {
        .name = "stream",
        .arguments = "DIR ENTITY",
        .summary = "show the events of one stream",
        .notes = "--scope may be left out when only one scope has the entity. Exit 1 when there is no such stream.\n",
        .arguments_min = 2,
        .arguments_max = 2,
        .run = verb_stream,
        .options = {OPTION_SCOPE, OPTION_FROM_REVISION, OPTION_TO_REVISION, OPTION_FROM_SEQUENCE, OPTION_TO_SEQUENCE,
                    OPTION_SINCE, OPTION_UNTIL, OPTION_KIND, OPTION_CATEGORY, OPTION_SYSTEM, OPTION_REVERSE,
                    OPTION_LIMIT, OPTION_COUNT, OPTION_EXPLAIN, OPTION_PAYLOAD, COMMON_OPTIONS},
    },
    {
        .name = "tail",
        .arguments = "DIR",
        .summary = "show the last events, and follow new ones",
        .notes = "With --follow, events that any process appends appear within a tenth of a second.\n"
                 "With --cursor, all events since the last time with that name, from the beginning at first. What was\n"
                 "printed counts as seen; what a power cut may still take back is seen again.\n",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = verb_tail,
        .options = {OPTION_LINES, OPTION_FOLLOW, OPTION_CURSOR, REGION_OPTIONS, OPTION_PAYLOAD, COMMON_OPTIONS},
    },
    {
        .name = "cursors",
        .arguments = "DIR",
        .summary = "list named cursors, and how far each is behind; set or forget one",
        .notes =
            "Lag is in events of the store, whatever the cursor's region. Exit 1 when there is no cursor to remove.\n",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = verb_cursors,
        .options = {OPTION_RESET, OPTION_REMOVE, COMMON_OPTIONS},
    },
    {
        .name = "kinds",
        .arguments = "DIR",
        .summary = "list kinds, their names, and how many events they have",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = verb_kinds,
        .options = {REGION_OPTIONS, COMMON_OPTIONS},
    },
    {
        .name = "stats",
        .arguments = "DIR",
        .summary = "show counts, sizes, watermarks, and how the store was opened",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = verb_stats,
        .options = {COMMON_OPTIONS},
    },
    {
        .name = "check",
        .arguments = "DIR",
        .summary = "verify every byte and every hash",
        .notes =
            "Prints each finding as SEGMENT:OFFSET: sequence N: what is wrong, and a summary. Exit 1 when damage was\n"
            "found. Changes nothing, and works on stores too damaged to open.\n",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = verb_check,
        .options = {COMMON_OPTIONS},
    },
    {
        .name = "dump",
        .arguments = "DIR",
        .summary = "show what the files hold, in file order",
        .notes = "One line for each segment header, frame, event record and footer part.\n",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = verb_dump,
        .options = {OPTION_SEGMENT, OPTION_PAYLOAD, COMMON_OPTIONS},
    },
};

const size_t verb_count = sizeof verbs / sizeof verbs[0];
