/* The ABI on 64-bit machines: where each field of each public struct lies. A binding (ctypes) and a program that was
 * compiled with older headers rely on it. Rows are only ever added: a field that moves breaks them all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <moco.h>
#include <moco/sys/backend.h>
#include <moco/sys/backend_v1.h>
#include <moco/sys/encoder_ops.h>
#include <moco/sys/key_source_ops.h>

typedef struct layout_row {
    const char *type;
    const char *field; /* NULL: the size of the whole struct */
    size_t actual;
    size_t size; /* of the field or struct */
    size_t expected;
} layout_row;

#define SIZE(type, bytes) \
    { #type, NULL, sizeof(type), sizeof(type), bytes }
#define FIELD(type, field, offset) \
    { #type, #field, offsetof(type, field), sizeof(((type *) 0)->field), offset }

/* clang-format off */
static const layout_row rows[] = {
    SIZE(moco_augment_config, 264),
    FIELD(moco_augment_config, struct_size, 0),
    FIELD(moco_augment_config, recipe, 4),
    FIELD(moco_augment_config, height, 8),
    FIELD(moco_augment_config, width, 12),
    FIELD(moco_augment_config, crop_min, 16),
    FIELD(moco_augment_config, crop_max, 24),
    FIELD(moco_augment_config, ratio_min, 32),
    FIELD(moco_augment_config, ratio_max, 40),
    FIELD(moco_augment_config, flip_p, 48),
    FIELD(moco_augment_config, jitter_p, 56),
    FIELD(moco_augment_config, brightness, 64),
    FIELD(moco_augment_config, contrast, 72),
    FIELD(moco_augment_config, saturation, 80),
    FIELD(moco_augment_config, hue, 88),
    FIELD(moco_augment_config, grey_p, 96),
    FIELD(moco_augment_config, blur_p, 104),
    FIELD(moco_augment_config, blur_sigma_min, 112),
    FIELD(moco_augment_config, blur_sigma_max, 120),
    FIELD(moco_augment_config, mean, 128),
    FIELD(moco_augment_config, std, 152),
    FIELD(moco_augment_config, eval_resize, 176),
    FIELD(moco_augment_config, seed, 184),
    FIELD(moco_augment_config, solarize_p, 192),
    FIELD(moco_augment_config, solarize_threshold, 200),
    FIELD(moco_augment_config, key_blur_p, 208),
    FIELD(moco_augment_config, key_solarize_p, 216),
    FIELD(moco_augment_config, interpolation, 224),
    FIELD(moco_augment_config, order, 228),
    FIELD(moco_augment_config, reduced_decoding, 256),
    FIELD(moco_augment_config, reserved, 260),
    SIZE(moco_context_config, 72),
    FIELD(moco_context_config, struct_size, 0),
    FIELD(moco_context_config, threads, 4),
    FIELD(moco_context_config, backend, 8),
    FIELD(moco_context_config, allocate, 16),
    FIELD(moco_context_config, deallocate, 24),
    FIELD(moco_context_config, allocator_user, 32),
    FIELD(moco_context_config, log, 40),
    FIELD(moco_context_config, log_user, 48),
    FIELD(moco_context_config, log_level, 56),
    FIELD(moco_context_config, reserved, 60),
    FIELD(moco_context_config, backends, 64),
    SIZE(moco_encoder_config, 88),
    FIELD(moco_encoder_config, struct_size, 0),
    FIELD(moco_encoder_config, stem, 4),
    FIELD(moco_encoder_config, architecture, 8),
    FIELD(moco_encoder_config, head, 16),
    FIELD(moco_encoder_config, embedding_dim, 20),
    FIELD(moco_encoder_config, head_hidden_dim, 24),
    FIELD(moco_encoder_config, channels, 28),
    FIELD(moco_encoder_config, normalize, 32),
    FIELD(moco_encoder_config, bn_groups, 36),
    FIELD(moco_encoder_config, bn_layout, 40),
    FIELD(moco_encoder_config, zero_init_residual, 44),
    FIELD(moco_encoder_config, mlp_input_dim, 48),
    FIELD(moco_encoder_config, mlp_hidden_dim, 52),
    FIELD(moco_encoder_config, mlp_layers, 56),
    FIELD(moco_encoder_config, compute_dtype, 60),
    FIELD(moco_encoder_config, bn_momentum, 64),
    FIELD(moco_encoder_config, bn_eps, 72),
    FIELD(moco_encoder_config, seed, 80),
    SIZE(moco_parameter_info, 64),
    FIELD(moco_parameter_info, struct_size, 0),
    FIELD(moco_parameter_info, kind, 4),
    FIELD(moco_parameter_info, name, 8),
    FIELD(moco_parameter_info, elements, 16),
    FIELD(moco_parameter_info, rank, 24),
    FIELD(moco_parameter_info, flags, 28),
    FIELD(moco_parameter_info, dims, 32),
    SIZE(moco_image_dataset_config, 48),
    FIELD(moco_image_dataset_config, struct_size, 0),
    FIELD(moco_image_dataset_config, reserved, 4),
    FIELD(moco_image_dataset_config, max_side, 8),
    FIELD(moco_image_dataset_config, max_pixels, 16),
    FIELD(moco_image_dataset_config, max_memory, 24),
    FIELD(moco_image_dataset_config, max_seconds, 32),
    FIELD(moco_image_dataset_config, index_file, 40),
    SIZE(moco_knn_config, 16),
    FIELD(moco_knn_config, struct_size, 0),
    FIELD(moco_knn_config, k, 4),
    FIELD(moco_knn_config, temperature, 8),
    SIZE(moco_loader_config, 72),
    FIELD(moco_loader_config, struct_size, 0),
    FIELD(moco_loader_config, workers, 4),
    FIELD(moco_loader_config, batch_size, 8),
    FIELD(moco_loader_config, prefetch, 16),
    FIELD(moco_loader_config, shuffle, 20),
    FIELD(moco_loader_config, drop_last, 24),
    FIELD(moco_loader_config, views, 28),
    FIELD(moco_loader_config, seed, 32),
    FIELD(moco_loader_config, rank, 40),
    FIELD(moco_loader_config, world_size, 44),
    FIELD(moco_loader_config, output, 48),
    FIELD(moco_loader_config, cache, 52),
    FIELD(moco_loader_config, cache_bytes, 56),
    FIELD(moco_loader_config, max_broken_fraction, 64),
    SIZE(moco_loader_statistics, 96),
    FIELD(moco_loader_statistics, struct_size, 0),
    FIELD(moco_loader_statistics, reserved, 4),
    FIELD(moco_loader_statistics, batches, 8),
    FIELD(moco_loader_statistics, samples, 16),
    FIELD(moco_loader_statistics, replaced, 24),
    FIELD(moco_loader_statistics, broken, 32),
    FIELD(moco_loader_statistics, cache_hits, 40),
    FIELD(moco_loader_statistics, cache_misses, 48),
    FIELD(moco_loader_statistics, cached, 56),
    FIELD(moco_loader_statistics, cache_bytes, 64),
    FIELD(moco_loader_statistics, ns_load, 72),
    FIELD(moco_loader_statistics, ns_augment, 80),
    FIELD(moco_loader_statistics, ns_wait, 88),
    SIZE(moco_batch, 88),
    FIELD(moco_batch, struct_size, 0),
    FIELD(moco_batch, reserved, 4),
    FIELD(moco_batch, n, 8),
    FIELD(moco_batch, h, 16),
    FIELD(moco_batch, w, 24),
    FIELD(moco_batch, channels, 32),
    FIELD(moco_batch, query_images, 40),
    FIELD(moco_batch, key_images, 48),
    FIELD(moco_batch, sample_ids, 56),
    FIELD(moco_batch, labels, 64),
    FIELD(moco_batch, query_pixels, 72),
    FIELD(moco_batch, key_pixels, 80),
    SIZE(moco_knn_measure_config, 40),
    FIELD(moco_knn_measure_config, struct_size, 0),
    FIELD(moco_knn_measure_config, output, 4),
    FIELD(moco_knn_measure_config, k, 8),
    FIELD(moco_knn_measure_config, reserved, 12),
    FIELD(moco_knn_measure_config, temperature, 16),
    FIELD(moco_knn_measure_config, bank, 24),
    FIELD(moco_knn_measure_config, batch_size, 32),
    SIZE(moco_knn_accuracy, 40),
    FIELD(moco_knn_accuracy, struct_size, 0),
    FIELD(moco_knn_accuracy, reserved, 4),
    FIELD(moco_knn_accuracy, top1, 8),
    FIELD(moco_knn_accuracy, top5, 16),
    FIELD(moco_knn_accuracy, tested, 24),
    FIELD(moco_knn_accuracy, broken, 32),
    SIZE(moco_loss_config, 16),
    FIELD(moco_loss_config, struct_size, 0),
    FIELD(moco_loss_config, mask_same_id, 4),
    FIELD(moco_loss_config, temperature, 8),
    SIZE(moco_loss_result, 72),
    FIELD(moco_loss_result, struct_size, 0),
    FIELD(moco_loss_result, reserved, 4),
    FIELD(moco_loss_result, loss, 8),
    FIELD(moco_loss_result, mean_positive_similarity, 16),
    FIELD(moco_loss_result, mean_negative_similarity, 24),
    FIELD(moco_loss_result, top1, 32),
    FIELD(moco_loss_result, top5, 40),
    FIELD(moco_loss_result, chance_loss, 48),
    FIELD(moco_loss_result, negatives, 56),
    FIELD(moco_loss_result, masked, 64),
    SIZE(moco_momentum_encoder_config, 32),
    FIELD(moco_momentum_encoder_config, struct_size, 0),
    FIELD(moco_momentum_encoder_config, bn_buffers, 4),
    FIELD(moco_momentum_encoder_config, momentum, 8),
    FIELD(moco_momentum_encoder_config, shuffle, 16),
    FIELD(moco_momentum_encoder_config, reserved, 20),
    FIELD(moco_momentum_encoder_config, seed, 24),
    SIZE(moco_optimizer_config, 40),
    FIELD(moco_optimizer_config, struct_size, 0),
    FIELD(moco_optimizer_config, nesterov, 4),
    FIELD(moco_optimizer_config, learning_rate, 8),
    FIELD(moco_optimizer_config, momentum, 16),
    FIELD(moco_optimizer_config, dampening, 24),
    FIELD(moco_optimizer_config, weight_decay, 32),
    SIZE(moco_queue_config, 40),
    FIELD(moco_queue_config, struct_size, 0),
    FIELD(moco_queue_config, start, 4),
    FIELD(moco_queue_config, capacity, 8),
    FIELD(moco_queue_config, dim, 16),
    FIELD(moco_queue_config, seed, 24),
    FIELD(moco_queue_config, storage, 32),
    FIELD(moco_queue_config, reserved, 36),
    SIZE(moco_schedule, 112),
    FIELD(moco_schedule, struct_size, 0),
    FIELD(moco_schedule, kind, 4),
    FIELD(moco_schedule, unit, 8),
    FIELD(moco_schedule, milestones, 12),
    FIELD(moco_schedule, base, 16),
    FIELD(moco_schedule, epochs, 24),
    FIELD(moco_schedule, warmup_epochs, 32),
    FIELD(moco_schedule, gamma, 40),
    FIELD(moco_schedule, milestone_epochs, 48),
    SIZE(moco_trainer_config, 32),
    FIELD(moco_trainer_config, struct_size, 0),
    FIELD(moco_trainer_config, use_learning_rate_schedule, 4),
    FIELD(moco_trainer_config, learning_rate, 8),
    FIELD(moco_trainer_config, momentum_end, 16),
    FIELD(moco_trainer_config, steps_per_epoch, 24),
    SIZE(moco_step_stats, 200),
    FIELD(moco_step_stats, struct_size, 0),
    FIELD(moco_step_stats, warming_up, 4),
    FIELD(moco_step_stats, step, 8),
    FIELD(moco_step_stats, epoch, 16),
    FIELD(moco_step_stats, samples, 24),
    FIELD(moco_step_stats, loss, 32),
    FIELD(moco_step_stats, mean_positive_similarity, 40),
    FIELD(moco_step_stats, mean_negative_similarity, 48),
    FIELD(moco_step_stats, top1, 56),
    FIELD(moco_step_stats, top5, 64),
    FIELD(moco_step_stats, chance_loss, 72),
    FIELD(moco_step_stats, negatives, 80),
    FIELD(moco_step_stats, masked, 88),
    FIELD(moco_step_stats, learning_rate, 96),
    FIELD(moco_step_stats, momentum, 104),
    FIELD(moco_step_stats, queue_filled, 112),
    FIELD(moco_step_stats, seconds, 120),
    FIELD(moco_step_stats, images_per_second, 128),
    FIELD(moco_step_stats, ns_load, 136),
    FIELD(moco_step_stats, ns_query_forward, 144),
    FIELD(moco_step_stats, ns_momentum_update, 152),
    FIELD(moco_step_stats, ns_key_forward, 160),
    FIELD(moco_step_stats, ns_loss, 168),
    FIELD(moco_step_stats, ns_query_backward, 176),
    FIELD(moco_step_stats, ns_optimizer, 184),
    FIELD(moco_step_stats, ns_enqueue, 192),
    SIZE(moco_tensor, 64),
    FIELD(moco_tensor, buffer, 0),
    FIELD(moco_tensor, offset, 8),
    FIELD(moco_tensor, dtype, 16),
    FIELD(moco_tensor, rank, 20),
    FIELD(moco_tensor, dims, 24),
    FIELD(moco_tensor, layout, 56),
    SIZE(moco_layer_desc_v1, 152),
    FIELD(moco_layer_desc_v1, struct_size, 0),
    FIELD(moco_layer_desc_v1, kind, 4),
    FIELD(moco_layer_desc_v1, dtype, 8),
    FIELD(moco_layer_desc_v1, training, 12),
    FIELD(moco_layer_desc_v1, n, 16),
    FIELD(moco_layer_desc_v1, c, 24),
    FIELD(moco_layer_desc_v1, h, 32),
    FIELD(moco_layer_desc_v1, w, 40),
    FIELD(moco_layer_desc_v1, out_c, 48),
    FIELD(moco_layer_desc_v1, out_h, 56),
    FIELD(moco_layer_desc_v1, out_w, 64),
    FIELD(moco_layer_desc_v1, kernel, 72),
    FIELD(moco_layer_desc_v1, stride, 76),
    FIELD(moco_layer_desc_v1, padding, 80),
    FIELD(moco_layer_desc_v1, groups, 84),
    FIELD(moco_layer_desc_v1, relu, 88),
    FIELD(moco_layer_desc_v1, residual, 92),
    FIELD(moco_layer_desc_v1, bn_groups, 96),
    FIELD(moco_layer_desc_v1, bn_strided, 100),
    FIELD(moco_layer_desc_v1, bn_eps, 104),
    FIELD(moco_layer_desc_v1, bn_momentum, 112),
    FIELD(moco_layer_desc_v1, input_layout, 120),
    FIELD(moco_layer_desc_v1, residual_layout, 128),
    FIELD(moco_layer_desc_v1, skip_input_gradient, 136),
    FIELD(moco_layer_desc_v1, compute_dtype, 140),
    FIELD(moco_layer_desc_v1, constant_weights, 144),
    FIELD(moco_layer_desc_v1, direct_convolution, 148),
    SIZE(moco_layer_info_v1, 56),
    FIELD(moco_layer_info_v1, wanted_input_layout, 0),
    FIELD(moco_layer_info_v1, output_layout, 8),
    FIELD(moco_layer_info_v1, output_bytes, 16),
    FIELD(moco_layer_info_v1, saved_bytes, 24),
    FIELD(moco_layer_info_v1, scratch_bytes, 32),
    FIELD(moco_layer_info_v1, backward_needs_x, 40),
    FIELD(moco_layer_info_v1, backward_needs_y, 44),
    FIELD(moco_layer_info_v1, output_dtype, 48),
    FIELD(moco_layer_info_v1, accumulates_dx, 52),
    SIZE(moco_layer_args_v1, 920),
    FIELD(moco_layer_args_v1, mode, 0),
    FIELD(moco_layer_args_v1, accumulate, 4),
    FIELD(moco_layer_args_v1, weight_version, 8),
    FIELD(moco_layer_args_v1, x, 16),
    FIELD(moco_layer_args_v1, residual, 80),
    FIELD(moco_layer_args_v1, y, 144),
    FIELD(moco_layer_args_v1, weight, 208),
    FIELD(moco_layer_args_v1, bias, 272),
    FIELD(moco_layer_args_v1, running_mean, 336),
    FIELD(moco_layer_args_v1, running_var, 400),
    FIELD(moco_layer_args_v1, dy, 464),
    FIELD(moco_layer_args_v1, dx, 528),
    FIELD(moco_layer_args_v1, d_residual, 592),
    FIELD(moco_layer_args_v1, dweight, 656),
    FIELD(moco_layer_args_v1, dbias, 720),
    FIELD(moco_layer_args_v1, saved, 784),
    FIELD(moco_layer_args_v1, scratch, 848),
    FIELD(moco_layer_args_v1, accumulate_dx, 912),
    FIELD(moco_layer_args_v1, reserved, 916),
    SIZE(moco_backend_ops_v1, 200),
    FIELD(moco_backend_ops_v1, struct_size, 0),
    FIELD(moco_backend_ops_v1, abi_version, 4),
    FIELD(moco_backend_ops_v1, name, 8),
    FIELD(moco_backend_ops_v1, memory, 16),
    FIELD(moco_backend_ops_v1, reserved, 20),
    FIELD(moco_backend_ops_v1, create, 24),
    FIELD(moco_backend_ops_v1, destroy, 32),
    FIELD(moco_backend_ops_v1, buffer_create, 40),
    FIELD(moco_backend_ops_v1, buffer_wrap, 48),
    FIELD(moco_backend_ops_v1, buffer_destroy, 56),
    FIELD(moco_backend_ops_v1, upload, 64),
    FIELD(moco_backend_ops_v1, download, 72),
    FIELD(moco_backend_ops_v1, copy, 80),
    FIELD(moco_backend_ops_v1, fill_zero, 88),
    FIELD(moco_backend_ops_v1, gather_rows, 96),
    FIELD(moco_backend_ops_v1, all_finite, 104),
    FIELD(moco_backend_ops_v1, add, 112),
    FIELD(moco_backend_ops_v1, layer_create, 120),
    FIELD(moco_backend_ops_v1, layer_destroy, 128),
    FIELD(moco_backend_ops_v1, layer_forward, 136),
    FIELD(moco_backend_ops_v1, layer_backward, 144),
    FIELD(moco_backend_ops_v1, momentum_update, 152),
    FIELD(moco_backend_ops_v1, sgd_update, 160),
    FIELD(moco_backend_ops_v1, info_nce, 168),
    FIELD(moco_backend_ops_v1, computes, 176),
    FIELD(moco_backend_ops_v1, convert, 184),
    FIELD(moco_backend_ops_v1, sgd_momentum_update, 192),
    SIZE(moco_value_desc, 48),
    FIELD(moco_value_desc, dtype, 0),
    FIELD(moco_value_desc, rank, 4),
    FIELD(moco_value_desc, dims, 8),
    FIELD(moco_value_desc, layout, 40),
    SIZE(moco_conv2d_desc, 32),
    FIELD(moco_conv2d_desc, out_c, 0),
    FIELD(moco_conv2d_desc, kernel, 8),
    FIELD(moco_conv2d_desc, stride, 12),
    FIELD(moco_conv2d_desc, padding, 16),
    FIELD(moco_conv2d_desc, groups, 20),
    FIELD(moco_conv2d_desc, direct, 24),
    FIELD(moco_conv2d_desc, reserved, 28),
    SIZE(moco_linear_desc, 8),
    FIELD(moco_linear_desc, out_c, 0),
    SIZE(moco_norm_desc, 24),
    FIELD(moco_norm_desc, eps, 0),
    FIELD(moco_norm_desc, momentum, 8),
    FIELD(moco_norm_desc, groups, 16),
    FIELD(moco_norm_desc, strided, 20),
    SIZE(moco_pool_desc, 16),
    FIELD(moco_pool_desc, kernel, 0),
    FIELD(moco_pool_desc, stride, 4),
    FIELD(moco_pool_desc, padding, 8),
    FIELD(moco_pool_desc, reserved, 12),
    SIZE(moco_layer_norm_desc, 8),
    FIELD(moco_layer_norm_desc, eps, 0),
    SIZE(moco_layer_desc, 360),
    FIELD(moco_layer_desc, struct_size, 0),
    FIELD(moco_layer_desc, kind, 4),
    FIELD(moco_layer_desc, dtype, 8),
    FIELD(moco_layer_desc, compute_dtype, 12),
    FIELD(moco_layer_desc, training, 16),
    FIELD(moco_layer_desc, constant_weights, 20),
    FIELD(moco_layer_desc, skip_input_gradient, 24),
    FIELD(moco_layer_desc, epilogue, 28),
    FIELD(moco_layer_desc, input_count, 32),
    FIELD(moco_layer_desc, parameter_count, 36),
    FIELD(moco_layer_desc, inputs, 40),
    FIELD(moco_layer_desc, output, 184),
    FIELD(moco_layer_desc, of, 232),
    SIZE(moco_layer_info, 64),
    FIELD(moco_layer_info, struct_size, 0),
    FIELD(moco_layer_info, output_dtype, 4),
    FIELD(moco_layer_info, wanted_input_layout, 8),
    FIELD(moco_layer_info, output_layout, 16),
    FIELD(moco_layer_info, output_bytes, 24),
    FIELD(moco_layer_info, saved_bytes, 32),
    FIELD(moco_layer_info, scratch_bytes, 40),
    FIELD(moco_layer_info, backward_needs_inputs, 48),
    FIELD(moco_layer_info, backward_needs_y, 52),
    FIELD(moco_layer_info, accumulates_inputs, 56),
    FIELD(moco_layer_info, works_in_place, 60),
    SIZE(moco_layer_args, 1176),
    FIELD(moco_layer_args, struct_size, 0),
    FIELD(moco_layer_args, mode, 4),
    FIELD(moco_layer_args, accumulate, 8),
    FIELD(moco_layer_args, accumulate_inputs, 12),
    FIELD(moco_layer_args, weight_version, 16),
    FIELD(moco_layer_args, inputs, 24),
    FIELD(moco_layer_args, y, 216),
    FIELD(moco_layer_args, parameters, 280),
    FIELD(moco_layer_args, dy, 536),
    FIELD(moco_layer_args, d_inputs, 600),
    FIELD(moco_layer_args, d_parameters, 792),
    FIELD(moco_layer_args, saved, 1048),
    FIELD(moco_layer_args, scratch, 1112),
    SIZE(moco_sgd_args, 232),
    FIELD(moco_sgd_args, parameter, 0),
    FIELD(moco_sgd_args, gradient, 64),
    FIELD(moco_sgd_args, velocity, 128),
    FIELD(moco_sgd_args, first_step, 192),
    FIELD(moco_sgd_args, nesterov, 196),
    FIELD(moco_sgd_args, learning_rate, 200),
    FIELD(moco_sgd_args, momentum, 208),
    FIELD(moco_sgd_args, dampening, 216),
    FIELD(moco_sgd_args, weight_decay, 224),
    SIZE(moco_info_nce_args, 456),
    FIELD(moco_info_nce_args, q, 0),
    FIELD(moco_info_nce_args, k, 64),
    FIELD(moco_info_nce_args, keys, 128),
    FIELD(moco_info_nce_args, d_q, 192),
    FIELD(moco_info_nce_args, sample_ids, 256),
    FIELD(moco_info_nce_args, key_ids, 264),
    FIELD(moco_info_nce_args, temperature, 272),
    FIELD(moco_info_nce_args, loss, 280),
    FIELD(moco_info_nce_args, mean_positive_similarity, 288),
    FIELD(moco_info_nce_args, mean_negative_similarity, 296),
    FIELD(moco_info_nce_args, top1, 304),
    FIELD(moco_info_nce_args, top5, 312),
    FIELD(moco_info_nce_args, masked, 320),
    FIELD(moco_info_nce_args, d_k, 328),
    FIELD(moco_info_nce_args, d_keys, 392),
    SIZE(moco_backend_ops, 232),
    FIELD(moco_backend_ops, struct_size, 0),
    FIELD(moco_backend_ops, abi_version, 4),
    FIELD(moco_backend_ops, name, 8),
    FIELD(moco_backend_ops, memory, 16),
    FIELD(moco_backend_ops, reserved, 20),
    FIELD(moco_backend_ops, create, 24),
    FIELD(moco_backend_ops, destroy, 32),
    FIELD(moco_backend_ops, buffer_create, 40),
    FIELD(moco_backend_ops, buffer_wrap, 48),
    FIELD(moco_backend_ops, buffer_destroy, 56),
    FIELD(moco_backend_ops, upload, 64),
    FIELD(moco_backend_ops, download, 72),
    FIELD(moco_backend_ops, copy, 80),
    FIELD(moco_backend_ops, fill_zero, 88),
    FIELD(moco_backend_ops, gather_rows, 96),
    FIELD(moco_backend_ops, all_finite, 104),
    FIELD(moco_backend_ops, add, 112),
    FIELD(moco_backend_ops, layer_create, 120),
    FIELD(moco_backend_ops, layer_destroy, 128),
    FIELD(moco_backend_ops, layer_forward, 136),
    FIELD(moco_backend_ops, layer_backward, 144),
    FIELD(moco_backend_ops, momentum_update, 152),
    FIELD(moco_backend_ops, sgd_update, 160),
    FIELD(moco_backend_ops, info_nce, 168),
    FIELD(moco_backend_ops, computes, 176),
    FIELD(moco_backend_ops, convert, 184),
    FIELD(moco_backend_ops, sgd_momentum_update, 192),
    FIELD(moco_backend_ops, map, 200),
    FIELD(moco_backend_ops, unmap, 208),
    FIELD(moco_backend_ops, synchronize, 216),
    FIELD(moco_backend_ops, buffer_alignment, 224),
    SIZE(moco_parameter_span, 64),
    FIELD(moco_parameter_span, name, 0),
    FIELD(moco_parameter_span, values, 8),
    FIELD(moco_parameter_span, gradients, 16),
    FIELD(moco_parameter_span, kind, 24),
    FIELD(moco_parameter_span, rank, 28),
    FIELD(moco_parameter_span, dims, 32),
    SIZE(moco_key_source_ops, 32),
    FIELD(moco_key_source_ops, struct_size, 0),
    FIELD(moco_key_source_ops, abi_version, 4),
    FIELD(moco_key_source_ops, view, 8),
    FIELD(moco_key_source_ops, update, 16),
    FIELD(moco_key_source_ops, destroy, 24),
    SIZE(moco_key_rows, 32),
    FIELD(moco_key_rows, struct_size, 0),
    FIELD(moco_key_rows, skip_same_id, 4),
    FIELD(moco_key_rows, keys, 8),
    FIELD(moco_key_rows, ids, 16),
    FIELD(moco_key_rows, count, 24),
    SIZE(moco_encoder_ops, 80),
    FIELD(moco_encoder_ops, struct_size, 0),
    FIELD(moco_encoder_ops, abi_version, 4),
    FIELD(moco_encoder_ops, forward, 8),
    FIELD(moco_encoder_ops, backward, 16),
    FIELD(moco_encoder_ops, parameter_count, 24),
    FIELD(moco_encoder_ops, parameter, 32),
    FIELD(moco_encoder_ops, clone, 40),
    FIELD(moco_encoder_ops, destroy, 48),
    FIELD(moco_encoder_ops, features, 56),
    FIELD(moco_encoder_ops, forward_pass, 64),
    FIELD(moco_encoder_ops, backward_pass, 72),
    SIZE(moco_encoder_custom_config, 24),
    FIELD(moco_encoder_custom_config, struct_size, 0),
    FIELD(moco_encoder_custom_config, channels, 4),
    FIELD(moco_encoder_custom_config, embedding_dim, 8),
    FIELD(moco_encoder_custom_config, feature_dim, 12),
    FIELD(moco_encoder_custom_config, normalize, 16),
    FIELD(moco_encoder_custom_config, bn_groups, 20),
};
/* clang-format on */
#define ROWS (sizeof rows / sizeof rows[0])

static void skip_unless_64_bit(void) {
    if (sizeof(void *) != 8) skip();
}

static void test_offsets_and_sizes(void **state) {
    (void) state;
    skip_unless_64_bit();
    int wrong = 0;
    for (size_t i = 0; i < ROWS; ++i) {
        if (rows[i].actual == rows[i].expected) continue;
        wrong++;
        print_error("%s%s%s is at or of %zu bytes, the ABI says %zu\n", rows[i].type, rows[i].field == NULL ? "" : ".",
                    rows[i].field == NULL ? "" : rows[i].field, rows[i].actual, rows[i].expected);
    }
    assert_int_equal(wrong, 0);
}

/* Padding would be bytes that config checks (moco_X_config with an unknown non-zero tail) and bindings see as noise. */
static void test_no_padding(void **state) {
    (void) state;
    skip_unless_64_bit();
    int holes = 0;
    for (size_t i = 0; i < ROWS; ++i) {
        if (rows[i].field != NULL) continue;
        size_t end = 0; /* the struct's fields follow its SIZE row, in order */
        size_t j = i + 1;
        for (; j < ROWS && rows[j].field != NULL; ++j) {
            if (rows[j].actual != end) {
                holes++;
                print_error("%s has a hole before %s\n", rows[i].type, rows[j].field);
            }
            end = rows[j].actual + rows[j].size;
        }
        if (end != rows[i].size) {
            holes++;
            print_error("%s ends in padding, or a field is missing in this table\n", rows[i].type);
        }
    }
    assert_int_equal(holes, 0);
}

/* Structs that a host fills or reads start with their size, so that they can grow. */
static void test_struct_size_is_first(void **state) {
    (void) state;
    int checked = 0;
    for (size_t i = 0; i < ROWS; ++i) {
        if (rows[i].field == NULL || strcmp(rows[i].field, "struct_size") != 0) continue;
        checked++;
        assert_int_equal(rows[i].actual, 0);
        assert_int_equal(rows[i].size, 4);
    }
    assert_true(checked >= 19);
}

static void test_status_is_32_bits(void **state) {
    (void) state;
    assert_int_equal(sizeof(moco_status), 4);
    assert_int_equal(MOCO_OK, 0);
    assert_int_equal(MOCO_INVALID_ARGUMENT, 10);
    assert_int_equal(MOCO_INVALID_STATE, 11);
    assert_int_equal(MOCO_UNSUPPORTED, 12);
    assert_int_equal(MOCO_OUT_OF_MEMORY, 20);
    assert_int_equal(MOCO_IO, 30);
    assert_int_equal(MOCO_FORMAT, 31);
    assert_int_equal(MOCO_NOT_FOUND, 32);
    assert_int_equal(MOCO_BACKEND, 40);
    assert_int_equal(MOCO_COMMUNICATOR, 41);
    assert_int_equal(MOCO_CALLBACK, 50);
    assert_int_equal(MOCO_CANCELLED, 51);
    assert_int_equal(MOCO_INTERNAL, 90);
}

static void test_version_agrees(void **state) {
    (void) state;
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", MOCO_VERSION_MAJOR, MOCO_VERSION_MINOR, MOCO_VERSION_PATCH);
    assert_string_equal(MOCO_VERSION_STRING, expected);
    assert_string_equal(moco_version_string(), MOCO_VERSION_STRING);
    assert_int_equal(moco_version(), MOCO_VERSION_MAJOR * 10000 + MOCO_VERSION_MINOR * 100 + MOCO_VERSION_PATCH);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_and_sizes),    cmocka_unit_test(test_no_padding),
        cmocka_unit_test(test_struct_size_is_first), cmocka_unit_test(test_status_is_32_bits),
        cmocka_unit_test(test_version_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
