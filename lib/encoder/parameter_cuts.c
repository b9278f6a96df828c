/* The learnable runs of a parameter table, cut where flags change: what an update rule that treats some parameters
 * otherwise than others goes through. */
#include "backend/backend_chain.h"
#include "encoder/encoder_internal.h"

int32_t moco_parameter_flags(int32_t kind, int32_t rank, int32_t declared) {
    if (kind != MOCO_PARAMETER_LEARNABLE) return 0;
    return declared | (rank <= 1 ? MOCO_PARAMETER_VECTOR : 0);
}

/* Where `item` begins in run `index`; -1: it lies in another. */
static int64_t position_in(const moco_tensor *run, const moco_parameter *item) {
    const moco_tensor *value = &item->value;
    if (item->kind != MOCO_PARAMETER_LEARNABLE || value->buffer != run->buffer) return -1;
    if (value->offset < run->offset || value->offset >= run->offset + moco_tensor_bytes(run)) return -1;
    return (int64_t) ((value->offset - run->offset) / sizeof(float));
}

/* Items of a run stand in the table in the order in which they lie. A gap behind a parameter belongs to its cut. */
static int64_t cut_run(const moco_parameter_table *table, int64_t run, int32_t mask, moco_parameter_cut *cuts) {
    const moco_tensor *whole = &table->learnable[run].value;
    int64_t count = 0;
    for (int64_t i = 0; i < table->count; ++i) {
        const int64_t from = position_in(whole, &table->items[i]);
        const int32_t flags = table->items[i].flags & mask;
        if (from < 0 || (count > 0 && cuts[count - 1].flags == flags)) continue;
        const moco_parameter_cut cut = {.run = run, .from = count == 0 ? 0 : from, .flags = flags};
        if (count > 0) cuts[count - 1].elements = from - cuts[count - 1].from;
        cuts[count++] = cut;
    }
    if (count > 0) cuts[count - 1].elements = moco_tensor_elements(whole) - cuts[count - 1].from;
    return count;
}

moco_status moco_parameter_cuts(moco_context *context, const moco_parameter_table *table, int32_t mask,
                                moco_parameter_cut **cuts, int64_t *count) {
    moco_parameter_cut *all = (moco_parameter_cut *) moco_allocate(context, (size_t) table->count * sizeof *all);
    if (all == NULL) return MOCO_OUT_OF_MEMORY;
    *count = 0;
    for (int64_t run = 0; run < table->learnable_runs; ++run) *count += cut_run(table, run, mask, all + *count);
    *cuts = all;
    return MOCO_OK;
}

moco_tensor moco_cut_part(const moco_tensor *run, const moco_parameter_cut *cut) {
    return moco_tensor_1d(run->buffer, run->offset + (uint64_t) cut->from * moco_dtype_size(run->dtype), run->dtype,
                          cut->elements);
}
