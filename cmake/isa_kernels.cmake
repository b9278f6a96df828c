# moco_add_isa_kernels(TARGET SOURCE TABLE [EXACT] [ISAS isa...]): compiles SOURCE, a C file that defines the table which
# the macro TABLE names, once for each instruction set: as <table>_<isa>, where <table> is TABLE and <isa> the set, both in
# lower case. The macro MOCO_ISA_<isa> tells the source which one it is compiled for. Sets are
#
#   BASELINE      what the compiler targets by default, on every processor
#   AVX2          with FMA; this and the following on x86-64 only
#   AVX512        F, BW, DQ, VL
#   AVX512_BF16   with bfloat16 instructions
#
# and without ISAS the first three. EXACT: without fused multiply-add, so that all of them give the same bits. What a
# processor needs for each, and the choice at run time, are in lib/core/cpu_features.h. A new set is a line of flags here,
# its needs there, and its rows in the lists of kernels (lib/backend/cpu/cpu_kernels.c).
set(MOCO_ISA_BASELINE_FLAGS -Wno-psabi) # vectors are in no interface, so it matters to no one how i386 hands them over
set(MOCO_ISA_AVX2_FLAGS -mavx2 -mfma)
set(MOCO_ISA_AVX512_FLAGS -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mavx2 -mprefer-vector-width=512)
set(MOCO_ISA_AVX512_BF16_FLAGS ${MOCO_ISA_AVX512_FLAGS} -mavx512bf16)
set(MOCO_ISAS BASELINE)
# Fuzzing reaches none of them, and its instrumentation makes clang take minutes for each.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8 AND NOT MOCO_FUZZ)
  list(APPEND MOCO_ISAS AVX2 AVX512 AVX512_BF16)
endif()

function(moco_add_isa_kernels target source table)
  cmake_parse_arguments(PARSE_ARGV 3 arg "EXACT" "" "ISAS")
  if(NOT arg_ISAS)
    set(arg_ISAS BASELINE AVX2 AVX512)
  endif()
  get_filename_component(path ${source} ABSOLUTE)
  get_filename_component(stem ${source} NAME_WE)
  string(TOLOWER ${table} symbol)
  set(contract fast)
  if(arg_EXACT)
    set(contract off)
  endif()
  foreach(isa IN LISTS arg_ISAS)
    if(NOT isa IN_LIST MOCO_ISAS)
      continue()
    endif()
    string(TOLOWER ${isa} suffix)
    set(unit ${CMAKE_CURRENT_BINARY_DIR}/${stem}_${suffix}.c)
    file(CONFIGURE OUTPUT ${unit}
         CONTENT "#define MOCO_ISA_${isa}\n#define ${table} ${symbol}_${suffix}\n#include \"${path}\"\n")
    target_sources(${target} PRIVATE ${unit})
    set_source_files_properties(${unit} TARGET_DIRECTORY ${target} PROPERTIES
      COMPILE_OPTIONS "-O3;-ffp-contract=${contract};${MOCO_ISA_${isa}_FLAGS}" OBJECT_DEPENDS ${path})
  endforeach()
  if("AVX512" IN_LIST MOCO_ISAS)
    target_compile_definitions(${target} PRIVATE MOCO_HAVE_ISA_KERNELS)
  endif()
endfunction()
