# SPDX-License-Identifier: Apache-2.0 OR MIT
# What `cmake --install` leaves: headers, both libraries, vrift.pc, the CMake package, the tool and its man pages.
install(DIRECTORY include/vrift DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS vrift EXPORT vrift-targets DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS vrift_static DESTINATION ${CMAKE_INSTALL_LIBDIR})

# vrift.pc finds its prefix from where it lies, so that a moved installation still works.
file(RELATIVE_PATH VRIFT_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/vrift.pc.in ${PROJECT_BINARY_DIR}/vrift.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/vrift.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(VRIFT_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/vrift)
configure_package_config_file(cmake/vrift-config.cmake.in ${PROJECT_BINARY_DIR}/vrift-config.cmake
    INSTALL_DESTINATION ${VRIFT_CMAKE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/vrift-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/vrift-config.cmake ${PROJECT_BINARY_DIR}/vrift-config-version.cmake
    DESTINATION ${VRIFT_CMAKE_DIR})
install(EXPORT vrift-targets NAMESPACE vrift:: DESTINATION ${VRIFT_CMAKE_DIR})

if(VRIFT_BUILD_TOOLS)
    install(TARGETS vrift_tool DESTINATION ${CMAKE_INSTALL_BINDIR})
    # The helper of mount(8), which looks for it in /sbin: with the prefix /usr it is found.
    file(RELATIVE_PATH VRIFT_FROM_SBIN ${CMAKE_INSTALL_FULL_SBINDIR} ${CMAKE_INSTALL_FULL_BINDIR}/vrift)
    install(CODE "set(sbin \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR}\")
        file(MAKE_DIRECTORY \"\${sbin}\")
        file(CREATE_LINK \"${VRIFT_FROM_SBIN}\" \"\${sbin}/mount.fuse.vrift\" SYMBOLIC)")
    file(GLOB VRIFT_MAN_PAGES CONFIGURE_DEPENDS docs/man/*.1)
    install(FILES ${VRIFT_MAN_PAGES} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
