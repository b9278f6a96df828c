# What `cmake --install` puts where: headers, libraries, the CMake package and the pkg-config file. The whole prefix can
# be moved afterwards.
include(CMakePackageConfigHelpers)
set(moco_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/moco)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
foreach(kind shared static)
  if(TARGET moco_${kind})
    install(TARGETS moco_${kind} EXPORT moco-${kind}-targets)
    install(EXPORT moco-${kind}-targets NAMESPACE moco:: DESTINATION ${moco_cmake_dir})
  endif()
endforeach()

# --- find_package(moco) ---
# A library that the builder named by its path has no other name: the package looks there first.
set(moco_cblas_given "")
if(CBLAS_FLAVOUR STREQUAL "given")
  set(moco_cblas_given "${CBLAS_LIBRARIES}")
  set(moco_cblas_given_include "${CBLAS_INCLUDE_DIRS}")
endif()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/moco-config.cmake.in ${PROJECT_BINARY_DIR}/moco-config.cmake
                              INSTALL_DESTINATION ${moco_cmake_dir} NO_SET_AND_CHECK_MACRO)
# As for the soname (lib/CMakeLists.txt): each 0.x has an ABI of its own.
set(moco_compatibility SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(moco_compatibility SameMinorVersion)
endif()
write_basic_package_version_file(${PROJECT_BINARY_DIR}/moco-config-version.cmake COMPATIBILITY ${moco_compatibility})
install(FILES ${PROJECT_BINARY_DIR}/moco-config.cmake ${PROJECT_BINARY_DIR}/moco-config-version.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindCBLAS.cmake
        DESTINATION ${moco_cmake_dir})

# --- pkg-config ---
# Paths are relative to the .pc file, except where the installer chose absolute ones, and except in the system's own places,
# which nobody moves. With a sysroot, pkgconf prepends it where a path does not have it yet; pkg-config 0.29 always does, also
# to a relative path, which already has it: from there, as many .. as lead up to the root.
set(moco_pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(moco_pc_root "/../../../../../../../../../../../../../../../..")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(moco_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
  file(RELATIVE_PATH moco_pc_up "/${moco_pc_dir}" "/")
  string(REGEX REPLACE "/$" "" moco_pc_up "${moco_pc_up}")
  set(moco_pc_prefix "\${pcfiledir}/${moco_pc_up}")
endif()
foreach(kind LIBDIR INCLUDEDIR)
  string(TOLOWER ${kind} name)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
    set(moco_pc_${kind} "${CMAKE_INSTALL_${kind}}")
  else()
    set(moco_pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
  endif()
  set(moco_pc_${kind}_flag "\${${name}}")
  if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}" AND NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    string(PREPEND moco_pc_${kind}_flag "${moco_pc_root}")
  endif()
endforeach()
# Where there is no shared library, every link is a static one.
if(MOCO_BUILD_SHARED)
  set(moco_pc_libs "")
else()
  set(moco_pc_libs " ${moco_static_libs_line}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/moco.pc.in ${PROJECT_BINARY_DIR}/moco.pc @ONLY)
# The prefix is known when it is installed.
install(CODE "
  file(READ \"${PROJECT_BINARY_DIR}/moco.pc\" text)
  if(CMAKE_INSTALL_PREFIX MATCHES \"^/usr(/local)?$\")
    string(REPLACE [[${moco_pc_root}]] \"\" text \"\${text}\")
    string(REPLACE [[prefix=${moco_pc_prefix}]] \"prefix=\${CMAKE_INSTALL_PREFIX}\" text \"\${text}\")
  endif()
  file(WRITE \"${PROJECT_BINARY_DIR}/to_install/moco.pc\" \"\${text}\")")
install(FILES ${PROJECT_BINARY_DIR}/to_install/moco.pc DESTINATION ${moco_pc_dir})

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/libmoco)
