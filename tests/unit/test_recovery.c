/* SPDX-License-Identifier: Apache-2.0 */
/* The recovery table: one row for each combination of facts, and the same table in code, comment and documentation. */
#include "fixture.h"

#include <ctype.h>

#include "log/recovery.h"
#include "support/test.h"

enum { COMBINATIONS = 16 };

static struct recovery_facts facts_of(unsigned number) {
    return (struct recovery_facts){
        .header_valid = number & 1, .last = number & 2, .missing = number & 4, .rest_is_bytes = number & 8};
}

static void exactly_one_row_matches_each_combination(void **state) {
    (void)state;
    for (unsigned number = 0; number < COMBINATIONS; number++) {
        struct recovery_facts facts = facts_of(number);
        size_t matches = 0;
        for (size_t row = 0; row < recovery_table_rows; row++)
            matches += recovery_row_matches(&recovery_table[row], &facts);
        if (matches != 1)
            fail_msg("combination %u matches %zu rows", number, matches);
    }
}

static void deciding_gives_the_row_that_matches(void **state) {
    (void)state;
    for (unsigned number = 0; number < COMBINATIONS; number++) {
        struct recovery_facts facts = facts_of(number);
        assert_true(recovery_row_matches(recovery_decide(&facts), &facts));
    }
}

/* Said anew, in the words of the promises rather than of the table. */
static enum recovery_decision decide_by_reason(const struct recovery_facts *facts) {
    if (facts->missing)
        return RECOVERY_DAMAGE; /* what was durable is not there */
    if (!facts->header_valid)
        return facts->last ? RECOVERY_DISCARD : RECOVERY_DAMAGE; /* a later segment was created after this header */
    if (!facts->last)
        return RECOVERY_SEAL;
    return facts->rest_is_bytes ? RECOVERY_DROP_TAIL : RECOVERY_KEEP;
}

static void every_decision_has_its_reason(void **state) {
    (void)state;
    for (unsigned number = 0; number < COMBINATIONS; number++) {
        struct recovery_facts facts = facts_of(number);
        assert_int_equal(recovery_decide(&facts)->decision, decide_by_reason(&facts));
    }
}

static void every_row_is_needed(void **state) {
    (void)state;
    for (size_t row = 0; row < recovery_table_rows; row++) {
        size_t matches = 0;
        for (unsigned number = 0; number < COMBINATIONS; number++) {
            struct recovery_facts facts = facts_of(number);
            matches += recovery_row_matches(&recovery_table[row], &facts);
        }
        assert_true(matches > 0);
    }
}

/* ---- the table as text ---- */

static const char *decision_name(enum recovery_decision decision) {
    switch (decision) {
    case RECOVERY_DAMAGE: return "DAMAGE";
    case RECOVERY_DISCARD: return "DISCARD";
    case RECOVERY_SEAL: return "SEAL";
    case RECOVERY_KEEP: return "KEEP";
    case RECOVERY_DROP_TAIL: return "DROP_TAIL";
    }
    return "?";
}

static const char *match_name(enum recovery_match match, const char *yes, const char *no) {
    return match == RECOVERY_ANY ? "any" : match == RECOVERY_YES ? yes : no;
}

/* Cuts the next cell off *line: up to a bar, or to two blanks. Empty at the end. */
static void take_cell(char **line, bool bars, char *cell, size_t room) {
    char *at = *line;
    while (*at == ' ' || (bars && *at == '|'))
        at++;
    char *end = bars ? strchr(at, '|') : strstr(at, "  ");
    size_t length = end ? (size_t)(end - at) : strlen(at);
    *line = at + length;
    while (length > 0 && isspace((unsigned char)at[length - 1]))
        length--;
    assert_true(length < room);
    memcpy(cell, at, length);
    cell[length] = '\0';
}

/* Each row of the code must stand in the file, word for word, behind `prefix`; and there must be no other row. */
static void compare_with_text(const char *name, const char *prefix, bool bars) {
    char path[TEST_PATH_SIZE], line[512];
    size_t row = 0;
    snprintf(path, sizeof path, "%s/%s", test_source_dir(), name);
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot read %s", path);
    while (fgets(line, sizeof line, file)) {
        char *at = line, cell[128];
        if (strncmp(line, prefix, strlen(prefix)) != 0 || !isdigit((unsigned char)line[strlen(prefix)]))
            continue;
        assert_true(row < recovery_table_rows);
        const struct recovery_row *wanted = &recovery_table[row++];
        const char *cells[] = {
            wanted->name,
            match_name(wanted->header_valid, "valid", "broken"),
            match_name(wanted->last, "last", "not last"),
            match_name(wanted->missing, "yes", "no"),
            match_name(wanted->rest_is_bytes, "bytes", "nothing"),
            decision_name(wanted->decision),
        };
        at += bars ? 1 : 2;
        for (size_t column = 0; column < COUNT_OF(cells); column++) {
            take_cell(&at, bars, cell, sizeof cell);
            assert_string_equal(cell, cells[column]);
        }
    }
    fclose(file);
    assert_int_equal(row, recovery_table_rows);
}

static void the_comment_is_the_table(void **state) {
    (void)state;
    compare_with_text("src/log/recovery.h", " *     R", false);
}

static void the_documentation_is_the_table(void **state) {
    (void)state;
    compare_with_text("docs/FORMAT.md", "| R", true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_one_row_matches_each_combination),
        cmocka_unit_test(deciding_gives_the_row_that_matches),
        cmocka_unit_test(every_decision_has_its_reason),
        cmocka_unit_test(every_row_is_needed),
        cmocka_unit_test(the_comment_is_the_table),
        cmocka_unit_test(the_documentation_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
