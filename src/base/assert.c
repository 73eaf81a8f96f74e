/* SPDX-License-Identifier: Apache-2.0 */
/* The end of the line for our own bugs: tell the hook, then abort where a debugger or a core dump can see it. */
#include "base/assert.h"

#include <stdlib.h>

static assert_hook_fn hook_before_abort;

void assert_set_hook(assert_hook_fn hook) {
    hook_before_abort = hook;
}

_Noreturn void assert_fail(const char *condition, const char *file, int line) {
    if (hook_before_abort)
        hook_before_abort(condition, file, line);
    abort();
}
