/* SPDX-License-Identifier: Apache-2.0 */
/* Asserts: silent when they hold, the end of the process when they do not, with the hook told first. */
#include "fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

static int told[2]; /* a pipe from the child's hook */

static void tell(const char *condition, const char *file, int line) {
    char text[256];
    int length = snprintf(text, sizeof text, "%s|%s|%d", condition, strrchr(file, '/') ? strrchr(file, '/') + 1 : file,
                          line > 0);
    if (write(told[1], text, (size_t)length) != length)
        _exit(99);
}

static void an_assert_that_holds_evaluates_once_and_says_nothing(void **state) {
    (void)state;
    int count = 0;
    FBAT_ASSERT(++count == 1);
    assert_int_equal(count, 1);
}

static void a_broken_assert_tells_the_hook_and_aborts(void **state) {
    (void)state;
    char text[256] = "";
    int status;
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        assert_set_hook(tell);
        FBAT_ASSERT(1 + 1 == 3);
        _exit(98);
    }
    assert_true(child > 0);
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_true(read(told[0], text, sizeof text - 1) > 0);
    assert_string_equal(text, "1 + 1 == 3|test_assert.c|1");
    close(told[0]);
    close(told[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assert_that_holds_evaluates_once_and_says_nothing),
        cmocka_unit_test(a_broken_assert_tells_the_hook_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
