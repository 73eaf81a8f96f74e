/* SPDX-License-Identifier: Apache-2.0 */
/* Regions and kinds as the command line names them. */
#ifndef FBAT_CLI_REGION_H
#define FBAT_CLI_REGION_H

#include "command.h"

/* The region that the options name, but for --kind. False: said why. Slices are borrowed from the command line. */
bool region_from_options(const struct command *command, struct fbat_region *out_region);

/* Puts the kind that --kind names into the region. EXIT_DONE; EXIT_NO when the store does not know it; EXIT_ERROR. Says
 * why. */
enum exit_code region_find_kind(const struct command *command, struct fbat_store *store, struct fbat_region *region);

/* "0x1001", "4097", "1:1", "kind.0x1001". False when text is none of these, which makes it a name. */
bool region_kind_number(const char *text, uint16_t *out_kind);

/* The options --reverse and --limit. False: said why. */
bool region_query_options(const struct command *command, struct fbat_query_options *out_options);

#endif
