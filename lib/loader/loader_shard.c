/* How ranks share an epoch: batch b of rank r is the r-th part of the b-th run of world_size * batch_size samples. What
 * is left after the last whole run makes one more, smaller batch of each rank, or none with drop_last.
 */
#include "core/checked.h"
#include "loader/loader_state.h"

/* The samples of one batch of all ranks; creation checks that it does not overflow. */
static int64_t run_of(const moco_loader_config *config) {
    return config->batch_size * config->world_size;
}

int64_t moco_loader_count_batches(const moco_loader_config *config, int64_t count) {
    return config->drop_last ? count / run_of(config) : 1 + (count - 1) / run_of(config);
}

int64_t moco_loader_batch_count(const moco_loader_config *config, int64_t count, int64_t batch) {
    const int64_t left = count - batch * run_of(config);
    return left >= run_of(config) ? config->batch_size : moco_ceil_divide(left, config->world_size);
}

int64_t moco_loader_count_samples(const moco_loader_config *config, int64_t count) {
    const int64_t batches = moco_loader_count_batches(config, count);
    return batches == 0 ? 0 : (batches - 1) * config->batch_size + moco_loader_batch_count(config, count, batches - 1);
}

int64_t moco_loader_position(const moco_loader_config *config, int64_t count, int64_t batch, int64_t at) {
    const int64_t n = moco_loader_batch_count(config, count, batch);
    /* Only a last batch that world_size does not divide reaches beyond the end; it takes the first samples again. */
    return (batch * run_of(config) + config->rank * n + at) % count;
}
