/* torchvision's starting values. Parameter i draws from the stream (seed, INITIALISATION, 0, i): what it gets depends
 * on no other parameter. */
#include <math.h>

#include "backend/backend_chain.h"
#include "core/checked.h"
#include "core/random.h"
#include "encoder/parameter_storage.h"

static void draw(float *values, int64_t elements, const moco_graph_parameter *parameter, moco_random *random) {
    const double fan = (double) parameter->fan;
    switch (parameter->start) {
    case MOCO_START_KAIMING: /* nn.init.kaiming_normal_(mode="fan_out", nonlinearity="relu") */
        for (int64_t i = 0; i < elements; ++i) values[i] = (float) (sqrt(2.0 / fan) * moco_random_normal(random));
        break;
    case MOCO_START_UNIFORM: /* nn.Linear's own: kaiming_uniform_(a=sqrt(5)) is U(+- 1 / sqrt(fan_in)) */
        for (int64_t i = 0; i < elements; ++i) {
            values[i] = (float) moco_random_uniform(random, -1.0 / sqrt(fan), 1.0 / sqrt(fan));
        }
        break;
    default:
        for (int64_t i = 0; i < elements; ++i) values[i] = parameter->start == MOCO_START_ONE ? 1.0F : 0.0F;
        break;
    }
}

moco_status moco_initialise_parameters(moco_parameter_storage *storage, const moco_graph *graph, uint64_t seed) {
    const moco_parameter_table *table = &storage->table;
    int64_t largest = 0;
    for (int64_t i = 0; i < table->count; ++i) largest = moco_max_i64(largest, table->items[i].elements);
    float *values = (float *) moco_allocate(storage->context, (size_t) largest * sizeof *values);
    if (values == NULL) return MOCO_OUT_OF_MEMORY;

    moco_status status = MOCO_OK;
    for (int64_t i = 0; i < table->count && status == MOCO_OK; ++i) {
        moco_random random;
        moco_random_init(&random, seed, MOCO_RANDOM_INITIALISATION, 0, (uint64_t) i);
        draw(values, table->items[i].elements, &graph->parameters[i], &random);
        status = moco_tensor_upload(storage->context, &table->items[i].value, values);
    }
    moco_deallocate(storage->context, values);
    return status;
}
