# The warnings that all of libmoco's own code is free of.
add_library(moco_warnings INTERFACE)
target_compile_options(moco_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(MOCO_WERROR)
  target_compile_options(moco_warnings INTERFACE -Werror)
endif()
