# `cpack` in the build folder makes a .deb (and a .tar.gz) of the installed files; what it depends on is read from the
# libraries themselves.
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()
set(CPACK_PACKAGE_NAME libmoco)
set(CPACK_PACKAGE_VENDOR "libmoco contributors")
set(CPACK_PACKAGE_CONTACT "libmoco contributors <libmoco@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGE_DESCRIPTION "Trains image encoders without labels (MoCo, arXiv 1911.05722). Library, headers, CMake \
package and pkg-config file.")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_RESOURCE_FILE_README ${PROJECT_SOURCE_DIR}/README.md)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR TGZ)
# A .deb that names what it depends on takes both of these (Debian: dpkg-dev and file).
find_program(MOCO_DPKG_SHLIBDEPS dpkg-shlibdeps)
find_program(MOCO_FILE file)
mark_as_advanced(MOCO_DPKG_SHLIBDEPS MOCO_FILE)
if(MOCO_DPKG_SHLIBDEPS AND MOCO_FILE)
  list(APPEND CPACK_GENERATOR DEB)
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
# For those who link the static library.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libopenblas-openmp-dev | libblas-dev, libjansson-dev, libjpeg-dev, libpng-dev, \
libwebp-dev, libtiff-dev, pkgconf, cmake")
include(CPack)
