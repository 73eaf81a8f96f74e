/* SPDX-License-Identifier: Apache-2.0 */
/* Lossy subscriptions: what is received, what is lost, who is woken, and by what. */
#include "fixture.h"

#include <poll.h>
#include <sched.h>
#include <unistd.h>

static struct fbat_subscription *subscribe(struct fbat_store *store, const struct fbat_region *region,
                                           const struct fbat_subscribe_options *options) {
    struct fbat_subscription *subscription;
    assert_ok(fbat_subscribe(store, region, options, &subscription, &fault));
    return subscription;
}

/* The next event is there already, and is this one. */
static void assert_received(struct fbat_subscription *subscription, uint64_t sequence) {
    struct fbat_event event;
    assert_ok(fbat_subscription_try_recv(subscription, &event, &fault));
    assert_int_equal(event.sequence, sequence);
}

static void assert_nothing(struct fbat_subscription *subscription) {
    struct fbat_event event;
    assert_status(FBAT_RETRY, fbat_subscription_try_recv(subscription, &event, &fault));
}

static void append_times(struct fbat_store *store, const char *entity, unsigned times) {
    for (unsigned at = 0; at < times; at++)
        append_text(store, entity, "scope", "payload");
}

static int fd_of(struct fbat_subscription *subscription) {
    int fd;
    assert_ok(fbat_subscription_fd(subscription, &fd, &fault));
    return fd;
}

static bool is_readable(int fd, int timeout_ms) {
    struct pollfd watched = {.fd = fd, .events = POLLIN};
    return poll(&watched, 1, timeout_ms) == 1;
}

/* ---- what is received ---- */

static void events_after_subscribing_are_received_in_order(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 3 << 10; /* a few events each */
    open_store(fixture);
    append_times(fixture->store, "before", 3);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    assert_nothing(subscription);
    append_times(fixture->store, "one", 50);
    for (uint64_t sequence = 4; sequence <= 53; sequence++)
        assert_received(subscription, sequence);
    assert_nothing(subscription);
    append_times(fixture->store, "one", 1);
    assert_received(subscription, 54);
    assert_int_equal(fbat_subscription_lost(subscription), 0);
    fbat_subscription_close(subscription);
}

static void received_event_is_the_one_in_the_log(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    struct fbat_receipt receipt = append_text(fixture->store, "one", "scope", "payload");
    struct fbat_event event;
    assert_ok(fbat_subscription_try_recv(subscription, &event, &fault));
    assert_slice("one", event.entity);
    assert_slice("payload", event.payload);
    assert_id_equal(event.id, receipt.id);
    assert_memory_equal(event.hash, receipt.hash, 32);
    fbat_event_retain(&event, fixture->store);
    fbat_subscription_close(subscription);
    assert_slice("payload", event.payload);
    fbat_event_release(&event);
}

static void only_events_of_the_region_are_received(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    const struct fbat_region stream = {
        .struct_size = sizeof stream, .entity = fbat_text("two"), .scope = fbat_text("scope")};
    const struct fbat_region prefix = {
        .struct_size = sizeof prefix, .entity = fbat_text("t"), .flags = FBAT_REGION_ENTITY_PREFIX, .revision_min = 2};
    const struct fbat_region kind = {.struct_size = sizeof kind, .kind = KIND_B};
    struct fbat_subscription *of_stream = subscribe(fixture->store, &stream, NULL);
    struct fbat_subscription *of_prefix = subscribe(fixture->store, &prefix, NULL);
    struct fbat_subscription *of_kind = subscribe(fixture->store, &kind, NULL);
    for (int round = 0; round < 3; round++) { /* sequences 1 2 3, 4 5 6, 7 8 9 */
        append_text(fixture->store, "one", "scope", "payload");
        append_text(fixture->store, "two", "scope", "payload");
        struct fbat_new_event other = event_of("three", "elsewhere", "payload");
        other.kind = KIND_B;
        append_event(fixture->store, &other);
    }
    assert_received(of_stream, 2);
    assert_received(of_stream, 5);
    assert_received(of_stream, 8);
    assert_nothing(of_stream);
    assert_received(of_prefix, 5);
    assert_received(of_prefix, 6);
    assert_received(of_prefix, 8);
    assert_received(of_prefix, 9);
    assert_nothing(of_prefix);
    assert_received(of_kind, 3);
    assert_received(of_kind, 6);
    assert_received(of_kind, 9);
    assert_nothing(of_kind);
    fbat_subscription_close(of_stream);
    fbat_subscription_close(of_prefix);
    fbat_subscription_close(of_kind);
}

/* The library's own take sequences, and are received by those who ask for them. */
static void system_events_are_received_on_request_only(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    const struct fbat_region everything = {.struct_size = sizeof everything, .flags = FBAT_REGION_SYSTEM};
    struct fbat_subscription *all = subscribe(fixture->store, &everything, NULL);
    struct fbat_subscription *ours = subscribe(fixture->store, NULL, NULL);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("a.kind"), &fault));
    append_times(fixture->store, "one", 1);
    assert_received(all, 1);
    assert_received(all, 2);
    assert_received(ours, 2);
    fbat_subscription_close(all);
    fbat_subscription_close(ours);
}

static void batch_is_received_once_it_is_whole(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    struct fbat_fence *fence;
    struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_ok(fbat_fence_begin(fixture->store, &fence, &fault));
    assert_ok(fbat_fence_append(fence, &event, NULL, NULL, &fault));
    assert_ok(fbat_fence_append(fence, &event, NULL, NULL, &fault));
    assert_nothing(subscription);
    assert_ok(fbat_fence_commit(fence, NULL, &fault));
    assert_received(subscription, 1);
    assert_received(subscription, 2);
    assert_nothing(subscription);
    fbat_subscription_close(subscription);
}

/* ---- filter, limit, fold ---- */

static int is_odd(void *user, const struct fbat_event *event) {
    (void)user;
    return event->sequence % 2 == 1;
}

static void filter_lets_pass_what_it_says(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    const struct fbat_subscribe_options options = {.struct_size = sizeof options, .filter = is_odd};
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, &options);
    append_times(fixture->store, "one", 4);
    assert_received(subscription, 1);
    assert_received(subscription, 3);
    assert_nothing(subscription);
    fbat_subscription_close(subscription);
}

static void subscription_ends_at_its_limit(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    const struct fbat_subscribe_options options = {.struct_size = sizeof options, .filter = is_odd, .limit = 2};
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, &options);
    struct fbat_event event;
    append_times(fixture->store, "one", 9);
    assert_received(subscription, 1);
    assert_received(subscription, 3);
    assert_status(FBAT_END, fbat_subscription_try_recv(subscription, &event, &fault));
    assert_status(FBAT_END, fbat_subscription_recv(subscription, FBAT_FOREVER, &event, &fault));
    fbat_subscription_close(subscription);
}

/* Sums sequences; the sum is worth an event where it passes ten. */
static int add_sequence(void *user, void *sum, const struct fbat_event *event) {
    uint64_t *total = sum;
    if (event->sequence == *(const uint64_t *)user)
        return FBAT_ERR_LIMIT;
    *total += event->sequence;
    return *total > 10 ? FBAT_OK : FBAT_RETRY;
}

static void fold_runs_along_and_says_what_is_given(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    uint64_t sum = 0, poison = 7;
    const struct fbat_subscribe_options options = {
        .struct_size = sizeof options, .fold = add_sequence, .state = &sum, .user = &poison};
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, &options);
    struct fbat_event event;
    append_times(fixture->store, "one", 8);
    assert_received(subscription, 5); /* 1 + 2 + 3 + 4 is ten */
    assert_int_equal(sum, 15);
    assert_received(subscription, 6);
    assert_status(FBAT_ERR_LIMIT, fbat_subscription_try_recv(subscription, &event, &fault));
    assert_message_has("sequence 7");
    assert_received(subscription, 8);
    assert_int_equal(sum, 15 + 6 + 8);
    fbat_subscription_close(subscription);
}

/* ---- what is lost ---- */

static void slow_subscriber_skips_and_is_told(void **state) {
    struct fixture *fixture = *state;
    fixture->config.broadcast_capacity = 10;
    open_store(fixture);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    append_times(fixture->store, "one", 10);
    assert_received(subscription, 1);
    assert_int_equal(fbat_subscription_lost(subscription), 0);
    append_times(fixture->store, "one", 15); /* 25: behind by 24 */
    assert_received(subscription, 16);
    assert_int_equal(fbat_subscription_lost(subscription), 14);
    for (uint64_t sequence = 17; sequence <= 25; sequence++)
        assert_received(subscription, sequence);
    assert_nothing(subscription);
    assert_int_equal(fbat_subscription_lost(subscription), 14);
    fbat_subscription_close(subscription);
}

/* Farther behind than what is walked row by row. */
static void large_capacity_keeps_every_event(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1 << 20;
    fixture->config.broadcast_capacity = 20000;
    open_store(fixture);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    append_times(fixture->store, "one", 12000);
    for (uint64_t sequence = 1; sequence <= 12000; sequence++)
        assert_received(subscription, sequence);
    assert_nothing(subscription);
    fbat_subscription_close(subscription);
}

/* ---- waiting ---- */

enum { THREADS_MAX = 64 };

/* A thread that receives until it is told to end. */
struct receiver {
    struct actor actor;
    struct fbat_subscription *subscription;
    atomic_uint_fast64_t received;
    _Atomic int status; /* of the last call */
    bool in_order;
    uint64_t last;
};

static struct receiver receivers[THREADS_MAX];

static void receive_until_closed(void *user) {
    struct receiver *receiver = user;
    struct fbat_event event;
    struct fbat_error error;
    int status;
    receiver->in_order = true;
    receiver->last = 0;
    while ((status = fbat_subscription_recv(receiver->subscription, PATIENCE_MS, &event, &error)) == FBAT_OK) {
        receiver->in_order = receiver->in_order && event.sequence > receiver->last;
        receiver->last = event.sequence;
        atomic_fetch_add(&receiver->received, 1);
    }
    atomic_store(&receiver->status, status);
}

static void start_receivers(struct fixture *fixture, unsigned count, const struct fbat_region *region) {
    for (unsigned at = 0; at < count; at++) {
        receivers[at].subscription = subscribe(fixture->store, region, NULL);
        atomic_store(&receivers[at].received, 0);
        actor_start(&receivers[at].actor, receive_until_closed, &receivers[at]);
    }
}

static void await_received(unsigned count, uint64_t events) {
    for (unsigned at = 0; at < count; at++)
        while (atomic_load(&receivers[at].received) < events)
            sched_yield();
}

static void end_receivers(unsigned count, int status) {
    for (unsigned at = 0; at < count; at++) {
        actor_join(&receivers[at].actor);
        assert_int_equal(atomic_load(&receivers[at].status), status);
        fbat_subscription_close(receivers[at].subscription);
    }
}

static void recv_gives_up_after_its_time(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    struct fbat_event event;
    assert_status(FBAT_RETRY, fbat_subscription_recv(subscription, 0, &event, &fault));
    assert_status(FBAT_RETRY, fbat_subscription_recv(subscription, 5, &event, &fault));
    append_times(fixture->store, "one", 1);
    assert_ok(fbat_subscription_recv(subscription, 0, &event, &fault));
    fbat_subscription_close(subscription);
}

static void sleeping_subscriber_is_woken_by_an_append(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    start_receivers(fixture, 1, NULL);
    for (uint64_t round = 1; round <= 20; round++) {
        actor_await_sleep(&receivers[0].actor);
        append_times(fixture->store, "one", 1);
        await_received(1, round);
    }
    close_store(fixture);
    end_receivers(1, FBAT_ERR_SHUTDOWN);
}

static void all_sleeping_subscribers_are_woken(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    start_receivers(fixture, THREADS_MAX, NULL);
    for (uint64_t round = 1; round <= 5; round++) {
        for (unsigned at = 0; at < THREADS_MAX; at++)
            actor_await_sleep(&receivers[at].actor);
        append_times(fixture->store, "one", 1);
        await_received(THREADS_MAX, round);
    }
    close_store(fixture);
    end_receivers(THREADS_MAX, FBAT_ERR_SHUTDOWN);
}

/* Level durable is published by whoever leads the sync. */
static void sleeping_subscriber_is_woken_by_a_durable_append_and_a_ticket(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    start_receivers(fixture, 2, NULL);
    struct fbat_new_event event = event_of("one", "scope", "payload");
    for (unsigned at = 0; at < 2; at++)
        actor_await_sleep(&receivers[at].actor);
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    await_received(2, 1);
    ticket_done(submit_text(fixture->store, "one", "payload"));
    await_received(2, 2);
    close_store(fixture);
    end_receivers(2, FBAT_ERR_SHUTDOWN);
}

/* Each append waits until everybody has it, so that each has to wake those who were about to sleep: a wake-up that is lost
 * shows as a receiver that never comes. */
static void no_wake_up_is_lost(void **state) {
    struct fixture *fixture = *state;
    const unsigned counts[] = {1, 2, 3};
    open_store(fixture);
    for (size_t at = 0; at < sizeof counts / sizeof counts[0]; at++) {
        start_receivers(fixture, counts[at], NULL);
        uint64_t rounds = test_scaled(3000);
        for (uint64_t round = 1; round <= rounds; round++) {
            append_times(fixture->store, "one", 1);
            for (unsigned number = 0; number < counts[at]; number++)
                while (atomic_load(&receivers[number].received) < round)
                    assert_false(actor_is_done(&receivers[number].actor)); /* it gave up waiting */
        }
        close_store(fixture);
        end_receivers(counts[at], FBAT_ERR_SHUTDOWN);
        open_store(fixture);
    }
}

static void received_and_lost_are_what_was_published(void **state) {
    struct fixture *fixture = *state;
    enum { RECEIVERS = 8 };
    const struct fbat_region everything = {.struct_size = sizeof everything, .flags = FBAT_REGION_SYSTEM};
    fixture->config.broadcast_capacity = 4;
    fixture->config.segment_max_bytes = 64 << 10;
    open_store(fixture);
    start_receivers(fixture, RECEIVERS, &everything);
    unsigned events = (unsigned)test_scaled(5000);
    append_times(fixture->store, "one", events);
    for (unsigned at = 0; at < RECEIVERS; at++)
        actor_await_sleep(&receivers[at].actor); /* each has caught up */
    close_store(fixture);
    for (unsigned at = 0; at < RECEIVERS; at++) {
        actor_join(&receivers[at].actor);
        assert_true(receivers[at].in_order);
        assert_int_equal(receivers[at].last, events);
        assert_int_equal(atomic_load(&receivers[at].received) + fbat_subscription_lost(receivers[at].subscription),
                         events);
        fbat_subscription_close(receivers[at].subscription);
    }
}

/* ---- descriptors ---- */

static void descriptor_is_readable_while_there_is_something(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    int fd = fd_of(subscription);
    assert_int_equal(fd, fd_of(subscription));
    assert_nothing(subscription);
    assert_false(is_readable(fd, 0));
    append_times(fixture->store, "one", 2);
    assert_true(is_readable(fd, 0));
    assert_received(subscription, 1);
    assert_true(is_readable(fd, 0));
    assert_received(subscription, 2);
    assert_nothing(subscription);
    assert_false(is_readable(fd, 0));
    append_times(fixture->store, "one", 1);
    assert_true(is_readable(fd, 0));
    fbat_subscription_close(subscription);
}

static void descriptor_asked_for_late_is_readable(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    append_times(fixture->store, "one", 1);
    assert_true(is_readable(fd_of(subscription), 0));
    fbat_subscription_close(subscription);
}

static void all_descriptors_become_readable(void **state) {
    enum { COUNT = 200 };
    struct fixture *fixture = *state;
    struct fbat_subscription *subscriptions[COUNT];
    open_store(fixture);
    for (unsigned at = 0; at < COUNT; at++) {
        subscriptions[at] = subscribe(fixture->store, NULL, NULL);
        fd_of(subscriptions[at]);
    }
    for (uint64_t round = 1; round <= 10; round++) {
        for (unsigned at = 0; at < COUNT; at++)
            assert_nothing(subscriptions[at]);
        append_times(fixture->store, "one", 1);
        for (unsigned at = 0; at < COUNT; at++) {
            assert_true(is_readable(fd_of(subscriptions[at]), PATIENCE_MS));
            assert_received(subscriptions[at], round);
        }
    }
    for (unsigned at = 0; at < COUNT; at++)
        fbat_subscription_close(subscriptions[at]);
}

/* ---- closing ---- */

static void closing_the_store_tells_everybody(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_subscription *idle = subscribe(fixture->store, NULL, NULL);
    struct fbat_subscription *watched = subscribe(fixture->store, NULL, NULL);
    struct fbat_event event;
    int fd = fd_of(watched);
    assert_nothing(watched);
    start_receivers(fixture, 3, NULL);
    for (unsigned at = 0; at < 3; at++)
        actor_await_sleep(&receivers[at].actor);
    close_store(fixture);
    end_receivers(3, FBAT_ERR_SHUTDOWN);
    assert_true(is_readable(fd, 0));
    assert_status(FBAT_ERR_SHUTDOWN, fbat_subscription_try_recv(watched, &event, &fault));
    assert_true(is_readable(fd, 0));
    assert_status(FBAT_ERR_SHUTDOWN, fbat_subscription_recv(idle, FBAT_FOREVER, &event, &fault));
    assert_message_has("closed");
    fbat_subscription_close(watched);
    fbat_subscription_close(idle);
    fbat_subscription_close(NULL);
}

/* ---- read-only handles ---- */

static void reader_receives_what_a_writer_publishes(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 3 << 10;
    open_store(fixture);
    append_times(fixture->store, "before", 2);
    struct fbat_store *reader;
    struct fbat_event event;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    struct fbat_subscription *subscription = subscribe(reader, NULL, NULL);
    for (uint64_t sequence = 3; sequence <= 30; sequence++) {
        append_times(fixture->store, "one", 1);
        assert_ok(fbat_subscription_recv(subscription, PATIENCE_MS, &event, &fault));
        assert_int_equal(event.sequence, sequence);
    }
    fbat_subscription_close(subscription);
    assert_ok(fbat_close(reader, &fault));
}

static void sleeping_reader_is_woken(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    struct fbat_subscription *watched = subscribe(reader, NULL, NULL);
    receivers[0].subscription = subscribe(reader, NULL, NULL);
    atomic_store(&receivers[0].received, 0);
    actor_start(&receivers[0].actor, receive_until_closed, &receivers[0]);
    int fd = fd_of(watched);
    for (uint64_t round = 1; round <= 3; round++) {
        assert_nothing(watched);
        actor_await_sleep(&receivers[0].actor);
        append_times(fixture->store, "one", 1);
        assert_true(is_readable(fd, PATIENCE_MS));
        assert_received(watched, round);
        await_received(1, round);
    }
    assert_nothing(watched);
    assert_ok(fbat_close(reader, &fault));
    assert_true(is_readable(fd, 0));
    end_receivers(1, FBAT_ERR_SHUTDOWN);
    fbat_subscription_close(watched);
}

static int append_in_child(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_new_event event = event_of("one", "scope", "payload");
    (void)out;
    child_check(fbat_open(&fixture->config, &store, NULL) == FBAT_OK);
    while (pipe_receive(in))
        child_check(fbat_append(store, &event, NULL, NULL, NULL) == FBAT_OK);
    child_check(fbat_close(store, NULL) == FBAT_OK);
    return 0;
}

static void reader_receives_from_another_process(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    struct fbat_store *reader;
    struct fbat_event event;
    open_store(fixture);
    close_store(fixture);
    child_start(&child, append_in_child, fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    struct fbat_subscription *subscription = subscribe(reader, NULL, NULL);
    for (uint64_t sequence = 1; sequence <= 10; sequence++) {
        pipe_send(child.to);
        assert_ok(fbat_subscription_recv(subscription, PATIENCE_MS, &event, &fault));
        assert_int_equal(event.sequence, sequence);
    }
    close(child.to);
    child.to = -1;
    assert_int_equal(child_wait(&child), 0);
    fbat_subscription_close(subscription);
    assert_ok(fbat_close(reader, &fault));
}

/* ---- misuse ---- */

static void bad_arguments_are_refused(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_subscription *subscription = NULL;
    struct fbat_subscribe_options options = {.struct_size = 1};
    struct fbat_region region = {.struct_size = sizeof region, .category = 16};
    struct fbat_event event;
    assert_status(FBAT_ERR_ARGUMENT, fbat_subscribe(fixture->store, NULL, &options, &subscription, &fault));
    assert_message_has("struct_size");
    assert_status(FBAT_ERR_ARGUMENT, fbat_subscribe(fixture->store, &region, NULL, &subscription, &fault));
    assert_message_has("category");
    assert_status(FBAT_ERR_ARGUMENT, fbat_subscribe(fixture->store, NULL, NULL, NULL, &fault));
    assert_null(subscription);
    assert_status(FBAT_ERR_ARGUMENT, fbat_subscription_try_recv(NULL, &event, &fault));
    assert_int_equal(fbat_subscription_lost(NULL), 0);
}

static int use_in_child(void *user, int in, int out) {
    struct fbat_event event;
    (void)in;
    (void)out;
    child_check(fbat_subscription_try_recv(user, &event, NULL) == FBAT_ERR_FORKED);
    fbat_subscription_close(user);
    return 0;
}

static void subscription_does_not_cross_fork(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    open_store(fixture);
    struct fbat_subscription *subscription = subscribe(fixture->store, NULL, NULL);
    fd_of(subscription);
    child_start(&child, use_in_child, subscription);
    assert_int_equal(child_wait(&child), 0);
    append_times(fixture->store, "one", 1);
    assert_received(subscription, 1);
    fbat_subscription_close(subscription);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(events_after_subscribing_are_received_in_order),
        behaviour(received_event_is_the_one_in_the_log),
        behaviour(only_events_of_the_region_are_received),
        behaviour(system_events_are_received_on_request_only),
        behaviour(batch_is_received_once_it_is_whole),
        behaviour(filter_lets_pass_what_it_says),
        behaviour(subscription_ends_at_its_limit),
        behaviour(fold_runs_along_and_says_what_is_given),
        behaviour(slow_subscriber_skips_and_is_told),
        behaviour(large_capacity_keeps_every_event),
        behaviour(recv_gives_up_after_its_time),
        behaviour(sleeping_subscriber_is_woken_by_an_append),
        behaviour(all_sleeping_subscribers_are_woken),
        behaviour(sleeping_subscriber_is_woken_by_a_durable_append_and_a_ticket),
        behaviour(no_wake_up_is_lost),
        behaviour(received_and_lost_are_what_was_published),
        behaviour(descriptor_is_readable_while_there_is_something),
        behaviour(descriptor_asked_for_late_is_readable),
        behaviour(all_descriptors_become_readable),
        behaviour(closing_the_store_tells_everybody),
        behaviour(reader_receives_what_a_writer_publishes),
        behaviour(sleeping_reader_is_woken),
        behaviour(reader_receives_from_another_process),
        behaviour(bad_arguments_are_refused),
        behaviour(subscription_does_not_cross_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
