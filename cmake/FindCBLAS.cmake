# Any CBLAS: a header cblas.h and a library with cblas_sgemm. Made for libmoco's build and installed with it, for those who
# link the static library.
#
# Input:  MOCO_CBLAS           auto (default), openblas, blis or reference
#         CBLAS_LIBRARY        take this library (a list where it needs several), whatever MOCO_CBLAS says
#         CBLAS_INCLUDE_DIR    the folder of its cblas.h
# Output: CBLAS::CBLAS, CBLAS_FOUND, CBLAS_LIBRARIES, CBLAS_INCLUDE_DIRS, CBLAS_FLAVOUR (openblas, blis, reference or
#         given)
#
# Distributions keep several side by side, in folders of their own name below the library folder (openblas-openmp,
# blis-pthread, blas ...), with a symlink in the library folder itself to whichever the administrator chose. The folders
# come first, an OpenMP build before the others, since libmoco's own threads are OpenMP's; the symlink is the last resort.

set(_cblas_openblas_folders openblas-openmp openblas-pthread openblas-serial openblas)
set(_cblas_openblas_candidates openblas)
set(_cblas_blis_folders blis-openmp blis-pthread blis-serial blis)
set(_cblas_blis_candidates blis)
set(_cblas_reference_folders blas cblas)
# The reference library keeps its C interface in libblas (Debian), in a libcblas that knows the libblas it needs, or in
# one that does not.
set(_cblas_reference_candidates blas cblas cblas+blas)

# Does this library, with this header, link? Without C in the project (a C++ host) there is no compiler to ask.
function(_cblas_check out libraries include_dir)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(NOT "C" IN_LIST languages)
    set(${out} TRUE PARENT_SCOPE)
    return()
  endif()
  include(CheckCSourceCompiles)
  string(MAKE_C_IDENTIFIER "CBLAS_LINKS_${libraries}_${include_dir}" result)
  set(CMAKE_REQUIRED_INCLUDES "${include_dir}")
  set(CMAKE_REQUIRED_LIBRARIES ${libraries} m)
  set(CMAKE_REQUIRED_FLAGS)
  set(CMAKE_REQUIRED_QUIET TRUE)
  check_c_source_compiles("
    #include <cblas.h>
    int main(void) {
        float a[1] = {1.0f}, b[1] = {1.0f}, c[1] = {0.0f};
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 1, 1, 1, 1.0f, a, 1, b, 1, 0.0f, c, 1);
        return (int) c[0];
    }" ${result})
  set(${out} ${${result}} PARENT_SCOPE)
endfunction()

# Sets CBLAS_LIBRARIES, CBLAS_INCLUDE_DIRS and CBLAS_FLAVOUR in the caller for the first candidate that links.
function(_cblas_search flavour)
  foreach(candidate IN LISTS _cblas_${flavour}_candidates)
    string(REPLACE "+" ";" names "${candidate}")
    set(libraries)
    foreach(name IN LISTS names)
      find_library(CBLAS_${flavour}_${name} NAMES ${name} PATH_SUFFIXES ${_cblas_${flavour}_folders})
      mark_as_advanced(CBLAS_${flavour}_${name})
      list(APPEND libraries "${CBLAS_${flavour}_${name}}")
    endforeach()
    if(libraries MATCHES "NOTFOUND")
      continue()
    endif()
    # The header that belongs to this library is in a folder of the same name, where it has one.
    list(GET libraries 0 library)
    get_filename_component(folder "${library}" DIRECTORY)
    get_filename_component(folder "${folder}" NAME)
    find_path(CBLAS_${flavour}_INCLUDE cblas.h PATH_SUFFIXES ${folder} ${_cblas_${flavour}_folders})
    mark_as_advanced(CBLAS_${flavour}_INCLUDE)
    if(NOT CBLAS_${flavour}_INCLUDE)
      continue()
    endif()
    _cblas_check(links "${libraries}" "${CBLAS_${flavour}_INCLUDE}")
    if(links)
      set(CBLAS_LIBRARIES "${libraries}" PARENT_SCOPE)
      set(CBLAS_INCLUDE_DIRS "${CBLAS_${flavour}_INCLUDE}" PARENT_SCOPE)
      set(CBLAS_FLAVOUR ${flavour} PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

unset(CBLAS_LIBRARIES)
unset(CBLAS_INCLUDE_DIRS)
unset(CBLAS_FLAVOUR)
if(CBLAS_LIBRARY)
  find_path(CBLAS_INCLUDE_DIR cblas.h)
  if(CBLAS_INCLUDE_DIR)
    _cblas_check(_cblas_links "${CBLAS_LIBRARY}" "${CBLAS_INCLUDE_DIR}")
    if(_cblas_links)
      set(CBLAS_LIBRARIES "${CBLAS_LIBRARY}")
      set(CBLAS_INCLUDE_DIRS "${CBLAS_INCLUDE_DIR}")
      set(CBLAS_FLAVOUR given)
    else()
      set(_cblas_reason "CBLAS_LIBRARY (${CBLAS_LIBRARY}) and CBLAS_INCLUDE_DIR (${CBLAS_INCLUDE_DIR}) do not link")
    endif()
  else()
    set(_cblas_reason "CBLAS_LIBRARY is given, but no cblas.h is found: give CBLAS_INCLUDE_DIR too")
  endif()
else()
  if(NOT MOCO_CBLAS OR MOCO_CBLAS STREQUAL "auto")
    set(_cblas_flavours openblas blis reference)
  else()
    set(_cblas_flavours ${MOCO_CBLAS})
  endif()
  foreach(_cblas_flavour IN LISTS _cblas_flavours)
    if(NOT CBLAS_LIBRARIES)
      _cblas_search(${_cblas_flavour})
    endif()
  endforeach()
  list(JOIN _cblas_flavours ", " _cblas_flavours)
  set(_cblas_reason "looked for: ${_cblas_flavours}. On Debian: apt-get install libopenblas-openmp-dev")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CBLAS REQUIRED_VARS CBLAS_LIBRARIES CBLAS_INCLUDE_DIRS
                                  REASON_FAILURE_MESSAGE "${_cblas_reason}")
if(CBLAS_FOUND AND NOT TARGET CBLAS::CBLAS)
  add_library(CBLAS::CBLAS INTERFACE IMPORTED)
  target_include_directories(CBLAS::CBLAS INTERFACE "${CBLAS_INCLUDE_DIRS}")
  target_link_libraries(CBLAS::CBLAS INTERFACE ${CBLAS_LIBRARIES})
endif()
