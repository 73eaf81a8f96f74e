# SPDX-License-Identifier: Apache-2.0
#
# What `make install` puts where: library, header, pkg-config file, CMake package, command, man pages, completions.

if(NOT TARGET fbat OR FBAT_FUZZER)
    return()
endif()

include(CMakePackageConfigHelpers)

install(
    TARGETS fbat fbat_static
    EXPORT fbatTargets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES "${PROJECT_SOURCE_DIR}/include/fbat/fbat.h" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fbat)

# The .pc file finds its prefix from where it lies, so that `cmake --install --prefix` and a moved tree both work.
set(fbat_pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH fbat_pc_to_prefix "/${fbat_pkgconfig_dir}" "/")
string(REGEX REPLACE "/$" "" fbat_pc_to_prefix "${fbat_pc_to_prefix}")
list(JOIN fbat_requires ", " fbat_pc_requires)
configure_file(cmake/fbat.pc.in fbat.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/fbat.pc" DESTINATION ${fbat_pkgconfig_dir})

set(fbat_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/fbat")
configure_package_config_file(
    cmake/fbatConfig.cmake.in fbatConfig.cmake INSTALL_DESTINATION ${fbat_package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(fbatConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT fbatTargets NAMESPACE fbat:: DESTINATION ${fbat_package_dir})
install(FILES "${PROJECT_BINARY_DIR}/fbatConfig.cmake" "${PROJECT_BINARY_DIR}/fbatConfigVersion.cmake"
        DESTINATION ${fbat_package_dir})

if(TARGET fbat_command)
    install(TARGETS fbat_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

file(GLOB fbat_man1 CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/man/*.1")
file(GLOB fbat_man3 CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/man/*.3")
file(GLOB fbat_man5 CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/man/*.5")
file(GLOB fbat_man7 CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/docs/man/*.7")
foreach(section 1 3 5 7)
    if(fbat_man${section})
        install(FILES ${fbat_man${section}} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endif()
endforeach()

# Each shell looks for a completion under a name of its own.
foreach(
    row
    "fbat.bash|bash-completion/completions|fbat"
    "fbat.zsh|zsh/site-functions|_fbat"
    "_fbat|zsh/site-functions|_fbat"
    "fbat.fish|fish/vendor_completions.d|fbat.fish")
    string(REPLACE "|" ";" row "${row}")
    list(GET row 0 file)
    list(GET row 1 folder)
    list(GET row 2 name)
    if(EXISTS "${PROJECT_SOURCE_DIR}/cli/completion/${file}")
        install(FILES "${PROJECT_SOURCE_DIR}/cli/completion/${file}" DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder}
                RENAME ${name})
    endif()
endforeach()
