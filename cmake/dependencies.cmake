# What libmoco links: CBLAS always; the rest where found (see options.cmake). All of it hangs on one target,
# moco_dependencies, and moco_static_libs holds the same as linker flags for whoever links the static library.
#
# A part of lib/ that needs one more library adds it here, not in its own folder.
add_library(moco_dependencies INTERFACE)
set(moco_static_libs)
set(moco_static_optional) # of these, the names that the installed package looks for

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
# Our own find modules, before a host's of the same names.
list(PREPEND CMAKE_MODULE_PATH "${PROJECT_SOURCE_DIR}/cmake")
find_package(CBLAS REQUIRED MODULE)
message(STATUS "libmoco: CBLAS is ${CBLAS_FLAVOUR} (${CBLAS_LIBRARIES})")
target_link_libraries(moco_dependencies INTERFACE CBLAS::CBLAS Threads::Threads m)

# Where the CBLAS is an OpenBLAS, its own functions are called as such: a weak reference would take them from no archive, and
# a static program would not know what it may ask of its OpenBLAS. Where they are not linked here, a shared one may still have
# them when the program runs.
include(CheckCSourceCompiles)
set(CMAKE_REQUIRED_LIBRARIES CBLAS::CBLAS m)
set(CMAKE_REQUIRED_QUIET TRUE)
string(MAKE_C_IDENTIFIER "MOCO_OPENBLAS_${CBLAS_LIBRARIES}" moco_openblas)
check_c_source_compiles("
  int openblas_get_parallel(void);
  int openblas_get_num_threads(void);
  void openblas_set_num_threads(int threads);
  int main(void) {
      openblas_set_num_threads(openblas_get_num_threads());
      return openblas_get_parallel();
  }" ${moco_openblas})
unset(CMAKE_REQUIRED_LIBRARIES)
unset(CMAKE_REQUIRED_QUIET)
if(${moco_openblas})
  target_compile_definitions(moco_dependencies INTERFACE MOCO_HAVE_OPENBLAS)
endif()

# An -l flag where the linker finds this very library by its name alone, else the path.
function(moco_linker_flag library out)
  get_filename_component(name "${library}" NAME)
  set(flag "${library}")
  if(name MATCHES "^lib(.+)\\.(so|a)$")
    set(stem ${CMAKE_MATCH_1})
    foreach(directory IN LISTS CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
      if(EXISTS "${directory}/${name}")
        set(flag "-l${stem}")
      endif()
    endforeach()
  endif()
  set(${out} ${flag} PARENT_SCOPE)
endfunction()

foreach(library IN LISTS CBLAS_LIBRARIES)
  moco_linker_flag("${library}" flag)
  list(APPEND moco_static_libs ${flag})
endforeach()

set(moco_openmp_names)
if(MOCO_WITH_OPENMP)
  if(MOCO_WITH_OPENMP STREQUAL "ON")
    find_package(OpenMP REQUIRED COMPONENTS C)
  else()
    find_package(OpenMP COMPONENTS C)
  endif()
  if(OpenMP_C_FOUND)
    target_link_libraries(moco_dependencies INTERFACE OpenMP::OpenMP_C)
    foreach(name IN LISTS OpenMP_C_LIB_NAMES)
      if(name MATCHES "^(pthread|m)$")
        continue()
      endif()
      # By name where every linker looks (gcc's libgomp); by path otherwise (clang's libomp).
      get_filename_component(folder "${OpenMP_${name}_LIBRARY}" DIRECTORY)
      if(folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES AND NOT name STREQUAL "omp")
        list(APPEND moco_openmp_names ${name})
        list(APPEND moco_static_libs -l${name})
      else()
        list(APPEND moco_openmp_names "${OpenMP_${name}_LIBRARY}")
        list(APPEND moco_static_libs "${OpenMP_${name}_LIBRARY}")
      endif()
    endforeach()
  endif()
endif()

# pkg_check_modules keeps what it finds in the cache, which a host shares: under names of ours, so that its own
# find_package(PNG) and the like are not answered from there.
set(MOCO_JANSSON_FOUND FALSE)
if(MOCO_WITH_JANSSON)
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(MOCO_JANSSON IMPORTED_TARGET jansson>=2.10)
  endif()
  if(MOCO_JANSSON_FOUND)
    target_link_libraries(moco_dependencies INTERFACE PkgConfig::MOCO_JANSSON)
    target_compile_definitions(moco_dependencies INTERFACE MOCO_HAVE_JANSSON)
    list(APPEND moco_static_libs -ljansson)
    list(APPEND moco_static_optional jansson)
  elseif(MOCO_WITH_JANSSON STREQUAL "ON")
    message(FATAL_ERROR "MOCO_WITH_JANSSON is ON, but pkg-config finds no jansson >= 2.10")
  endif()
endif()

# Only x86-64 has the blocked kernels that go with oneDNN's convolutions.
set(ONEDNN_FOUND FALSE)
if(MOCO_WITH_ONEDNN)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64" AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    find_package(ONEDNN 2.6 MODULE)
  endif()
  if(ONEDNN_FOUND)
    target_link_libraries(moco_dependencies INTERFACE ONEDNN::ONEDNN)
    list(APPEND moco_static_libs -ldnnl)
    list(APPEND moco_static_optional dnnl)
  elseif(MOCO_WITH_ONEDNN STREQUAL "ON")
    message(FATAL_ERROR "MOCO_WITH_ONEDNN is ON, but no oneDNN >= 2.6 is found, or this is no x86-64 processor")
  endif()
endif()
list(REMOVE_AT CMAKE_MODULE_PATH 0)

# The image formats. moco_image_library(JPEG "libjpeg" jpeg ...) sets MOCO_JPEG_FOUND and, where it is, MOCO_HAVE_JPEG: the
# pkg-config modules, then the libraries' names in link order.
macro(moco_image_library name modules)
  set(MOCO_${name}_FOUND FALSE)
  if(MOCO_WITH_${name})
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
      pkg_check_modules(MOCO_${name} IMPORTED_TARGET ${modules})
    endif()
    if(MOCO_${name}_FOUND AND "${name}" STREQUAL "JPEG")
      # Reading a part of an image is libjpeg-turbo's own; other libraries of that name lack it.
      include(CheckSymbolExists)
      set(CMAKE_REQUIRED_LIBRARIES PkgConfig::MOCO_JPEG)
      set(CMAKE_REQUIRED_QUIET TRUE)
      check_symbol_exists(jpeg_crop_scanline "stdio.h;jpeglib.h" MOCO_LIBJPEG_IS_TURBO)
      unset(CMAKE_REQUIRED_LIBRARIES)
      unset(CMAKE_REQUIRED_QUIET)
      if(NOT MOCO_LIBJPEG_IS_TURBO)
        set(MOCO_JPEG_FOUND FALSE)
      endif()
    endif()
    if(MOCO_${name}_FOUND)
      target_link_libraries(moco_dependencies INTERFACE PkgConfig::MOCO_${name})
      target_compile_definitions(moco_dependencies INTERFACE MOCO_HAVE_${name})
      foreach(library ${ARGN})
        list(APPEND moco_static_libs -l${library})
        list(PREPEND moco_image_optional ${library}) # the package's list is read from its end
      endforeach()
    elseif(MOCO_WITH_${name} STREQUAL "ON")
      message(FATAL_ERROR "MOCO_WITH_${name} is ON, but pkg-config does not find: ${modules}")
    endif()
  endif()
endmacro()
set(moco_image_optional)
moco_image_library(JPEG "libjpeg" jpeg)
moco_image_library(PNG "libpng>=1.6;zlib" png z)
moco_image_library(WEBP "libwebp>=0.5" webp)
moco_image_library(TIFF "libtiff-4>=4.5" tiff) # the first with handlers of errors that are not the whole process's
list(APPEND moco_static_optional ${moco_image_optional})

list(APPEND moco_static_libs -lpthread -lm)
list(JOIN moco_static_libs " " moco_static_libs_line)
message(STATUS "libmoco: OpenMP ${OpenMP_C_FOUND}, Jansson ${MOCO_JANSSON_FOUND}, oneDNN ${ONEDNN_FOUND}, \
JPEG ${MOCO_JPEG_FOUND}, PNG ${MOCO_PNG_FOUND}, WebP ${MOCO_WEBP_FOUND}, TIFF ${MOCO_TIFF_FOUND}")
