/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets by themselves, answered by the test: what they keep, how they are waited for, when they end. */
#include "fixture.h"

#include <poll.h>
#include <pthread.h>

#include "os/os.h"
#include "support/alloc_fail.h"
#include "write/ticket.h"

/* A sequencer that is nothing but its os; tickets ask it for nothing else while a thread serves them. */
static struct sequencer *make_sequencer(void) {
    static struct sequencer sequencer;
    memset(&sequencer, 0, sizeof sequencer);
    sequencer.os = os_posix();
    return &sequencer;
}

static struct fbat_ticket *make_ticket(uint32_t count) {
    static const struct fbat_condition condition = {.entity = {"order", 5}, .scope = {"shop", 4}};
    struct fbat_new_event events[3] = {0};
    struct append append = {.events = events, .count = count, .conditions = &condition, .condition_count = 1};
    struct fbat_ticket *ticket = NULL;
    struct fbat_error error;
    for (uint32_t at = 0; at < count; at++)
        events[at] = (struct fbat_new_event){.entity = fbat_text("order"), .payload = fbat_text("payload")};
    assert_int_equal(ticket_create(make_sequencer(), &append, &ticket, &error), FBAT_OK);
    return ticket;
}

static void ticket_keeps_copies_of_what_it_appends(void **state) {
    struct fbat_ticket *ticket = make_ticket(3);
    (void)state;
    assert_int_equal(ticket->append->count, 3);
    for (uint32_t at = 0; at < 3; at++)
        assert_memory_equal(ticket->append->events[at].payload.data, "payload", 7);
    assert_int_equal(ticket->append->condition_count, 1);
    assert_memory_equal(ticket->append->conditions[0].entity.data, "order", 5);
    memset(ticket->append->receipts, 0x55, 3 * sizeof *ticket->append->receipts); /* there is room */
    assert_memory_equal(ticket->append->events[0].payload.data, "payload", 7);
    assert_memory_equal(ticket->append->conditions[0].scope.data, "shop", 4);
    ticket_answer(ticket, FBAT_OK, NULL);
    ticket_release(ticket);
}

static void unanswered_ticket_is_not_waited_for_longer_than_asked(void **state) {
    struct fbat_ticket *ticket = make_ticket(1);
    (void)state;
    assert_false(ticket_wait(ticket, 0));
    assert_false(ticket_wait(ticket, 1));
    ticket_answer(ticket, FBAT_OK, NULL);
    assert_true(ticket_wait(ticket, 0));
    ticket_release(ticket);
}

static void answer_gives_the_receipts_as_often_as_asked(void **state) {
    struct fbat_ticket *ticket = make_ticket(2);
    struct fbat_receipt receipts[2];
    struct fbat_error error = {.status = 77};
    (void)state;
    ticket->append->receipts[0] = (struct fbat_receipt){.sequence = 5};
    ticket->append->receipts[1] = (struct fbat_receipt){.sequence = 6};
    ticket_answer(ticket, FBAT_OK, NULL);
    for (int turn = 0; turn < 2; turn++) {
        memset(receipts, 0, sizeof receipts);
        assert_int_equal(ticket_result(ticket, receipts, &error), FBAT_OK);
        assert_int_equal(receipts[0].sequence, 5);
        assert_int_equal(receipts[1].sequence, 6);
        assert_int_equal(ticket_result(ticket, NULL, NULL), FBAT_OK);
    }
    assert_int_equal(error.status, 77); /* untouched */
    ticket_release(ticket);
}

static void failure_gives_its_detail_and_no_receipts(void **state) {
    struct fbat_ticket *ticket = make_ticket(1);
    struct fbat_error cause = {.status = FBAT_ERR_REVISION, .actual_revision = 9, .message = "why"}, error;
    struct fbat_receipt receipt = {.sequence = 1};
    (void)state;
    ticket_answer(ticket, FBAT_ERR_REVISION, &cause);
    memset(&cause, 0xEE, sizeof cause); /* it was copied */
    assert_int_equal(ticket_result(ticket, &receipt, &error), FBAT_ERR_REVISION);
    assert_int_equal(error.status, FBAT_ERR_REVISION);
    assert_int_equal(error.actual_revision, 9);
    assert_string_equal(error.message, "why");
    assert_int_equal(receipt.sequence, 1);
    assert_int_equal(ticket_result(ticket, &receipt, NULL), FBAT_ERR_REVISION);
    ticket_release(ticket);
}

static void failure_without_memory_for_its_detail_still_has_its_status(void **state) {
    struct fbat_ticket *ticket = make_ticket(1);
    const struct fbat_error cause = {.status = FBAT_ERR_SHUTDOWN};
    struct fbat_error error;
    (void)state;
    alloc_fail_install();
    alloc_fail_nth(1);
    ticket_answer(ticket, FBAT_ERR_SHUTDOWN, &cause);
    assert_true(alloc_fail_fired());
    alloc_fail_uninstall();
    assert_int_equal(ticket_result(ticket, NULL, &error), FBAT_ERR_SHUTDOWN);
    assert_int_equal(error.status, FBAT_ERR_SHUTDOWN);
    ticket_release(ticket);
}

static bool is_readable(int fd) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    return poll(&waiting, 1, 0) == 1;
}

static void descriptor_is_readable_from_the_answer_on(void **state) {
    struct fbat_ticket *ticket = make_ticket(1);
    struct fbat_error error;
    int fd = -1, again = -1;
    (void)state;
    assert_int_equal(ticket_fd(ticket, &fd, &error), FBAT_OK);
    assert_false(is_readable(fd));
    ticket_answer(ticket, FBAT_OK, NULL);
    assert_true(is_readable(fd));
    assert_true(is_readable(fd)); /* and stays so */
    assert_int_equal(ticket_fd(ticket, &again, &error), FBAT_OK);
    assert_int_equal(again, fd);
    ticket_release(ticket);
}

static void descriptor_asked_for_after_the_answer_is_readable(void **state) {
    struct fbat_ticket *ticket = make_ticket(1);
    struct fbat_error error;
    int fd = -1;
    (void)state;
    ticket_answer(ticket, FBAT_OK, NULL);
    assert_int_equal(ticket_fd(ticket, &fd, &error), FBAT_OK);
    assert_true(is_readable(fd));
    ticket_release(ticket);
}

/* Both sides hold it: the memory goes with the second of them, whichever that is. */
static void ticket_ends_with_its_answer_and_its_release_in_either_order(void **state) {
    (void)state;
    alloc_fail_install();
    int64_t live = alloc_fail_live();
    struct fbat_ticket *ticket = make_ticket(1);
    ticket_release(ticket);
    assert_true(alloc_fail_live() > live);
    ticket_answer(ticket, FBAT_OK, NULL);
    assert_int_equal(alloc_fail_live(), live);
    ticket = make_ticket(1);
    ticket_answer(ticket, FBAT_OK, NULL);
    assert_true(alloc_fail_live() > live);
    ticket_release(ticket);
    assert_int_equal(alloc_fail_live(), live);
    alloc_fail_uninstall();
    ticket_release(NULL);
}

static void want_of_memory_makes_no_ticket(void **state) {
    struct fbat_new_event event = {.entity = fbat_text("order")};
    const struct append append = {.events = &event, .count = 1};
    struct fbat_ticket *ticket = NULL;
    struct fbat_error error;
    (void)state;
    alloc_fail_install();
    alloc_fail_nth(1);
    assert_int_equal(ticket_create(make_sequencer(), &append, &ticket, &error), FBAT_ERR_NO_MEMORY);
    alloc_fail_uninstall();
    assert_null(ticket);
}

static void *answer_later(void *user) {
    struct fbat_ticket *ticket = user;
    ticket->append->receipts[0].sequence = 3;
    ticket_answer(ticket, FBAT_OK, NULL);
    return NULL;
}

/* Many rounds, for the orders in which the two can meet. */
static void answer_from_another_thread_ends_the_wait(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct fbat_ticket *ticket = make_ticket(1);
        struct fbat_receipt receipt = {0};
        struct fbat_error error;
        pthread_t thread;
        int fd = -1;
        assert_int_equal(pthread_create(&thread, NULL, answer_later, ticket), 0);
        if (round % 2) {
            assert_int_equal(ticket_fd(ticket, &fd, &error), FBAT_OK);
            struct pollfd waiting = {.fd = fd, .events = POLLIN};
            assert_int_equal(poll(&waiting, 1, -1), 1);
        }
        assert_true(ticket_wait(ticket, FBAT_FOREVER));
        assert_int_equal(ticket_result(ticket, &receipt, &error), FBAT_OK);
        assert_int_equal(receipt.sequence, 3);
        ticket_release(ticket);
        pthread_join(thread, NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticket_keeps_copies_of_what_it_appends),
        cmocka_unit_test(unanswered_ticket_is_not_waited_for_longer_than_asked),
        cmocka_unit_test(answer_gives_the_receipts_as_often_as_asked),
        cmocka_unit_test(failure_gives_its_detail_and_no_receipts),
        cmocka_unit_test(failure_without_memory_for_its_detail_still_has_its_status),
        cmocka_unit_test(descriptor_is_readable_from_the_answer_on),
        cmocka_unit_test(descriptor_asked_for_after_the_answer_is_readable),
        cmocka_unit_test(ticket_ends_with_its_answer_and_its_release_in_either_order),
        cmocka_unit_test(want_of_memory_makes_no_ticket),
        cmocka_unit_test(answer_from_another_thread_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
