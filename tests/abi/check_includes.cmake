# Who may include whom (layers.cmake says it, CONTRIBUTING.md has the picture), and that no includes go in a circle. Reads every
# #include of lib/, include/, examples/ and tests/.
#   cmake -DSOURCE_DIR=... -P check_includes.cmake
cmake_minimum_required(VERSION 3.22)

include(${CMAKE_CURRENT_LIST_DIR}/layers.cmake)

# Headers of other libraries, and the only place for each.
set(foreign_headers
    "cblas\\.h=^lib/backend/cpu/blas/"
    "(oneapi/)?(dnnl/)?dnnl.*=^lib/backend/cpu/onednn/"
    "omp\\.h=^(lib/core|lib/backend/cpu/onednn|tests)/"
    "jansson\\.h=^(lib/io|tests)/"
    "(turbojpeg|jpeglib|jerror|zlib|tiffio|webp/.*)\\.h=^(lib/data|tests)/"
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
      list(APPEND arrows_${file} include/${header})
    elseif(file MATCHES "^lib/")
      if(header MATCHES "^moco(/|\\.h$)")
        if(quote STREQUAL "\"")
          complain("public headers are included with angle brackets")
        endif()
        list(APPEND arrows_${file} include/${header})
      elseif(quote STREQUAL "\"")
        list(APPEND arrows_${file} lib/${header})
        get_filename_component(header_name ${header} NAME)
        string(REGEX REPLACE "^lib/" "" path "${file}")
        layer_of(${path} layer)
        layer_of(${header} below)
        if(NOT layer)
          complain("${file} is in no layer of tests/abi/layers.cmake")
        elseif(NOT EXISTS ${SOURCE_DIR}/lib/${header})
          complain("a quoted include is a path below lib/")
        elseif(layer STREQUAL below)
          # its own
        elseif(NOT below IN_LIST uses_${layer})
          list(JOIN uses_${layer} ", " names)
          complain("lib/${layer} may include only of itself and of: ${names}")
        elseif(DEFINED only_${layer}_${below} AND NOT header_name MATCHES "${only_${layer}_${below}}")
          complain("of lib/${below}, lib/${layer} may include only headers like ${only_${layer}_${below}}")
        endif()
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

find_circle("${files}" circle)
if(circle)
  list(JOIN circle "\n  includes " circle)
  message("includes go in a circle:\n  ${circle}\n  includes the first")
  math(EXPR errors "${errors} + 1")
endif()

if(checked LESS 100)
  message(FATAL_ERROR "only ${checked} includes found: this check reads them wrongly")
endif()
if(errors)
  message(FATAL_ERROR "${errors} includes break the layers")
endif()
message("${checked} includes keep to the layers")
