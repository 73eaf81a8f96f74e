# SPDX-License-Identifier: Apache-2.0
#
# Tests, fuzz targets, benchmarks, examples. Each file with a main() is a program of its own; the other files of bench/
# and of a tests/ folder are linked into each program of that folder.

if(NOT FBAT_DEVELOPER OR NOT TARGET fbat_internal)
    return()
endif()

# Splits the .c files of a folder into out_mains (one program each) and out_others (shared by them).
function(fbat_split_folder folder out_mains out_others)
    file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.c")
    set(mains "")
    set(others "")
    foreach(source IN LISTS sources)
        file(STRINGS "${source}" main_line REGEX "^int main\\(" LIMIT_COUNT 1)
        if(main_line)
            list(APPEND mains "${source}")
        else()
            list(APPEND others "${source}")
        endif()
    endforeach()
    set(${out_mains} "${mains}" PARENT_SCOPE)
    set(${out_others} "${others}" PARENT_SCOPE)
endfunction()

# Sets out_objects to the objects of the sources that the programs of a folder share, compiled once.
function(fbat_shared_objects folder sources libraries out_objects)
    set(${out_objects} "" PARENT_SCOPE)
    if(sources)
        string(REPLACE "/" "_" target "${folder}/shared")
        add_library(${target} OBJECT ${sources})
        target_link_libraries(${target} PRIVATE fbat_options ${libraries})
        set(${out_objects} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
    endif()
endfunction()

# One program from source, at FOLDER/STEM in the build directory.
function(fbat_program folder source)
    get_filename_component(stem "${source}" NAME_WE)
    string(REPLACE "/" "_" target "${folder}/${stem}")
    add_executable(${target} "${source}" ${ARGN})
    set_target_properties(
        ${target} PROPERTIES OUTPUT_NAME "${stem}" RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/${folder}")
    target_link_libraries(${target} PRIVATE fbat_options)
    set(target "${target}" PARENT_SCOPE)
endfunction()

# ---- tests/support: os_sim and the helpers of the tests

file(GLOB fbat_support_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/support/*.c")
add_library(fbat_support_headers INTERFACE)
target_include_directories(
    fbat_support_headers INTERFACE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/tests"
                                   "${PROJECT_SOURCE_DIR}/tests/support")
target_link_libraries(fbat_support_headers INTERFACE fbat_internal m)
target_compile_definitions(
    fbat_support_headers INTERFACE "_GNU_SOURCE=" "FBAT_SOURCE_DIR=\"${PROJECT_SOURCE_DIR}\"")
if(fbat_support_sources)
    add_library(fbat_support STATIC EXCLUDE_FROM_ALL ${fbat_support_sources})
    target_link_libraries(fbat_support PUBLIC fbat_support_headers)
else()
    add_library(fbat_support ALIAS fbat_support_headers)
endif()

# ---- fuzz: with libFuzzer, or with a main() that replays a corpus

file(GLOB fbat_fuzz_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/fuzz/fuzz_*.c")
foreach(source IN LISTS fbat_fuzz_sources)
    if(FBAT_FUZZER)
        fbat_program(fuzz "${source}")
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    elseif(EXISTS "${PROJECT_SOURCE_DIR}/fuzz/replay_main.c")
        fbat_program(fuzz "${source}" "${PROJECT_SOURCE_DIR}/fuzz/replay_main.c")
    else()
        continue()
    endif()
    set_target_properties(${target} PROPERTIES FBAT_NO_PROTOTYPES ON) # LLVMFuzzerTestOneInput has no header
    target_link_libraries(${target} PRIVATE fbat_support fbat_internal)
endforeach()
if(FBAT_FUZZER)
    return()
endif()

# ---- tests: one cmocka program per file; `fbat_tests` builds all of them

add_custom_target(fbat_tests)
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
if(NOT CMOCKA_FOUND)
    message(STATUS "cmocka not found: the tests are not built")
else()
    foreach(folder unit api model crash fault golden)
        set(libraries fbat_support fbat_internal PkgConfig::CMOCKA)
        fbat_split_folder(tests/${folder} mains others)
        fbat_shared_objects(tests/${folder} "${others}" "${libraries}" objects)
        foreach(source IN LISTS mains)
            fbat_program(tests/${folder} "${source}" ${objects})
            target_link_libraries(${target} PRIVATE ${libraries})
            add_dependencies(fbat_tests ${target})
        endforeach()
    endforeach()
endif()

# ---- bench: against the public library, internals allowed for the parts measured alone

# SQLite is a peer to compare with where its header is; it is loaded when a benchmark runs. The definition makes the
# build notice when the header comes later.
add_library(fbat_bench_libraries INTERFACE)
target_link_libraries(fbat_bench_libraries INTERFACE fbat_internal m ${CMAKE_DL_LIBS})
target_compile_definitions(fbat_bench_libraries INTERFACE "_GNU_SOURCE=")
pkg_check_modules(SQLITE3 QUIET sqlite3)
if(SQLITE3_FOUND)
    target_compile_definitions(fbat_bench_libraries INTERFACE FBAT_BENCH_SQLITE=1)
    target_include_directories(fbat_bench_libraries INTERFACE ${SQLITE3_INCLUDE_DIRS})
endif()
fbat_split_folder(bench mains others)
fbat_shared_objects(bench "${others}" fbat_bench_libraries objects)
foreach(source IN LISTS mains)
    fbat_program(bench "${source}" ${objects})
    target_link_libraries(${target} PRIVATE fbat_bench_libraries)
endforeach()

# ---- examples: as a user's program, with the shared library and its public header only

file(GLOB fbat_example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.c")
foreach(source IN LISTS fbat_example_sources)
    fbat_program(examples "${source}")
    target_link_libraries(${target} PRIVATE fbat)
endforeach()
