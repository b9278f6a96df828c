# The fused InfoNCE: its driver, and its inner loops once per instruction set.
target_sources(moco_objects PRIVATE info_nce.c info_nce_select.c)
moco_add_isa_kernels(moco_objects info_nce_kernel.c MOCO_NCE_KERNEL)
