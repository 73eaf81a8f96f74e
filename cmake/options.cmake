# SPDX-License-Identifier: Apache-2.0
#
# What every target shares: warnings, sanitizers, definitions. All of it hangs on the interface target fbat_options, so
# nothing leaks into a project that includes this one with add_subdirectory.

add_library(fbat_options INTERFACE)

target_compile_options(
    fbat_options
    INTERFACE
        -Wall
        -Wextra
        -Wpedantic
        -Wshadow
        -Wstrict-prototypes
        $<$<NOT:$<BOOL:$<TARGET_PROPERTY:FBAT_NO_PROTOTYPES>>>:-Wmissing-prototypes>
        -Wold-style-definition
        -Wvla
        -Wundef
        -Wpointer-arith
        -Wwrite-strings
        -Wimplicit-fallthrough
        -Werror=implicit-function-declaration
        -fno-plt
        -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/= # __FILE__ from the root, whatever machine builds
        $<$<BOOL:${FBAT_WERROR}>:-Werror>)

# Both are seen by the library and by the tests that look into it: they may change the layout of internal structs.
if(FBAT_TEST_HOOKS)
    target_compile_definitions(fbat_options INTERFACE FBAT_TEST_HOOKS=1)
endif()
if(FBAT_CHECK_INVARIANTS)
    target_compile_definitions(fbat_options INTERFACE FBAT_CHECK_INVARIANTS=1)
endif()

if(FBAT_SANITIZE)
    target_compile_options(
        fbat_options INTERFACE -fsanitize=${FBAT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(fbat_options INTERFACE -fsanitize=${FBAT_SANITIZE})
endif()
if(FBAT_FUZZER)
    # Coverage for libFuzzer without its main(), which only the targets in fuzz/ link.
    target_compile_options(fbat_options INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(fbat_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(FBAT_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(LANGUAGES C)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# The libraries libfbat links. fbat_requires goes into fbat.pc, so the two cannot drift apart.
set(fbat_requires "libcrypto >= 3.0" libisal libxxhash lmdb)
pkg_check_modules(FBAT_REQUIRES REQUIRED IMPORTED_TARGET "libcrypto>=3.0" libisal libxxhash lmdb)
