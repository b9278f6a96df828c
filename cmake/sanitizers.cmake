# -DMOCO_SANITIZE="address;undefined" builds everything with these sanitizers, and any finding ends the program. "thread"
# knows OpenMP's barriers only where the OpenMP runtime is built for it: use it with MOCO_WITH_OPENMP=OFF.
if(MOCO_SANITIZE)
  string(REPLACE ";" "," moco_sanitizers "${MOCO_SANITIZE}")
  add_compile_options(-fsanitize=${moco_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${moco_sanitizers})
endif()
