# SPDX-License-Identifier: Apache-2.0
#
# The command `fbat`, from cli/. It links the static library whose internal names are local, so that it can use nothing
# but the public header, and runs from the build directory and from any prefix without a library path.

file(GLOB fbat_cli_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cli/*.c")
if(NOT fbat_cli_sources OR NOT TARGET fbat_static OR FBAT_FUZZER)
    return()
endif()

pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)

add_executable(fbat_command ${fbat_cli_sources})
set_target_properties(fbat_command PROPERTIES OUTPUT_NAME fbat RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
target_compile_definitions(fbat_command PRIVATE "_GNU_SOURCE=")
target_link_libraries(fbat_command PRIVATE fbat_options fbat_static PkgConfig::JANSSON)
