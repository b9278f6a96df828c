# moco_add_isa_kernels(TARGET SOURCE TABLE [EXACT]): compiles SOURCE, a C file that defines the table which the macro TABLE
# names, for the baseline as <table>_baseline and, on x86-64, for AVX2 with FMA as <table>_avx2 and for AVX-512 as
# <table>_avx512; <table> is TABLE in lower case. See lib/core/cpu_isa.h for the choice at run time. EXACT: without
# fused multiply-add, so that all of them give the same bits.
set(MOCO_ISA_BASELINE_FLAGS "")
set(MOCO_ISA_AVX2_FLAGS -mavx2 -mfma)
set(MOCO_ISA_AVX512_FLAGS -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mavx2 -mprefer-vector-width=512)
set(MOCO_ISAS BASELINE)
# Fuzzing reaches none of them, and its instrumentation makes clang take minutes for each.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" AND CMAKE_SIZEOF_VOID_P EQUAL 8 AND NOT MOCO_FUZZ)
  list(APPEND MOCO_ISAS AVX2 AVX512)
endif()

function(moco_add_isa_kernels target source table)
  get_filename_component(path ${source} ABSOLUTE)
  get_filename_component(stem ${source} NAME_WE)
  string(TOLOWER ${table} symbol)
  set(contract fast)
  if("EXACT" IN_LIST ARGN)
    set(contract off)
  endif()
  foreach(isa ${MOCO_ISAS})
    string(TOLOWER ${isa} suffix)
    set(unit ${CMAKE_CURRENT_BINARY_DIR}/${stem}_${suffix}.c)
    file(CONFIGURE OUTPUT ${unit} CONTENT "#define ${table} ${symbol}_${suffix}\n#include \"${path}\"\n")
    target_sources(${target} PRIVATE ${unit})
    set_source_files_properties(${unit} TARGET_DIRECTORY ${target} PROPERTIES
      COMPILE_OPTIONS "-O3;-ffp-contract=${contract};${MOCO_ISA_${isa}_FLAGS}" OBJECT_DEPENDS ${path})
  endforeach()
  if("AVX512" IN_LIST MOCO_ISAS)
    target_compile_definitions(${target} PRIVATE MOCO_HAVE_ISA_KERNELS)
  endif()
endfunction()
