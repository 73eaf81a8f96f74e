# SPDX-License-Identifier: Apache-2.0
#
# libfbat, from src/, in three forms of the same object files:
#
#   fbat           libfbat.so; exports what src/fbat.map says
#   fbat_static    libfbat.a; one object whose internal names are made local, so that a program that links it can have
#                  its own segment_append()
#   fbat_internal  a plain archive with the internals visible, for the tests; never installed

file(GLOB fbat_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*/*.c")
if(NOT fbat_sources)
    message(STATUS "src/ has no sources yet: nothing to build")
    return()
endif()

add_library(fbat_objects OBJECT ${fbat_sources})
target_compile_definitions(fbat_objects PRIVATE FBAT_BUILDING "_POSIX_C_SOURCE=200809L") # for POSIX threads
target_include_directories(fbat_objects PUBLIC "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
target_link_libraries(fbat_objects PUBLIC fbat_options PkgConfig::FBAT_REQUIRES Threads::Threads)

# Strict C11 with POSIX threads everywhere but in os/, the one layer that may see the rest of the system, and in the
# allocator, which hints at huge pages.
set_target_properties(fbat_objects PROPERTIES C_EXTENSIONS OFF)
file(GLOB fbat_os_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/os/*.c")
if(fbat_os_sources)
    set_source_files_properties(${fbat_os_sources} PROPERTIES COMPILE_OPTIONS "-std=gnu11;-D_GNU_SOURCE=")
endif()
set_source_files_properties("${PROJECT_SOURCE_DIR}/src/base/memory.c" PROPERTIES COMPILE_DEFINITIONS "_DEFAULT_SOURCE=")

# ---- shared

add_library(fbat SHARED $<TARGET_OBJECTS:fbat_objects>)
add_library(fbat::fbat ALIAS fbat)
target_include_directories(
    fbat INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(fbat PRIVATE $<BUILD_INTERFACE:fbat_options> PkgConfig::FBAT_REQUIRES Threads::Threads)
target_link_options(
    fbat PRIVATE "LINKER:--version-script=${PROJECT_SOURCE_DIR}/src/fbat.map" LINKER:-z,relro LINKER:-z,now
    LINKER:--as-needed)
if(NOT FBAT_SANITIZE)
    target_link_options(fbat PRIVATE LINKER:--no-undefined) # sanitizers leave their runtime to the program
endif()
set_target_properties(
    fbat PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 LINKER_LANGUAGE C
                    LINK_DEPENDS "${PROJECT_SOURCE_DIR}/src/fbat.map")

# ---- static

if(FBAT_LTO)
    # Objects of the compiler's own intermediate form cannot be merged by `ld -r`: the internal names stay global.
    add_library(fbat_static STATIC $<TARGET_OBJECTS:fbat_objects>)
else()
    set(fbat_merged "${PROJECT_BINARY_DIR}/fbat_merged.o")
    add_custom_command(
        OUTPUT "${fbat_merged}"
        COMMAND ${CMAKE_LINKER} -r -o "${fbat_merged}" $<TARGET_OBJECTS:fbat_objects>
        COMMAND ${CMAKE_OBJCOPY} --localize-hidden "${fbat_merged}"
        DEPENDS fbat_objects $<TARGET_OBJECTS:fbat_objects>
        COMMAND_EXPAND_LISTS VERBATIM
        COMMENT "Merging libfbat into one object with only its public names global")
    set_source_files_properties("${fbat_merged}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    add_library(fbat_static STATIC "${fbat_merged}")
endif()
add_library(fbat::fbat_static ALIAS fbat_static)
set_target_properties(fbat_static PROPERTIES OUTPUT_NAME fbat LINKER_LANGUAGE C)
target_include_directories(
    fbat_static INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                          $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# Installed, the libraries go by name: the paths of the machine that built them mean nothing elsewhere.
target_link_libraries(
    fbat_static
    INTERFACE $<BUILD_INTERFACE:PkgConfig::FBAT_REQUIRES> $<BUILD_INTERFACE:Threads::Threads>
              $<INSTALL_INTERFACE:${FBAT_REQUIRES_LIBRARIES}> $<INSTALL_INTERFACE:pthread>)

# ---- internal

add_library(fbat_internal STATIC EXCLUDE_FROM_ALL $<TARGET_OBJECTS:fbat_objects>)
set_target_properties(fbat_internal PROPERTIES LINKER_LANGUAGE C)
target_include_directories(fbat_internal PUBLIC "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
target_link_libraries(fbat_internal PUBLIC fbat_options PkgConfig::FBAT_REQUIRES Threads::Threads)
