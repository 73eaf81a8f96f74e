/* SPDX-License-Identifier: Apache-2.0 */
/* Ids: reading text, ids from names, and making ids from any state, time and chance. */
#include "fuzz.h"

#include "base/id.h"

static void read_text(const uint8_t *data, size_t size) {
    struct fbat_id id, again;
    char text[FBAT_ID_TEXT_SIZE];
    uint8_t *exact = fuzz_copy(data, size);
    int status = fbat_id_parse((const char *)exact, size, &id);
    FUZZ_REQUIRE(status == FBAT_OK || status == FBAT_ERR_ARGUMENT);
    if (status == FBAT_OK) {
        FUZZ_REQUIRE(size == FBAT_ID_TEXT_SIZE - 1);
        fbat_id_format(&id, text);
        FUZZ_REQUIRE(fbat_id_parse(text, strlen(text), &again) == FBAT_OK && id_equal(&id, &again));
    }
    FUZZ_REQUIRE(fbat_id_derive(fbat_bytes(exact, size), &id) == FBAT_OK);
    FUZZ_REQUIRE(id.bytes[6] >> 4 == 8 && id.bytes[8] >> 6 == 2);
    free(exact);
}

/* Any id that was made once is exceeded by the next, unless the last of all times was reached. */
static void make_ids(const uint8_t *data, size_t size) {
    struct fbat_id last = {{0}};
    for (; size >= 16; data += 16, size -= 16) {
        struct fbat_id next = id_make(&last, load_i64(data) & INT64_C(0x000fffffffffffff), load_u64(data + 8));
        FUZZ_REQUIRE(next.bytes[6] >> 4 == 7 && next.bytes[8] >> 6 == 2);
        FUZZ_REQUIRE(memcmp(&next, &last, sizeof next) > 0);
        last = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    read_text(data, size);
    make_ids(data, size);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    static const char *const seeds[] = {"01890a5d-ac96-774b-bcce-b302099a8057", "01890A5D-AC96-774B-BCCE-B302099A8057",
                                        "{01890a5d-ac96-774b-bcce-b302099a8057}", "order-17"};
    if (index >= sizeof seeds / sizeof seeds[0] || strlen(seeds[index]) > room)
        return 0;
    memcpy(to, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
