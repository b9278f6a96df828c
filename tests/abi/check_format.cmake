# The code is formatted as .clang-format says, by the version that the project uses.
#   cmake -DSOURCE_DIR=... -DCLANG_FORMAT=clang-format-14 -P check_format.cmake
file(GLOB_RECURSE files ${SOURCE_DIR}/include/*.h ${SOURCE_DIR}/lib/*.[ch] ${SOURCE_DIR}/examples/*.[ch]
     ${SOURCE_DIR}/examples/*.cpp ${SOURCE_DIR}/tests/*.[ch])
execute_process(COMMAND ${CLANG_FORMAT} --style=file --dry-run -Werror ${files} RESULT_VARIABLE result
                ERROR_VARIABLE output)
if(result)
  string(REGEX MATCHALL "[^\n]*: error: [^\n]*" lines "${output}")
  list(JOIN lines "\n" lines)
  message(FATAL_ERROR "run ${CLANG_FORMAT} -i on these files:\n${lines}")
endif()
list(LENGTH files count)
message("${count} files are formatted")
