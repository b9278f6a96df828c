# Every option of the build, in one place.
include(GNUInstallDirs)

option(MOCO_BUILD_TESTS "Build the tests (needs CMocka)" ${PROJECT_IS_TOP_LEVEL})
option(MOCO_BUILD_EXAMPLES "Build the example programs" ${PROJECT_IS_TOP_LEVEL})
option(MOCO_WERROR "Treat compiler warnings as errors" OFF)
set(MOCO_SANITIZE "" CACHE STRING "Sanitizers to build with: address;undefined or thread")
# Optional parts: AUTO uses them where they are found, ON demands them, OFF leaves them out.
set(MOCO_WITH_OPENMP AUTO CACHE STRING "OpenMP threads (AUTO, ON, OFF)")
set(MOCO_WITH_JANSSON AUTO CACHE STRING "Jansson, to read safetensors files (AUTO, ON, OFF)")
set(MOCO_WITH_ONEDNN AUTO CACHE STRING "oneDNN backend (AUTO, ON, OFF)")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
