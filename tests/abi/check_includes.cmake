# Who may include whom (CONTRIBUTING.md has the picture). Reads every #include of lib/, include/, examples/ and tests/bench/.
#   cmake -DSOURCE_DIR=... -P check_includes.cmake
cmake_minimum_required(VERSION 3.22)

# Quoted includes are paths below lib/. For each module, what the path may look like.
set(allow_core "^core/")
set(allow_context "^core/|^backend/[^/]+$|^context/")
set(allow_backend "^core/|^backend/[^/]+$")
set(allow_communicator "^core/|^communicator/")
set(allow_io "^core/|^io/")
set(allow_data "^core/|^io/|^data/")
set(allow_augment "^core/|^io/|^augment/")
set(allow_loader "^core/|^data/|^augment/|^loader/")
set(allow_encoder "^core/|^backend/[^/]+$|^encoder/")
set(allow_keys "^core/|^backend/[^/]+$|^keys/")
set(allow_loss "^core/|^backend/[^/]+$|^loss/|^keys/(key_view|key_source|queue_view)\\.h$")
set(allow_optimizer "^core/|^backend/[^/]+$|^optimizer/|^encoder/(momentum_)?encoder_internal\\.h$")
set(allow_trainer "^[a-z]+/[^/]+$")
set(allow_evaluation "^core/|^backend/[^/]+$|^encoder/|^loader/|^data/|^augment/|^evaluation/")
set(allow_checkpoint "^core/|^io/|^[a-z]+/[a-z_]+_internal\\.h$")
set(allow_recipe "^core/|^recipe/|^[a-z]+/[a-z_]+_internal\\.h$")

# Headers of other libraries, and the only place for each.
set(foreign_headers
    "cblas\\.h=^lib/backend/cpu/blas/"
    "(oneapi/)?(dnnl/)?dnnl.*=^lib/backend/cpu/onednn/"
    "(cuda|cublas|cudnn).*=^lib/backend/cuda/"
    "nccl\\.h=^lib/communicator/nccl/"
    "mpi\\.h=^lib/communicator/mpi/"
    "omp\\.h=^(lib/core|lib/backend/cpu|tests)/"
    "jansson\\.h=^(lib/io|tests)/"
    "zip\\.h=^lib/io/"
    "(turbojpeg|jpeglib|jerror|zlib|webp/.*)\\.h=^(lib/data|tests)/"
    "png\\.h=^(lib/data|examples/preview|tests)/"
    "cmocka\\.h=^tests/")

set(errors 0)
set(checked 0)
macro(complain text)
  message("${file}: #include ${spelling}: ${text}")
  math(EXPR errors "${errors} + 1")
endmacro()

file(GLOB_RECURSE files RELATIVE ${SOURCE_DIR} ${SOURCE_DIR}/lib/*.[ch] ${SOURCE_DIR}/include/*.h
     ${SOURCE_DIR}/examples/*.[ch] ${SOURCE_DIR}/examples/*.cpp ${SOURCE_DIR}/tests/*.[ch])
foreach(file IN LISTS files)
  file(STRINGS ${SOURCE_DIR}/${file} lines REGEX "^[ \t]*#[ \t]*include")
  foreach(line IN LISTS lines)
    if(NOT line MATCHES "include[ \t]*([<\"])([^>\"]+)[>\"]")
      continue() # a macro's
    endif()
    set(quote "${CMAKE_MATCH_1}")
    set(header "${CMAKE_MATCH_2}")
    string(REGEX MATCH "[<\"][^>\"]+[>\"]" spelling "${line}")
    math(EXPR checked "${checked} + 1")

    if(header MATCHES "(^|/)\\.\\.?/")
      complain("includes don't climb folders; name the path below lib/")
    endif()
    foreach(rule IN LISTS foreign_headers)
      string(REGEX MATCH "^(.*)=(.*)$" rule "${rule}")
      if(header MATCHES "^(${CMAKE_MATCH_1})$")
        string(REGEX REPLACE "^.*=" "" place "${rule}")
        if(NOT file MATCHES "${place}")
          complain("only files that match ${place} may")
        endif()
      endif()
    endforeach()

    if(file MATCHES "^include/")
      if(NOT header MATCHES "^(moco/.+|stddef|stdint)(\\.h)?$" OR quote STREQUAL "\"")
        complain("public headers include <moco/...>, <stddef.h> and <stdint.h> only")
      elseif(header MATCHES "^moco/sys/" AND NOT file MATCHES "^include/moco/sys/")
        complain("the first tier does not depend on the second")
      endif()
    elseif(file MATCHES "^lib/([a-z]+)/(([a-z0-9_]+)/)?")
      set(module ${CMAKE_MATCH_1})
      set(part "${CMAKE_MATCH_3}")
      if(quote STREQUAL "\"" AND header MATCHES "/")
        if(NOT DEFINED allow_${module})
          complain("the folder lib/${module} has no rule in tests/abi/check_includes.cmake")
        elseif(part AND header MATCHES "^${module}/${part}/")
          # a backend's own folder
        elseif(NOT header MATCHES "${allow_${module}}")
          complain("lib/${module} may include only ${allow_${module}}")
        endif()
      elseif(header MATCHES "^moco/" AND quote STREQUAL "\"")
        complain("public headers are included with angle brackets")
      endif()
    elseif(file MATCHES "^(examples|tests/bench)/")
      set(root ${CMAKE_MATCH_1})
      get_filename_component(folder ${file} DIRECTORY)
      if(quote STREQUAL "\"" AND NOT EXISTS ${SOURCE_DIR}/${folder}/${header} AND NOT EXISTS ${SOURCE_DIR}/${root}/${header})
        complain("examples and benchmarks use public headers and those of ${root}/ alone")
      endif()
    endif()
  endforeach()
endforeach()

if(checked LESS 100)
  message(FATAL_ERROR "only ${checked} includes found: this check reads them wrongly")
endif()
if(errors)
  message(FATAL_ERROR "${errors} includes break the layers")
endif()
message("${checked} includes keep to the layers")
