/* Any bytes as a file of torch.save, legacy or zip: all tensors are read that it claims to hold. */
#include <stdint.h>
#include <stdlib.h>

#include "io/safetensors.h"
#include "io/torch_file.h"

enum { MOST_ELEMENTS = 1 << 16, MOST_VISITS = 10000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_tensor(const moco_torch_file *file, const moco_pickle_tensor *tensor) {
    int64_t elements = 1;
    for (int32_t i = 0; i < tensor->rank; ++i) elements *= tensor->dims[i];
    if (elements > MOST_ELEMENTS) return; /* a row that is repeated ever so often */
    void *values = malloc((size_t) elements * moco_safetensors_dtype_size(tensor->storage->dtype) + 1);
    if (values == NULL) abort();
    (void) moco_torch_read(file, tensor, values); /* a checksum may be wrong */
    free(values);
}

static void walk(const moco_torch_file *file, const moco_pickle_node *node, int64_t *visits) {
    if (++*visits > MOST_VISITS) return;
    if (node->kind == MOCO_PICKLE_TENSOR) read_tensor(file, node->as.tensor);
    const int32_t is_dict = node->kind == MOCO_PICKLE_DICT;
    if (!is_dict && node->kind != MOCO_PICKLE_LIST && node->kind != MOCO_PICKLE_TUPLE) return;
    for (int64_t i = 0; i < (is_dict ? 2 * node->count : node->count); ++i) walk(file, node->as.items[i], visits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    moco_byte_source source = {0};
    moco_torch_file *file = NULL;
    int64_t visits = 0;
    if (moco_byte_source_memory(&source, NULL, "fuzz.pth", data, size) != MOCO_OK) abort();
    (void) moco_torch_looks_so(&source);
    if (moco_torch_open(&file, NULL, &source) == MOCO_OK) walk(file, moco_torch_root(file), &visits);
    moco_torch_close(file);
    moco_byte_source_close(&source);
    return 0;
}
