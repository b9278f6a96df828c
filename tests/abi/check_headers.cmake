# Each public header compiles alone, and twice in a row, without a warning.
#   cmake -DINCLUDE_DIR=... -DCOMPILER=... -DLANGUAGE=c -DSTANDARD=c11 -DWORK_DIR=... -P check_headers.cmake
file(GLOB_RECURSE headers RELATIVE ${INCLUDE_DIR} ${INCLUDE_DIR}/*.h)
if(NOT headers)
  message(FATAL_ERROR "no headers in ${INCLUDE_DIR}")
endif()
file(MAKE_DIRECTORY ${WORK_DIR})
set(failed)
foreach(header IN LISTS headers)
  file(WRITE ${WORK_DIR}/alone.inc "#include <${header}>\n#include <${header}>\nextern int moco_not_empty;\n")
  execute_process(COMMAND ${COMPILER} -x ${LANGUAGE} -std=${STANDARD} -pedantic -Wall -Wextra -Werror -fsyntax-only -I ${INCLUDE_DIR}
                          ${WORK_DIR}/alone.inc
                  RESULT_VARIABLE result ERROR_VARIABLE output)
  if(result)
    message("${header}:\n${output}")
    list(APPEND failed ${header})
  endif()
endforeach()
list(LENGTH headers count)
if(failed)
  message(FATAL_ERROR "these headers don't stand alone: ${failed}")
endif()
message("${count} headers compile alone")
