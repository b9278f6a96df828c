# Any CBLAS: a header cblas.h and a library with cblas_sgemm. Gives the target CBLAS::CBLAS.
find_path(CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas-openmp openblas-pthread openblas blis cblas
          HINTS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
find_library(CBLAS_LIBRARY NAMES openblas blis cblas blas)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CBLAS REQUIRED_VARS CBLAS_LIBRARY CBLAS_INCLUDE_DIR)
if(CBLAS_FOUND AND NOT TARGET CBLAS::CBLAS)
  add_library(CBLAS::CBLAS INTERFACE IMPORTED)
  target_include_directories(CBLAS::CBLAS INTERFACE ${CBLAS_INCLUDE_DIR})
  target_link_libraries(CBLAS::CBLAS INTERFACE ${CBLAS_LIBRARY})
endif()
