/* All public headers, by tests/abi/public_headers.py --one. */
/* clang-format off */
#ifndef MOCO_EXPORT_H
#define MOCO_EXPORT_H
#include <stddef.h>
#include <stdint.h>
#if defined(__GNUC__) || defined(__clang__)
#define MOCO_API __attribute__((visibility("default")))
#else
#define MOCO_API
#endif
#ifdef __cplusplus
#define MOCO_BEGIN_DECLS extern "C" {
#define MOCO_END_DECLS   }
#else
#define MOCO_BEGIN_DECLS
#define MOCO_END_DECLS
#endif
#endif
#ifndef MOCO_STATUS_H
#define MOCO_STATUS_H
#define MOCO_STATUS_LIST(X)                                                    \
    X(MOCO_OK, 0, "success")                                                   \
    X(MOCO_INVALID_ARGUMENT, 10, "invalid argument")                           \
    X(MOCO_INVALID_STATE, 11, "call not allowed in this state")                \
    X(MOCO_UNSUPPORTED, 12, "not supported by this build, backend or version") \
    X(MOCO_OUT_OF_MEMORY, 20, "out of memory")                                 \
    X(MOCO_IO, 30, "input/output error")                                       \
    X(MOCO_FORMAT, 31, "malformed data")                                       \
    X(MOCO_NOT_FOUND, 32, "not found")                                         \
    X(MOCO_BACKEND, 40, "backend error")                                       \
    X(MOCO_COMMUNICATOR, 41, "communicator error")                             \
    X(MOCO_CALLBACK, 50, "a host callback returned non-zero")                  \
    X(MOCO_CANCELLED, 51, "stopped on request")                                \
    X(MOCO_INTERNAL, 90, "internal error, please report")
MOCO_BEGIN_DECLS
typedef int32_t moco_status;
enum {
#define MOCO_STATUS_ENUM(name, code, text) name = code,
    MOCO_STATUS_LIST(MOCO_STATUS_ENUM)
#undef MOCO_STATUS_ENUM
};
MOCO_API const char *moco_status_string(moco_status status);
MOCO_API const char *moco_last_error(void);
MOCO_END_DECLS
#endif
#ifndef MOCO_CONTEXT_H
#define MOCO_CONTEXT_H
MOCO_BEGIN_DECLS
typedef struct moco_context moco_context;
struct moco_backend_ops;
typedef void *(*moco_allocate_fn)(uint64_t size, uint64_t alignment, void *user);
typedef void (*moco_deallocate_fn)(void *memory, void *user);
enum { MOCO_LOG_ERROR = 0, MOCO_LOG_WARNING = 1, MOCO_LOG_INFO = 2, MOCO_LOG_DEBUG = 3 };
typedef void (*moco_log_fn)(int32_t level, const char *message, void *user);
typedef struct moco_context_config {
    uint32_t struct_size;
    int32_t threads;
    const char *backend;
    moco_allocate_fn allocate;
    moco_deallocate_fn deallocate;
    void *allocator_user;
    moco_log_fn log;
    void *log_user;
    int32_t log_level;
    int32_t reserved;
    const struct moco_backend_ops *const *backends;
} moco_context_config;
MOCO_API moco_status moco_context_config_init(moco_context_config *config, uint32_t struct_size);
MOCO_API moco_status moco_context_create(moco_context **out, const moco_context_config *config);
MOCO_API void moco_context_destroy(moco_context *context);
MOCO_API int32_t moco_context_threads(const moco_context *context);
MOCO_API const char *moco_context_backend(const moco_context *context);
MOCO_END_DECLS
#endif
#ifndef MOCO_AUGMENT_H
#define MOCO_AUGMENT_H
MOCO_BEGIN_DECLS
typedef struct moco_augment moco_augment;
enum {
    MOCO_AUGMENT_V1 = 0,
    MOCO_AUGMENT_V2 = 1,
    MOCO_AUGMENT_CIFAR = 2,
    MOCO_AUGMENT_PLAIN = 3,
    MOCO_AUGMENT_V3 = 4,
    MOCO_AUGMENT_CUSTOM = 5
};
enum {
    MOCO_PART_NONE = 0,
    MOCO_PART_FLIP = 1,
    MOCO_PART_JITTER = 2,
    MOCO_PART_GREY = 3,
    MOCO_PART_BLUR = 4,
    MOCO_PART_SOLARIZE = 5
};
enum { MOCO_AUGMENT_ORDER = 7  };
enum { MOCO_INTERPOLATION_BILINEAR = 0, MOCO_INTERPOLATION_BICUBIC = 1  };
typedef struct moco_augment_config {
    uint32_t struct_size;
    int32_t recipe;
    int32_t height;
    int32_t width;
    double crop_min;
    double crop_max;
    double ratio_min;
    double ratio_max;
    double flip_p;
    double jitter_p;
    double brightness;
    double contrast;
    double saturation;
    double hue;
    double grey_p;
    double blur_p;
    double blur_sigma_min;
    double blur_sigma_max;
    double mean[3];
    double std[3];
    double eval_resize;
    uint64_t seed;
    double solarize_p;
    double solarize_threshold;
    double key_blur_p;
    double key_solarize_p;
    int32_t interpolation;
    int32_t order[MOCO_AUGMENT_ORDER];
    int32_t reduced_decoding;
    int32_t reserved;
} moco_augment_config;
MOCO_API moco_status moco_augment_config_init(moco_augment_config *config, uint32_t struct_size, int32_t recipe);
MOCO_API moco_status moco_augment_create(moco_augment **out, moco_context *context, const moco_augment_config *config);
MOCO_API void moco_augment_destroy(moco_augment *augment);
MOCO_API moco_status moco_augment_read_config(const moco_augment *augment, moco_augment_config *config);
MOCO_API int32_t moco_augment_height(const moco_augment *augment);
MOCO_API int32_t moco_augment_width(const moco_augment *augment);
MOCO_API moco_status moco_augment_apply(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                        int64_t epoch, int64_t sample, int32_t view, float *out);
MOCO_API moco_status moco_augment_evaluate(const moco_augment *augment, const float *image, int64_t h, int64_t w,
                                           float *out);
MOCO_API moco_status moco_augment_apply_pixels(const moco_augment *augment, const uint8_t *pixels, int64_t h, int64_t w,
                                               int64_t epoch, int64_t sample, int32_t view, float *out);
MOCO_API moco_status moco_augment_evaluate_pixels(const moco_augment *augment, const uint8_t *pixels, int64_t h,
                                                  int64_t w, float *out);
MOCO_END_DECLS
#endif
#ifndef MOCO_ENCODER_H
#define MOCO_ENCODER_H
MOCO_BEGIN_DECLS
typedef struct moco_encoder moco_encoder;
#define MOCO_ENCODER_PASSES 2
enum {
    MOCO_STEM_IMAGENET = 0,
    MOCO_STEM_CIFAR = 1
};
enum {
    MOCO_HEAD_NONE = 0,
    MOCO_HEAD_LINEAR = 1,
    MOCO_HEAD_MLP = 2
};
enum {
    MOCO_COMPUTE_F32 = 0,
    MOCO_COMPUTE_BF16 = 1,
    MOCO_COMPUTE_BF16_REQUIRED = 2,
    MOCO_COMPUTE_F32_DIRECT = 3
};
enum {
    MOCO_BN_CONTIGUOUS = 0,
    MOCO_BN_STRIDED = 1
};
typedef struct moco_encoder_config {
    uint32_t struct_size;
    int32_t stem;
    const char *architecture;
    int32_t head;
    int32_t embedding_dim;
    int32_t head_hidden_dim;
    int32_t channels;
    int32_t normalize;
    int32_t bn_groups;
    int32_t bn_layout;
    int32_t zero_init_residual;
    int32_t mlp_input_dim;
    int32_t mlp_hidden_dim;
    int32_t mlp_layers;
    int32_t compute_dtype;
    double bn_momentum;
    double bn_eps;
    uint64_t seed;
} moco_encoder_config;
enum {
    MOCO_PARAMETER_LEARNABLE = 0,
    MOCO_PARAMETER_BUFFER = 1
};
enum {
    MOCO_PARAMETER_VECTOR = 1,
    MOCO_PARAMETER_NO_DECAY = 2,
    MOCO_PARAMETER_FROZEN = 4
};
typedef struct moco_parameter_info {
    uint32_t struct_size;
    int32_t kind;
    const char *name;
    int64_t elements;
    int32_t rank;
    int32_t flags;
    int64_t dims[4];
} moco_parameter_info;
MOCO_API const char *moco_encoder_architecture_name(int64_t index);
MOCO_API const char *moco_encoder_architecture_help(int64_t index);
MOCO_API moco_status moco_encoder_config_init(moco_encoder_config *config, uint32_t struct_size);
MOCO_API moco_status moco_encoder_create(moco_encoder **out, moco_context *context, const moco_encoder_config *config);
MOCO_API void moco_encoder_destroy(moco_encoder *encoder);
MOCO_API moco_status moco_encoder_forward(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                          float *embeddings);
MOCO_API moco_status moco_encoder_backward(moco_encoder *encoder, const float *d_embeddings, int64_t n);
MOCO_API moco_status moco_encoder_forward_pass(moco_encoder *encoder, int32_t pass, const float *images, int64_t n,
                                               int64_t h, int64_t w, float *embeddings);
MOCO_API moco_status moco_encoder_backward_pass(moco_encoder *encoder, int32_t pass, const float *d_embeddings,
                                                int64_t n);
MOCO_API moco_status moco_encoder_zero_gradients(moco_encoder *encoder);
typedef int32_t (*moco_gradients_ready_fn)(int64_t first, int64_t end, void *user);
MOCO_API moco_status moco_encoder_set_gradient_hook(moco_encoder *encoder, moco_gradients_ready_fn ready, void *user);
MOCO_API moco_status moco_encoder_evaluate(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                           float *embeddings);
MOCO_API moco_status moco_encoder_features(moco_encoder *encoder, const float *images, int64_t n, int64_t h, int64_t w,
                                           float *features);
MOCO_API int64_t moco_encoder_embedding_dim(const moco_encoder *encoder);
MOCO_API int64_t moco_encoder_feature_dim(const moco_encoder *encoder);
MOCO_API int64_t moco_encoder_channels(const moco_encoder *encoder);
MOCO_API int32_t moco_encoder_compute_dtype(const moco_encoder *encoder);
MOCO_API int64_t moco_encoder_parameter_count(const moco_encoder *encoder);
MOCO_API int64_t moco_encoder_learnable_elements(const moco_encoder *encoder);
MOCO_API moco_status moco_encoder_parameter_info(const moco_encoder *encoder, int64_t index, moco_parameter_info *info);
MOCO_API moco_status moco_encoder_find_parameter(const moco_encoder *encoder, const char *name, int64_t *index);
MOCO_API moco_status moco_encoder_set_parameter_flags(moco_encoder *encoder, int64_t index, int32_t flags);
MOCO_API moco_status moco_encoder_read_parameter(const moco_encoder *encoder, int64_t index, float *values);
MOCO_API moco_status moco_encoder_write_parameter(moco_encoder *encoder, int64_t index, const float *values);
MOCO_API moco_status moco_encoder_read_gradient(const moco_encoder *encoder, int64_t index, float *values);
MOCO_API moco_status moco_encoder_write_gradient(moco_encoder *encoder, int64_t index, const float *values);
MOCO_API int64_t moco_encoder_batches_tracked(const moco_encoder *encoder);
MOCO_API moco_status moco_encoder_set_batches_tracked(moco_encoder *encoder, int64_t batches);
MOCO_API moco_status moco_encoder_save(const moco_encoder *encoder, const char *path, const char *const *keys,
                                       const char *const *values, int64_t count);
MOCO_API moco_status moco_encoder_open(moco_encoder **out, moco_context *context, const char *path);
MOCO_API moco_status moco_file_metadata(moco_context *context, const char *path, const char *key, char *value,
                                        uint64_t capacity, uint64_t *length);
MOCO_END_DECLS
#endif
#ifndef MOCO_DATASET_H
#define MOCO_DATASET_H
MOCO_BEGIN_DECLS
typedef struct moco_dataset moco_dataset;
#define MOCO_NO_LABEL (-1)
MOCO_API moco_status moco_dataset_open(moco_dataset **out, moco_context *context, const char *description);
MOCO_API moco_status moco_dataset_open_test(moco_dataset **out, moco_context *context, const char *description,
                                            int64_t synthetic_count);
typedef struct moco_image_dataset_config {
    uint32_t struct_size;
    int32_t reserved;
    int64_t max_side;
    int64_t max_pixels;
    uint64_t max_memory;
    double max_seconds;
    const char *index_file;
} moco_image_dataset_config;
MOCO_API moco_status moco_image_dataset_config_init(moco_image_dataset_config *config, uint32_t struct_size);
MOCO_API moco_status moco_dataset_open_with(moco_dataset **out, moco_context *context, const char *description,
                                            const moco_image_dataset_config *config);
enum { MOCO_PIXELS_FLOAT32 = 0 , MOCO_PIXELS_UINT8 = 1  };
MOCO_API moco_status moco_dataset_create_memory(moco_dataset **out, moco_context *context, const void *pixels,
                                                int32_t pixel_type, const int32_t *labels, int64_t count,
                                                int64_t channels, int64_t h, int64_t w, int32_t copy);
typedef int32_t (*moco_dataset_info_fn)(int64_t index, int64_t *h, int64_t *w, int32_t *label, void *user);
typedef int32_t (*moco_dataset_read_fn)(int64_t index, float *pixels, void *user);
MOCO_API moco_status moco_dataset_create_callback(moco_dataset **out, moco_context *context, int64_t count,
                                                  int64_t channels, moco_dataset_info_fn info,
                                                  moco_dataset_read_fn read, void *user);
MOCO_API void moco_dataset_destroy(moco_dataset *dataset);
MOCO_API int64_t moco_dataset_count(const moco_dataset *dataset);
MOCO_API int64_t moco_dataset_channels(const moco_dataset *dataset);
MOCO_API int64_t moco_dataset_classes(const moco_dataset *dataset);
MOCO_API const char *moco_dataset_class_name(const moco_dataset *dataset, int64_t label);
MOCO_API const char *moco_dataset_description(const moco_dataset *dataset);
MOCO_API moco_status moco_dataset_name(const moco_dataset *dataset, int64_t index, char *text, uint64_t capacity);
MOCO_API moco_status moco_dataset_info(const moco_dataset *dataset, int64_t index, int64_t *h, int64_t *w,
                                       int32_t *label);
MOCO_API moco_status moco_dataset_read(const moco_dataset *dataset, int64_t index, float *pixels, int64_t capacity);
MOCO_API moco_status moco_dataset_choose(const moco_dataset *dataset, int64_t count, uint64_t seed, int64_t *indices,
                                         int64_t *chosen);
MOCO_END_DECLS
#endif
#ifndef MOCO_LOADER_H
#define MOCO_LOADER_H
MOCO_BEGIN_DECLS
typedef struct moco_loader moco_loader;
typedef struct moco_loader_config {
    uint32_t struct_size;
    int32_t workers;
    int64_t batch_size;
    int32_t prefetch;
    int32_t shuffle;
    int32_t drop_last;
    int32_t views;
    uint64_t seed;
    int32_t rank;
    int32_t world_size;
    int32_t output;
    int32_t cache;
    uint64_t cache_bytes;
    double max_broken_fraction;
} moco_loader_config;
enum {
    MOCO_CACHE_ENCODED = 0,
    MOCO_CACHE_DECODED = 1
};
typedef struct moco_batch {
    uint32_t struct_size;
    int32_t reserved;
    int64_t n;
    int64_t h;
    int64_t w;
    int64_t channels;
    const float *query_images;
    const float *key_images;
    const int64_t *sample_ids;
    const int32_t *labels;
    const uint8_t *query_pixels;
    const uint8_t *key_pixels;
} moco_batch;
typedef struct moco_loader_statistics {
    uint32_t struct_size;
    int32_t reserved;
    int64_t batches;
    int64_t samples;
    int64_t replaced;
    int64_t broken;
    int64_t cache_hits;
    int64_t cache_misses;
    int64_t cached;
    uint64_t cache_bytes;
    int64_t ns_load;
    int64_t ns_augment;
    int64_t ns_wait;
} moco_loader_statistics;
MOCO_API moco_status moco_loader_config_init(moco_loader_config *config, uint32_t struct_size);
MOCO_API moco_status moco_loader_create(moco_loader **out, moco_dataset *dataset, moco_augment *augment,
                                        const moco_loader_config *config);
MOCO_API void moco_loader_destroy(moco_loader *loader);
MOCO_API moco_status moco_loader_start_epoch(moco_loader *loader, int64_t epoch);
MOCO_API moco_status moco_loader_start_at(moco_loader *loader, int64_t epoch, int64_t batch);
MOCO_API moco_status moco_loader_next(moco_loader *loader, moco_batch *batch);
MOCO_API int64_t moco_loader_batches_per_epoch(const moco_loader *loader);
MOCO_API int64_t moco_loader_batch_size(const moco_loader *loader);
MOCO_API moco_status moco_loader_statistics_init(moco_loader_statistics *statistics, uint32_t struct_size);
MOCO_API moco_status moco_loader_read_statistics(moco_loader *loader, moco_loader_statistics *statistics);
MOCO_END_DECLS
#endif
#ifndef MOCO_QUEUE_H
#define MOCO_QUEUE_H
MOCO_BEGIN_DECLS
typedef struct moco_queue moco_queue;
enum {
    MOCO_QUEUE_START_RANDOM = 0,
    MOCO_QUEUE_START_EMPTY = 1
};
enum {
    MOCO_QUEUE_STORAGE_F32 = 0,
    MOCO_QUEUE_STORAGE_BF16 = 1
};
#define MOCO_QUEUE_NO_ID INT64_MIN
typedef struct moco_queue_config {
    uint32_t struct_size;
    int32_t start;
    int64_t capacity;
    int64_t dim;
    uint64_t seed;
    int32_t storage;
    int32_t reserved;
} moco_queue_config;
MOCO_API moco_status moco_queue_config_init(moco_queue_config *config, uint32_t struct_size);
MOCO_API moco_status moco_queue_create(moco_queue **out, moco_context *context, const moco_queue_config *config);
MOCO_API void moco_queue_destroy(moco_queue *queue);
MOCO_API moco_status moco_queue_enqueue(moco_queue *queue, const float *keys, const int64_t *ids, int64_t n);
MOCO_API int64_t moco_queue_capacity(const moco_queue *queue);
MOCO_API int64_t moco_queue_dim(const moco_queue *queue);
MOCO_API int64_t moco_queue_position(const moco_queue *queue);
MOCO_API int64_t moco_queue_filled(const moco_queue *queue);
MOCO_API int64_t moco_queue_negatives(const moco_queue *queue);
MOCO_API int32_t moco_queue_storage(const moco_queue *queue);
MOCO_API moco_status moco_queue_read(const moco_queue *queue, int64_t first, int64_t count, float *keys, int64_t *ids);
MOCO_API moco_status moco_queue_restore(moco_queue *queue, const float *keys, const int64_t *ids, int64_t position,
                                        int64_t filled);
MOCO_API moco_status moco_queue_reset(moco_queue *queue, uint64_t seed);
MOCO_API moco_status moco_queue_checksum(const moco_queue *queue, uint64_t *out);
MOCO_END_DECLS
#endif
#ifndef MOCO_LOSS_H
#define MOCO_LOSS_H
MOCO_BEGIN_DECLS
typedef struct moco_loss moco_loss;
typedef struct moco_loss_config {
    uint32_t struct_size;
    int32_t mask_same_id;
    double temperature;
} moco_loss_config;
typedef struct moco_loss_result {
    uint32_t struct_size;
    int32_t reserved;
    double loss;
    double mean_positive_similarity;
    double mean_negative_similarity;
    double top1;
    double top5;
    double chance_loss;
    int64_t negatives;
    int64_t masked;
} moco_loss_result;
MOCO_API moco_status moco_loss_config_init(moco_loss_config *config, uint32_t struct_size);
MOCO_API moco_status moco_loss_result_init(moco_loss_result *result, uint32_t struct_size);
MOCO_API moco_status moco_loss_create(moco_loss **out, moco_context *context, const moco_loss_config *config);
MOCO_API void moco_loss_destroy(moco_loss *loss);
MOCO_API moco_status moco_loss_compute(moco_loss *loss, const float *q, const float *k, int64_t n,
                                       const moco_queue *queue, const int64_t *sample_ids, moco_loss_result *result,
                                       float *d_q);
MOCO_API moco_status moco_loss_compute_keys(moco_loss *loss, const float *q, const float *k, int64_t n, int64_t dim,
                                            const float *keys, const int64_t *key_ids, int64_t key_count,
                                            const int64_t *sample_ids, moco_loss_result *result, float *d_q, float *d_k,
                                            float *d_keys);
MOCO_API double moco_loss_temperature(const moco_loss *loss);
MOCO_API moco_status moco_loss_set_temperature(moco_loss *loss, double temperature);
MOCO_END_DECLS
#endif
#ifndef MOCO_MOMENTUM_ENCODER_H
#define MOCO_MOMENTUM_ENCODER_H
MOCO_BEGIN_DECLS
typedef struct moco_momentum_encoder moco_momentum_encoder;
enum {
    MOCO_BN_BUFFERS_OWN = 0,
    MOCO_BN_BUFFERS_COPY = 1,
    MOCO_BN_BUFFERS_AVERAGE = 2
};
typedef struct moco_momentum_encoder_config {
    uint32_t struct_size;
    int32_t bn_buffers;
    double momentum;
    int32_t shuffle;
    int32_t reserved;
    uint64_t seed;
} moco_momentum_encoder_config;
MOCO_API moco_status moco_momentum_encoder_config_init(moco_momentum_encoder_config *config, uint32_t struct_size);
MOCO_API moco_status moco_momentum_encoder_config_for(moco_momentum_encoder_config *config, uint32_t struct_size,
                                                      const moco_encoder *query_encoder);
MOCO_API moco_status moco_momentum_encoder_create(moco_momentum_encoder **out, moco_encoder *query_encoder,
                                                  const moco_momentum_encoder_config *config);
MOCO_API void moco_momentum_encoder_destroy(moco_momentum_encoder *momentum_encoder);
MOCO_API moco_status moco_momentum_encoder_update(moco_momentum_encoder *momentum_encoder);
MOCO_API moco_status moco_momentum_encoder_encode(moco_momentum_encoder *momentum_encoder, const float *images,
                                                  int64_t n, int64_t h, int64_t w, float *keys);
MOCO_API double moco_momentum_encoder_momentum(const moco_momentum_encoder *momentum_encoder);
MOCO_API moco_status moco_momentum_encoder_set_momentum(moco_momentum_encoder *momentum_encoder, double momentum);
MOCO_API int64_t moco_momentum_encoder_encode_count(const moco_momentum_encoder *momentum_encoder);
MOCO_API moco_status moco_momentum_encoder_set_encode_count(moco_momentum_encoder *momentum_encoder, int64_t count);
MOCO_API moco_status moco_momentum_encoder_permutation(const moco_momentum_encoder *momentum_encoder, int64_t count,
                                                       int64_t n, int64_t *permutation);
MOCO_API moco_encoder *moco_momentum_encoder_key_encoder(moco_momentum_encoder *momentum_encoder);
MOCO_API moco_encoder *moco_momentum_encoder_encoder(moco_momentum_encoder *momentum_encoder);
MOCO_END_DECLS
#endif
#ifndef MOCO_OPTIMIZER_H
#define MOCO_OPTIMIZER_H
MOCO_BEGIN_DECLS
typedef struct moco_optimizer moco_optimizer;
enum { MOCO_OPTIMIZER_SGD = 0 };
typedef struct moco_optimizer_config {
    uint32_t struct_size;
    int32_t nesterov;
    double learning_rate;
    double momentum;
    double dampening;
    double weight_decay;
    int32_t kind;
    int32_t reserved;
} moco_optimizer_config;
MOCO_API moco_status moco_optimizer_config_init(moco_optimizer_config *config, uint32_t struct_size);
MOCO_API moco_status moco_optimizer_create(moco_optimizer **out, moco_encoder *encoder,
                                           const moco_optimizer_config *config);
MOCO_API void moco_optimizer_destroy(moco_optimizer *optimizer);
MOCO_API moco_status moco_optimizer_step(moco_optimizer *optimizer);
MOCO_API moco_status moco_optimizer_step_with_momentum_update(moco_optimizer *optimizer,
                                                              moco_momentum_encoder *momentum_encoder);
MOCO_API moco_status moco_optimizer_set_learning_rate(moco_optimizer *optimizer, double learning_rate);
MOCO_API double moco_optimizer_learning_rate(const moco_optimizer *optimizer);
MOCO_API int64_t moco_optimizer_step_count(const moco_optimizer *optimizer);
MOCO_API int32_t moco_optimizer_state_count(const moco_optimizer *optimizer);
MOCO_API const char *moco_optimizer_state_name(const moco_optimizer *optimizer, int32_t state);
MOCO_API moco_status moco_optimizer_read_state_of(const moco_optimizer *optimizer, int64_t index, int32_t state,
                                                  float *values);
MOCO_API moco_status moco_optimizer_write_state_of(moco_optimizer *optimizer, int64_t index, int32_t state,
                                                   const float *values);
MOCO_API moco_status moco_optimizer_read_state(const moco_optimizer *optimizer, int64_t index, float *velocity);
MOCO_API moco_status moco_optimizer_write_state(moco_optimizer *optimizer, int64_t index, const float *velocity);
MOCO_API moco_status moco_optimizer_set_step_count(moco_optimizer *optimizer, int64_t step_count);
MOCO_END_DECLS
#endif
#ifndef MOCO_SCHEDULE_H
#define MOCO_SCHEDULE_H
MOCO_BEGIN_DECLS
enum {
    MOCO_SCHEDULE_CONSTANT = 0,
    MOCO_SCHEDULE_STEP = 1,
    MOCO_SCHEDULE_COSINE = 2
};
enum {
    MOCO_SCHEDULE_PER_EPOCH = 0,
    MOCO_SCHEDULE_PER_STEP = 1
};
#define MOCO_SCHEDULE_MAX_MILESTONES 8
typedef struct moco_schedule {
    uint32_t struct_size;
    int32_t kind;
    int32_t unit;
    int32_t milestones;
    double base;
    double epochs;
    double warmup_epochs;
    double gamma;
    double milestone_epochs[MOCO_SCHEDULE_MAX_MILESTONES];
} moco_schedule;
MOCO_API moco_status moco_schedule_init(moco_schedule *schedule, uint32_t struct_size);
MOCO_API moco_status moco_schedule_value(const moco_schedule *schedule, int64_t step, int64_t steps_per_epoch,
                                         double *out);
MOCO_API moco_status moco_momentum_cosine(double base, int64_t step, int64_t total_steps, double *out);
MOCO_API moco_status moco_scaled_learning_rate(double base_lr, int64_t batch_size, int64_t base_batch_size,
                                               double *out);
MOCO_END_DECLS
#endif
#ifndef MOCO_TRAINER_H
#define MOCO_TRAINER_H
MOCO_BEGIN_DECLS
typedef struct moco_trainer moco_trainer;
typedef struct moco_trainer_config {
    uint32_t struct_size;
    int32_t use_learning_rate_schedule;
    const moco_schedule *learning_rate;
    double momentum_end;
    int64_t steps_per_epoch;
} moco_trainer_config;
typedef struct moco_step_stats {
    uint32_t struct_size;
    int32_t warming_up;
    int64_t step;
    int64_t epoch;
    int64_t samples;
    double loss;
    double mean_positive_similarity;
    double mean_negative_similarity;
    double top1;
    double top5;
    double chance_loss;
    int64_t negatives;
    int64_t masked;
    double learning_rate;
    double momentum;
    int64_t queue_filled;
    double seconds;
    double images_per_second;
    int64_t ns_load;
    int64_t ns_query_forward;
    int64_t ns_momentum_update;
    int64_t ns_key_forward;
    int64_t ns_loss;
    int64_t ns_query_backward;
    int64_t ns_optimizer;
    int64_t ns_enqueue;
} moco_step_stats;
typedef int32_t (*moco_step_fn)(const moco_step_stats *stats, void *user);
MOCO_API moco_status moco_trainer_config_init(moco_trainer_config *config, uint32_t struct_size);
MOCO_API moco_status moco_step_stats_init(moco_step_stats *stats, uint32_t struct_size);
MOCO_API moco_status moco_trainer_create(moco_trainer **out, moco_encoder *query_encoder,
                                         moco_momentum_encoder *momentum_encoder, moco_queue *queue, moco_loss *loss,
                                         moco_optimizer *optimizer, const moco_trainer_config *config);
MOCO_API void moco_trainer_destroy(moco_trainer *trainer);
MOCO_API moco_status moco_trainer_step(moco_trainer *trainer, const float *query_images, const float *key_images,
                                       const int64_t *sample_ids, int64_t n, int64_t h, int64_t w,
                                       moco_step_stats *stats);
MOCO_API moco_status moco_trainer_run(moco_trainer *trainer, moco_loader *loader, int64_t epochs, int64_t max_steps,
                                      moco_step_fn on_step, void *user);
MOCO_API void moco_trainer_request_stop(moco_trainer *trainer);
MOCO_API moco_encoder *moco_trainer_encoder(const moco_trainer *trainer);
MOCO_API moco_momentum_encoder *moco_trainer_momentum_encoder(const moco_trainer *trainer);
MOCO_API moco_queue *moco_trainer_queue(const moco_trainer *trainer);
MOCO_API moco_loss *moco_trainer_loss(const moco_trainer *trainer);
MOCO_API moco_optimizer *moco_trainer_optimizer(const moco_trainer *trainer);
MOCO_API moco_loader *moco_trainer_loader(const moco_trainer *trainer);
MOCO_API moco_augment *moco_trainer_augment(const moco_trainer *trainer);
MOCO_API int64_t moco_trainer_step_count(const moco_trainer *trainer);
MOCO_API moco_status moco_trainer_set_step_count(moco_trainer *trainer, int64_t step_count);
MOCO_API moco_status moco_trainer_checksum(moco_trainer *trainer, uint64_t *out);
MOCO_END_DECLS
#endif
#ifndef MOCO_CHECKPOINT_H
#define MOCO_CHECKPOINT_H
MOCO_BEGIN_DECLS
#define MOCO_CHECKPOINT_VERSION 1
MOCO_API moco_status moco_trainer_save(moco_trainer *trainer, const char *path, const char *const *keys,
                                       const char *const *values, int64_t count);
MOCO_API moco_status moco_trainer_restore(moco_trainer *trainer, const char *path);
typedef struct moco_checkpoint moco_checkpoint;
MOCO_API moco_status moco_checkpoint_create(moco_checkpoint **out, moco_context *context);
MOCO_API moco_status moco_checkpoint_save(moco_checkpoint *checkpoint, moco_trainer *trainer, const char *path,
                                          const char *const *keys, const char *const *values, int64_t count);
MOCO_API int32_t moco_checkpoint_busy(moco_checkpoint *checkpoint);
MOCO_API moco_status moco_checkpoint_wait(moco_checkpoint *checkpoint);
MOCO_API void moco_checkpoint_destroy(moco_checkpoint *checkpoint);
MOCO_END_DECLS
#endif
#ifndef MOCO_EVALUATION_H
#define MOCO_EVALUATION_H
MOCO_BEGIN_DECLS
enum {
    MOCO_OUTPUT_FEATURES = 0,
    MOCO_OUTPUT_EMBEDDINGS = 1,
    MOCO_OUTPUT_PIXELS = 2
};
MOCO_API int64_t moco_extract_dim(const moco_encoder *encoder, const moco_augment *augment, int32_t output);
#define MOCO_UNREADABLE (-2)
MOCO_API moco_status moco_extract(moco_encoder *encoder, moco_dataset *dataset, moco_augment *augment, int32_t output,
                                  int64_t first, int64_t count, int64_t batch_size, float *rows, int32_t *labels);
typedef struct moco_knn moco_knn;
typedef struct moco_knn_config {
    uint32_t struct_size;
    int32_t k;
    double temperature;
} moco_knn_config;
MOCO_API moco_status moco_knn_config_init(moco_knn_config *config, uint32_t struct_size);
MOCO_API moco_status moco_knn_create(moco_knn **out, moco_context *context, const float *features,
                                     const int32_t *labels, int64_t count, int64_t dim, int64_t classes,
                                     const moco_knn_config *config);
MOCO_API void moco_knn_destroy(moco_knn *knn);
MOCO_API moco_status moco_knn_classify(const moco_knn *knn, const float *features, int64_t n, int32_t *ranking);
MOCO_API moco_status moco_knn_evaluate(const moco_knn *knn, const float *features, const int32_t *labels, int64_t n,
                                       double *top1, double *top5);
enum {
    MOCO_KNN_STAGE_ENCODE = 0,
    MOCO_KNN_STAGE_COMPARE = 1
};
typedef struct moco_knn_progress {
    uint32_t struct_size;
    int32_t stage;
    int64_t done;
    int64_t total;
} moco_knn_progress;
typedef int32_t (*moco_knn_progress_fn)(const moco_knn_progress *progress, void *user);
typedef struct moco_knn_measure_config {
    uint32_t struct_size;
    int32_t output;
    int32_t k;
    int32_t reserved;
    double temperature;
    int64_t bank;
    int64_t batch_size;
    moco_knn_progress_fn progress;
    void *user;
    uint64_t bank_seed;
} moco_knn_measure_config;
typedef struct moco_knn_accuracy {
    uint32_t struct_size;
    int32_t reserved;
    double top1;
    double top5;
    int64_t tested;
    int64_t broken;
} moco_knn_accuracy;
MOCO_API moco_status moco_knn_measure_config_init(moco_knn_measure_config *config, uint32_t struct_size);
MOCO_API moco_status moco_knn_accuracy_init(moco_knn_accuracy *accuracy, uint32_t struct_size);
MOCO_API moco_status moco_knn_measure(moco_encoder *encoder, moco_dataset *train, moco_dataset *test,
                                      moco_augment *augment, const moco_knn_measure_config *config,
                                      moco_knn_accuracy *accuracy);
MOCO_END_DECLS
#endif
#ifndef MOCO_EXPORT_MODEL_H
#define MOCO_EXPORT_MODEL_H
MOCO_BEGIN_DECLS
enum {
    MOCO_EXPORT_SAFETENSORS = 0,
    MOCO_EXPORT_TIMM = 1,
    MOCO_EXPORT_TORCH = 2,
    MOCO_EXPORT_TORCH_MOCO = 3,
    MOCO_EXPORT_DETECTRON2 = 4,
    MOCO_EXPORT_ONNX = 5
};
typedef struct moco_export_config {
    uint32_t struct_size;
    int32_t kind;
    int32_t with_head;
    int32_t
        fold_batch_norm;
    int32_t with_preprocess;
    int32_t class_count;
    const moco_augment_config *augment;
    const char *const *class_names;
    const char *description;
    int64_t epoch;
    const char *const *keys;
    const char *const *values;
    int64_t entry_count;
} moco_export_config;
MOCO_API moco_status moco_export_config_init(moco_export_config *config, uint32_t struct_size);
MOCO_API moco_status moco_encoder_export(const moco_encoder *encoder, const char *path,
                                         const moco_export_config *config);
MOCO_API moco_status moco_file_class_names(moco_context *context, const char *path, char *names, uint64_t capacity,
                                           uint64_t *length, int64_t *count);
MOCO_END_DECLS
#endif
#ifndef MOCO_NAMES_H
#define MOCO_NAMES_H
MOCO_BEGIN_DECLS
MOCO_API const char *moco_enum_kind(int32_t index);
MOCO_API const char *moco_enum_name(const char *kind, int32_t value);
MOCO_API moco_status moco_enum_value(const char *kind, const char *name, int32_t *value);
MOCO_END_DECLS
#endif
#ifndef MOCO_RECIPE_H
#define MOCO_RECIPE_H
MOCO_BEGIN_DECLS
typedef struct moco_recipe moco_recipe;
MOCO_API moco_status moco_recipe_create(moco_recipe **out, moco_context *context, const char *description);
MOCO_API void moco_recipe_destroy(moco_recipe *recipe);
MOCO_API const char *moco_recipe_name(const moco_recipe *recipe);
MOCO_API moco_status moco_recipe_set(moco_recipe *recipe, const char *key, const char *value);
MOCO_API moco_status moco_recipe_get(const moco_recipe *recipe, const char *key, char *text, uint64_t capacity);
MOCO_API const char *moco_recipe_key(int32_t index);
MOCO_API moco_status moco_recipe_text(const moco_recipe *recipe, char *text, uint64_t capacity);
MOCO_API moco_loader_config *moco_recipe_loader(moco_recipe *recipe);
MOCO_API moco_augment_config *moco_recipe_augment(moco_recipe *recipe);
MOCO_API moco_encoder_config *moco_recipe_encoder(moco_recipe *recipe);
MOCO_API moco_momentum_encoder_config *moco_recipe_momentum_encoder(moco_recipe *recipe);
MOCO_API moco_queue_config *moco_recipe_queue(moco_recipe *recipe);
MOCO_API moco_loss_config *moco_recipe_loss(moco_recipe *recipe);
MOCO_API moco_optimizer_config *moco_recipe_optimizer(moco_recipe *recipe);
MOCO_API moco_schedule *moco_recipe_schedule(moco_recipe *recipe);
MOCO_API moco_trainer_config *moco_recipe_trainer(moco_recipe *recipe);
MOCO_API moco_status moco_augment_create_for(moco_augment **out, const moco_dataset *dataset,
                                             const moco_recipe *recipe);
MOCO_API moco_status moco_trainer_create_for(moco_trainer **out, moco_dataset *dataset, const moco_recipe *recipe);
MOCO_END_DECLS
#endif
#ifndef MOCO_SYS_MODE_H
#define MOCO_SYS_MODE_H
enum {
    MOCO_MODE_TRAIN = 0,
    MOCO_MODE_TRAIN_KEY = 1,
    MOCO_MODE_EVALUATE = 2
};
#endif
#ifndef MOCO_SYS_BACKEND_H
#define MOCO_SYS_BACKEND_H
MOCO_BEGIN_DECLS
#define MOCO_BACKEND_VERSION 2
enum {
    MOCO_DTYPE_F32 = 0,
    MOCO_DTYPE_F64 = 1,
    MOCO_DTYPE_BF16 = 2,
    MOCO_DTYPE_I64 = 3
};
#define MOCO_LAYOUT_PLAIN ((uint64_t) 0)
typedef struct moco_tensor {
    void *buffer;
    uint64_t offset;
    int32_t dtype;
    int32_t rank;
    int64_t dims[4];
    uint64_t layout;
} moco_tensor;
enum {
    MOCO_LAYER_CONV2D = 0,
    MOCO_LAYER_LINEAR = 1,
    MOCO_LAYER_BATCH_NORM = 2,
    MOCO_LAYER_RELU = 3,
    MOCO_LAYER_MAX_POOL = 4,
    MOCO_LAYER_AVERAGE_POOL = 5,
    MOCO_LAYER_L2_NORMALIZE = 6,
    MOCO_LAYER_REORDER = 7,
    MOCO_LAYER_LAYER_NORM = 8,
    MOCO_LAYER_GELU = 9,
    MOCO_LAYER_ADD = 10
};
enum {
    MOCO_INPUT = 0,
    MOCO_RESIDUAL = 1,
    MOCO_LAYER_INPUTS = 3
};
enum { MOCO_WEIGHT = 0, MOCO_BIAS = 1, MOCO_RUNNING_MEAN = 2, MOCO_RUNNING_VAR = 3, MOCO_LAYER_PARAMETERS = 4 };
enum {
    MOCO_EPILOGUE_NONE = 0,
    MOCO_EPILOGUE_RELU = 1
};
typedef struct moco_value_desc {
    int32_t dtype;
    int32_t rank;
    int64_t dims[4];
    uint64_t layout;
} moco_value_desc;
typedef struct moco_conv2d_desc {
    int64_t out_c;
    int32_t kernel;
    int32_t stride;
    int32_t padding;
    int32_t groups;
    int32_t direct;
    int32_t reserved;
} moco_conv2d_desc;
typedef struct moco_linear_desc {
    int64_t out_c;
} moco_linear_desc;
typedef struct moco_norm_desc {
    double eps;
    double momentum;
    int32_t groups;
    int32_t strided;
} moco_norm_desc;
typedef struct moco_pool_desc {
    int32_t kernel;
    int32_t stride;
    int32_t padding;
    int32_t reserved;
} moco_pool_desc;
typedef struct moco_layer_norm_desc {
    double eps;
} moco_layer_norm_desc;
typedef union moco_layer_part {
    moco_conv2d_desc conv2d;
    moco_linear_desc linear;
    moco_norm_desc norm;
    moco_pool_desc pool;
    moco_layer_norm_desc layer_norm;
    uint64_t room[16];
} moco_layer_part;
typedef struct moco_layer_desc {
    uint32_t struct_size;
    int32_t kind;
    int32_t dtype;
    int32_t compute_dtype;
    int32_t training;
    int32_t constant_weights;
    int32_t skip_input_gradient;
    int32_t epilogue;
    int32_t input_count;
    int32_t parameter_count;
    moco_value_desc inputs[MOCO_LAYER_INPUTS];
    moco_value_desc output;
    moco_layer_part of;
} moco_layer_desc;
typedef struct moco_layer_info {
    uint32_t struct_size;
    int32_t output_dtype;
    uint64_t wanted_input_layout;
    uint64_t output_layout;
    uint64_t output_bytes;
    uint64_t saved_bytes;
    uint64_t scratch_bytes;
    int32_t backward_needs_inputs;
    int32_t backward_needs_y;
    int32_t accumulates_inputs;
    int32_t works_in_place;
    uint64_t kept_bytes;
} moco_layer_info;
typedef struct moco_layer_args {
    uint32_t struct_size;
    int32_t mode;
    int32_t accumulate;
    int32_t accumulate_inputs;
    uint64_t weight_version;
    moco_tensor inputs[MOCO_LAYER_INPUTS];
    moco_tensor y;
    moco_tensor parameters[MOCO_LAYER_PARAMETERS];
    moco_tensor dy;
    moco_tensor d_inputs[MOCO_LAYER_INPUTS];
    moco_tensor d_parameters[MOCO_LAYER_PARAMETERS];
    moco_tensor saved;
    moco_tensor scratch;
} moco_layer_args;
typedef struct moco_sgd_args {
    moco_tensor parameter;
    moco_tensor gradient;
    moco_tensor velocity;
    int32_t first_step;
    int32_t nesterov;
    double learning_rate;
    double momentum;
    double dampening;
    double weight_decay;
} moco_sgd_args;
enum { MOCO_UPDATE_SGD = 0  };
enum { MOCO_UPDATE_STATES = 2  };
typedef struct moco_update_args {
    uint32_t struct_size;
    int32_t rule;
    moco_tensor parameter;
    moco_tensor gradient;
    moco_tensor states[MOCO_UPDATE_STATES];
    moco_tensor average;
    double average_momentum;
    int64_t step;
    double learning_rate;
    double weight_decay;
    double momentum;
    double dampening;
    int32_t nesterov;
    int32_t reserved;
} moco_update_args;
typedef struct moco_info_nce_args {
    moco_tensor q;
    moco_tensor k;
    moco_tensor keys;
    moco_tensor d_q;
    const int64_t *sample_ids;
    const int64_t *key_ids;
    double temperature;
    double loss;
    double mean_positive_similarity;
    double mean_negative_similarity;
    int64_t top1;
    int64_t top5;
    int64_t masked;
    moco_tensor d_k;
    moco_tensor d_keys;
} moco_info_nce_args;
enum { MOCO_MEMORY_HOST = 0, MOCO_MEMORY_DEVICE = 1 };
typedef struct moco_layer moco_layer;
typedef struct moco_backend_ops {
    uint32_t struct_size;
    uint32_t abi_version;
    const char *name;
    int32_t memory;
    int32_t reserved;
    moco_status (*create)(void **self, moco_context *context);
    void (*destroy)(void *self);
    moco_status (*buffer_create)(void *self, uint64_t bytes, void **buffer);
    moco_status (*buffer_wrap)(void *self, void *memory, uint64_t bytes, void **buffer);
    void (*buffer_destroy)(void *self, void *buffer);
    moco_status (*upload)(void *self, void *buffer, uint64_t offset, const void *source, uint64_t bytes);
    moco_status (*download)(void *self, const void *buffer, uint64_t offset, void *target, uint64_t bytes);
    moco_status (*copy)(void *self, void *target, uint64_t target_offset, const void *source, uint64_t source_offset,
                        uint64_t bytes);
    moco_status (*fill_zero)(void *self, void *buffer, uint64_t offset, uint64_t bytes);
    moco_status (*gather_rows)(void *self, const moco_tensor *target, const moco_tensor *source, const int64_t *rows,
                               int64_t n);
    moco_status (*all_finite)(void *self, const moco_tensor *tensor, int32_t *finite, int64_t *first);
    moco_status (*add)(void *self, const moco_tensor *target, const moco_tensor *source);
    moco_status (*layer_create)(void *self, const moco_layer_desc *desc, moco_layer **layer, moco_layer_info *info);
    void (*layer_destroy)(void *self, moco_layer *layer);
    moco_status (*layer_forward)(void *self, moco_layer *layer, const moco_layer_args *args);
    moco_status (*layer_backward)(void *self, moco_layer *layer, const moco_layer_args *args);
    moco_status (*momentum_update)(void *self, const moco_tensor *target, const moco_tensor *source, double m);
    moco_status (*sgd_update)(void *self, const moco_sgd_args *args);
    moco_status (*info_nce)(void *self, moco_info_nce_args *args);
    int32_t (*computes)(void *self, int32_t dtype);
    moco_status (*convert)(void *self, const moco_tensor *target, const moco_tensor *source);
    moco_status (*sgd_momentum_update)(void *self, const moco_sgd_args *args, const moco_tensor *average, double m);
    moco_status (*map)(void *self, void *buffer, uint64_t offset, uint64_t bytes, void **address);
    void (*unmap)(void *self, void *buffer, void *address);
    moco_status (*synchronize)(void *self);
    uint64_t buffer_alignment;
    moco_status (*update)(void *self, const moco_update_args *args);
    moco_status (*norms)(void *self, const moco_tensor *tensors, int64_t count, double *norms);
} moco_backend_ops;
MOCO_API moco_status moco_backend_map(moco_context *context, const moco_tensor *tensor, uint64_t bytes, void **address);
MOCO_API void moco_backend_unmap(moco_context *context, const moco_tensor *tensor, void *address);
MOCO_API moco_status moco_backend_synchronize(moco_context *context);
MOCO_END_DECLS
#endif
#ifndef MOCO_SYS_BACKEND_V1_H
#define MOCO_SYS_BACKEND_V1_H
MOCO_BEGIN_DECLS
typedef struct moco_layer_desc_v1 {
    uint32_t struct_size;
    int32_t kind;
    int32_t dtype;
    int32_t training;
    int64_t n;
    int64_t c;
    int64_t h;
    int64_t w;
    int64_t out_c;
    int64_t out_h;
    int64_t out_w;
    int32_t kernel;
    int32_t stride;
    int32_t padding;
    int32_t groups;
    int32_t relu;
    int32_t residual;
    int32_t bn_groups;
    int32_t bn_strided;
    double bn_eps;
    double bn_momentum;
    uint64_t input_layout;
    uint64_t residual_layout;
    int32_t skip_input_gradient;
    int32_t compute_dtype;
    int32_t constant_weights;
    int32_t direct_convolution;
} moco_layer_desc_v1;
typedef struct moco_layer_info_v1 {
    uint64_t wanted_input_layout;
    uint64_t output_layout;
    uint64_t output_bytes;
    uint64_t saved_bytes;
    uint64_t scratch_bytes;
    int32_t backward_needs_x;
    int32_t backward_needs_y;
    int32_t output_dtype;
    int32_t accumulates_dx;
} moco_layer_info_v1;
typedef struct moco_layer_args_v1 {
    int32_t mode;
    int32_t accumulate;
    uint64_t weight_version;
    moco_tensor x;
    moco_tensor residual;
    moco_tensor y;
    moco_tensor weight;
    moco_tensor bias;
    moco_tensor running_mean;
    moco_tensor running_var;
    moco_tensor dy;
    moco_tensor dx;
    moco_tensor d_residual;
    moco_tensor dweight;
    moco_tensor dbias;
    moco_tensor saved;
    moco_tensor scratch;
    int32_t accumulate_dx;
    int32_t reserved;
} moco_layer_args_v1;
typedef struct moco_backend_ops_v1 {
    uint32_t struct_size;
    uint32_t abi_version;
    const char *name;
    int32_t memory;
    int32_t reserved;
    moco_status (*create)(void **self, moco_context *context);
    void (*destroy)(void *self);
    moco_status (*buffer_create)(void *self, uint64_t bytes, void **buffer);
    moco_status (*buffer_wrap)(void *self, void *memory, uint64_t bytes, void **buffer);
    void (*buffer_destroy)(void *self, void *buffer);
    moco_status (*upload)(void *self, void *buffer, uint64_t offset, const void *source, uint64_t bytes);
    moco_status (*download)(void *self, const void *buffer, uint64_t offset, void *target, uint64_t bytes);
    moco_status (*copy)(void *self, void *target, uint64_t target_offset, const void *source, uint64_t source_offset,
                        uint64_t bytes);
    moco_status (*fill_zero)(void *self, void *buffer, uint64_t offset, uint64_t bytes);
    moco_status (*gather_rows)(void *self, const moco_tensor *target, const moco_tensor *source, const int64_t *rows,
                               int64_t n);
    moco_status (*all_finite)(void *self, const moco_tensor *tensor, int32_t *finite, int64_t *first);
    moco_status (*add)(void *self, const moco_tensor *target, const moco_tensor *source);
    moco_status (*layer_create)(void *self, const moco_layer_desc_v1 *desc, moco_layer **layer,
                                moco_layer_info_v1 *info);
    void (*layer_destroy)(void *self, moco_layer *layer);
    moco_status (*layer_forward)(void *self, moco_layer *layer, const moco_layer_args_v1 *args);
    moco_status (*layer_backward)(void *self, moco_layer *layer, const moco_layer_args_v1 *args);
    moco_status (*momentum_update)(void *self, const moco_tensor *target, const moco_tensor *source, double m);
    moco_status (*sgd_update)(void *self, const moco_sgd_args *args);
    moco_status (*info_nce)(void *self, moco_info_nce_args *args);
    int32_t (*computes)(void *self, int32_t dtype);
    moco_status (*convert)(void *self, const moco_tensor *target, const moco_tensor *source);
    moco_status (*sgd_momentum_update)(void *self, const moco_sgd_args *args, const moco_tensor *average, double m);
} moco_backend_ops_v1;
MOCO_END_DECLS
#endif
#ifndef MOCO_SYS_ENCODER_OPS_H
#define MOCO_SYS_ENCODER_OPS_H
MOCO_BEGIN_DECLS
#define MOCO_ENCODER_OPS_VERSION 1
typedef struct moco_parameter_span {
    const char *name;
    float *values;
    float *gradients;
    int32_t kind;
    int32_t rank;
    int64_t dims[4];
} moco_parameter_span;
typedef struct moco_encoder_ops {
    uint32_t struct_size;
    uint32_t abi_version;
    int32_t (*forward)(void *self, int32_t mode, const float *images, int64_t n, int64_t h, int64_t w,
                       float *embeddings);
    int32_t (*backward)(void *self, const float *d_embeddings, int64_t n);
    int64_t (*parameter_count)(void *self);
    int32_t (*parameter)(void *self, int64_t index, moco_parameter_span *out);
    int32_t (*clone)(void *self, void **copy);
    void (*destroy)(void *self);
    int32_t (*features)(void *self, const float *images, int64_t n, int64_t h, int64_t w, float *features);
    int32_t (*forward_pass)(void *self, int32_t pass, const float *images, int64_t n, int64_t h, int64_t w,
                            float *embeddings);
    int32_t (*backward_pass)(void *self, int32_t pass, const float *d_embeddings, int64_t n);
} moco_encoder_ops;
typedef struct moco_encoder_custom_config {
    uint32_t struct_size;
    int32_t channels;
    int32_t embedding_dim;
    int32_t feature_dim;
    int32_t normalize;
    int32_t bn_groups;
} moco_encoder_custom_config;
MOCO_API moco_status moco_encoder_custom_config_init(moco_encoder_custom_config *config, uint32_t struct_size);
MOCO_API moco_status moco_encoder_create_custom(moco_encoder **out, moco_context *context, const moco_encoder_ops *ops,
                                                void *self, const moco_encoder_custom_config *config);
MOCO_END_DECLS
#endif
#ifndef MOCO_SYS_KEY_SOURCE_OPS_H
#define MOCO_SYS_KEY_SOURCE_OPS_H
MOCO_BEGIN_DECLS
#define MOCO_KEY_SOURCE_OPS_VERSION 1
typedef struct moco_key_rows {
    uint32_t struct_size;
    int32_t skip_same_id;
    const float *keys;
    const int64_t *ids;
    int64_t count;
} moco_key_rows;
typedef struct moco_key_source_ops {
    uint32_t struct_size;
    uint32_t abi_version;
    int32_t (*view)(void *self, const int64_t *sample_ids, int64_t n, moco_key_rows *rows);
    int32_t (*update)(void *self, const float *k, const int64_t *sample_ids, int64_t n);
    void (*destroy)(void *self);
} moco_key_source_ops;
typedef struct moco_key_source moco_key_source;
MOCO_API moco_status moco_key_source_create(moco_key_source **out, moco_context *context,
                                            const moco_key_source_ops *ops, void *self, int64_t dim);
MOCO_API void moco_key_source_destroy(moco_key_source *source);
MOCO_API moco_status moco_key_source_update(moco_key_source *source, const float *k, const int64_t *sample_ids,
                                            int64_t n);
MOCO_API moco_status moco_loss_compute_from(moco_loss *loss, const float *q, const float *k, int64_t n,
                                            moco_key_source *source, const int64_t *sample_ids,
                                            moco_loss_result *result, float *d_q);
MOCO_END_DECLS
#endif
#ifndef MOCO_VERSION_H
#define MOCO_VERSION_H
#define MOCO_VERSION_MAJOR  0
#define MOCO_VERSION_MINOR  2
#define MOCO_VERSION_PATCH  0
#define MOCO_VERSION_STRING "0.2.0"
MOCO_BEGIN_DECLS
MOCO_API int32_t moco_version(void);
MOCO_API const char *moco_version_string(void);
MOCO_END_DECLS
#endif
#ifndef MOCO_WEIGHTS_H
#define MOCO_WEIGHTS_H
MOCO_BEGIN_DECLS
typedef struct moco_weights moco_weights;
enum {
    MOCO_WEIGHTS_SAFETENSORS = 0,
    MOCO_WEIGHTS_SHARDS = 1,
    MOCO_WEIGHTS_TORCH_ZIP = 2,
    MOCO_WEIGHTS_TORCH_LEGACY = 3
};
typedef struct moco_weights_tensor {
    uint32_t struct_size;
    int32_t rank;
    const char
        *name;
    const char *dtype;
    int64_t elements;
    int64_t dims[8];
} moco_weights_tensor;
MOCO_API moco_status moco_weights_open(moco_weights **out, moco_context *context, const char *path);
MOCO_API void moco_weights_close(moco_weights *weights);
MOCO_API int32_t moco_weights_kind(const moco_weights *weights);
MOCO_API int64_t moco_weights_count(const moco_weights *weights);
MOCO_API moco_status moco_weights_info(const moco_weights *weights, int64_t index, moco_weights_tensor *info);
MOCO_API moco_status moco_weights_find(const moco_weights *weights, const char *name, int64_t *index);
MOCO_API moco_status moco_weights_read(const moco_weights *weights, int64_t index, float *values);
MOCO_API moco_status moco_weights_read_integers(const moco_weights *weights, int64_t index, int64_t *values);
MOCO_API const char *moco_weights_note(const moco_weights *weights, int64_t index, const char **value);
MOCO_API const char *moco_weights_find_note(const moco_weights *weights, const char *key);
enum {
    MOCO_LOAD_ALL = 0,
    MOCO_LOAD_BACKBONE = 1
};
enum {
    MOCO_MAY_MISS_HEAD = 0,
    MOCO_MAY_MISS_NOTHING = 1,
    MOCO_MAY_MISS_ANYTHING = 2
};
enum { MOCO_ITEM_LOADED = 0, MOCO_ITEM_MISSING = 1, MOCO_ITEM_UNEXPECTED = 2 };
typedef void (*moco_load_item_fn)(int32_t what, const char *in_file, const char *parameter, void *user);
typedef struct moco_load_options {
    uint32_t struct_size;
    int32_t parts;
    int32_t may_miss;
    int32_t reserved;
    const char *prefix;
    moco_load_item_fn on_item;
    void *user;
} moco_load_options;
typedef struct moco_load_report {
    uint32_t struct_size;
    int32_t kind;
    int64_t loaded;
    int64_t missing;
    int64_t
        unexpected;
    int64_t
        batches_tracked;
    char prefix[256];
} moco_load_report;
MOCO_API moco_status moco_load_options_init(moco_load_options *options, uint32_t struct_size);
MOCO_API moco_status moco_encoder_load(moco_encoder *encoder, const char *path, const moco_load_options *options,
                                       moco_load_report *report);
MOCO_API moco_status moco_encoder_open_as(moco_encoder **out, moco_context *context, const char *path,
                                          const moco_encoder_config *config, const moco_load_options *options,
                                          moco_load_report *report);
MOCO_END_DECLS
#endif
