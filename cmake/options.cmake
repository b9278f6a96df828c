# Every option of the build, in one place. Defaults suit a Release build of both libraries; what only developers want is
# off where libmoco is a part of another project (add_subdirectory, FetchContent).

# AUTO follows BUILD_SHARED_LIBS, and is ON where that is not set.
set(MOCO_BUILD_SHARED AUTO CACHE STRING "Build the shared library (AUTO, ON, OFF)")
set(MOCO_BUILD_STATIC AUTO CACHE STRING "Build the static library, which the tests need (AUTO, ON, OFF)")
set(moco_tests_default OFF)
if(PROJECT_IS_TOP_LEVEL)
  set(moco_tests_default AUTO)
endif()
set(MOCO_BUILD_TESTS ${moco_tests_default} CACHE STRING "Build the tests, which need CMocka (AUTO, ON, OFF)")
option(MOCO_BUILD_EXAMPLES "Build the example programs" ${PROJECT_IS_TOP_LEVEL})
option(MOCO_INSTALL "Make install rules and packages" ${PROJECT_IS_TOP_LEVEL})

option(MOCO_WERROR "Treat compiler warnings as errors" OFF)
option(MOCO_FUZZ "Build the libFuzzer programs of tests/fuzz, and all else with the sanitizers for them (clang)" OFF)
set(MOCO_SANITIZE "" CACHE STRING "Sanitizers to build with: \"address;undefined\" or \"thread\"; empty for none")

# Which CBLAS: auto takes OpenBLAS (its OpenMP build first), then BLIS, then the reference library. Any other one is
# named by -DCBLAS_LIBRARY=... and -DCBLAS_INCLUDE_DIR=...
set(MOCO_CBLAS auto CACHE STRING "CBLAS to link: auto, openblas, blis or reference")
set_property(CACHE MOCO_CBLAS PROPERTY STRINGS auto openblas blis reference)

# Optional parts: AUTO uses them where they are found, ON demands them, OFF leaves them out. Public headers are the same
# for every choice; what is missing answers MOCO_UNSUPPORTED with the name of the option.
set(MOCO_WITH_OPENMP AUTO CACHE STRING "Threads inside one operation, by OpenMP (AUTO, ON, OFF)")
set(MOCO_WITH_JANSSON AUTO CACHE STRING "Jansson, to read safetensors files (AUTO, ON, OFF)")
set(MOCO_WITH_ONEDNN AUTO CACHE STRING "oneDNN, for convolutions of the cpu backend (AUTO, ON, OFF)")
set(MOCO_WITH_JPEG AUTO CACHE STRING "libjpeg-turbo, to read JPEG images (AUTO, ON, OFF)")
set(MOCO_WITH_PNG AUTO CACHE STRING "libpng, to read PNG images (AUTO, ON, OFF)")
set(MOCO_WITH_WEBP AUTO CACHE STRING "libwebp, to read WebP images (AUTO, ON, OFF)")
set(MOCO_WITH_TIFF AUTO CACHE STRING "libtiff, to read TIFF images (AUTO, ON, OFF)")

# --- Checks and defaults --------------------------------------------------------------------------------------------

foreach(option MOCO_BUILD_SHARED MOCO_BUILD_STATIC MOCO_BUILD_TESTS MOCO_WITH_OPENMP MOCO_WITH_JANSSON MOCO_WITH_ONEDNN MOCO_WITH_JPEG MOCO_WITH_PNG
               MOCO_WITH_WEBP MOCO_WITH_TIFF)
  string(TOUPPER "${${option}}" value)
  if(value MATCHES "^(ON|TRUE|YES|1)$")
    set(${option} ON)
  elseif(value MATCHES "^(OFF|FALSE|NO|0)$")
    set(${option} OFF)
  elseif(value STREQUAL "AUTO")
    set(${option} AUTO)
  else()
    message(FATAL_ERROR "${option} is \"${${option}}\"; it can be AUTO, ON or OFF")
  endif()
  set_property(CACHE ${option} PROPERTY STRINGS AUTO ON OFF)
endforeach()
if(NOT MOCO_CBLAS MATCHES "^(auto|openblas|blis|reference)$")
  message(FATAL_ERROR "MOCO_CBLAS is \"${MOCO_CBLAS}\"; it can be auto, openblas, blis or reference")
endif()
if(MOCO_BUILD_SHARED STREQUAL "AUTO")
  set(MOCO_BUILD_SHARED ON)
  if(DEFINED BUILD_SHARED_LIBS AND NOT BUILD_SHARED_LIBS AND NOT MOCO_BUILD_STATIC STREQUAL "OFF")
    set(MOCO_BUILD_SHARED OFF)
  endif()
endif()
if(MOCO_BUILD_STATIC STREQUAL "AUTO")
  set(MOCO_BUILD_STATIC ON)
  if(BUILD_SHARED_LIBS AND MOCO_BUILD_SHARED AND NOT MOCO_BUILD_TESTS STREQUAL "ON")
    set(MOCO_BUILD_STATIC OFF)
  endif()
endif()
if(NOT MOCO_BUILD_SHARED AND NOT MOCO_BUILD_STATIC)
  message(FATAL_ERROR "MOCO_BUILD_SHARED and MOCO_BUILD_STATIC are both OFF: there is nothing to build")
endif()
if(MOCO_BUILD_TESTS STREQUAL "AUTO" AND NOT MOCO_BUILD_STATIC)
  set(MOCO_BUILD_TESTS OFF)
endif()
if(MOCO_BUILD_TESTS AND NOT MOCO_BUILD_STATIC)
  message(FATAL_ERROR "The tests look inside the static library: set MOCO_BUILD_STATIC=ON or MOCO_BUILD_TESTS=OFF")
endif()

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
# Each source file is a unit of its own: names are unique within a file, and kernels have their own flags.
set(CMAKE_UNITY_BUILD OFF)
include(GNUInstallDirs)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
