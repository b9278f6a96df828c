# The target `docs`: the API reference as HTML in the build folder's docs/html, where Doxygen is found. Its warnings are
# errors. A host may have a `docs` of its own.
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()
find_program(MOCO_DOXYGEN NAMES doxygen)
mark_as_advanced(MOCO_DOXYGEN)
if(MOCO_DOXYGEN)
  set(moco_docs_dir ${PROJECT_BINARY_DIR}/docs)
  file(MAKE_DIRECTORY ${moco_docs_dir})
  configure_file(${CMAKE_CURRENT_LIST_DIR}/Doxyfile.in ${moco_docs_dir}/Doxyfile @ONLY)
  add_custom_target(docs COMMAND ${MOCO_DOXYGEN} ${moco_docs_dir}/Doxyfile
                    COMMENT "The API reference: ${moco_docs_dir}/html/index.html" VERBATIM)
endif()
