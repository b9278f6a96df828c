# -DMOCO_SANITIZE="address;undefined" builds everything with these sanitizers.
if(MOCO_SANITIZE)
  string(REPLACE ";" "," moco_sanitizers "${MOCO_SANITIZE}")
  add_compile_options(-fsanitize=${moco_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${moco_sanitizers})
endif()
