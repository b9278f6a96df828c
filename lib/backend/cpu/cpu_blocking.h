/* How large the pieces are that loops of the cpu backend cut their work into: every budget of caches and of tasks, with
 * why. (Register tiles, MR and NR, are fields of the kernels' tables.)
 *
 * They are made for caches as usual servers and desktops have them: a first-level data cache of 32 KiB, a second-level one
 * of 1 MiB (512 KiB and 2 MiB are common, too), both of one core, and some MiB of a third-level one for each core. They
 * are constants, not read from the processor, because pieces decide in which order sums are rounded: the same shape
 * gives the same bits on every machine and for every number of threads.
 */
#ifndef MOCO_CPU_BLOCKING_H
#define MOCO_CPU_BLOCKING_H

#define CPU_KIB ((int64_t) 1 << 10)
#define CPU_MIB ((int64_t) 1 << 20)

/* --- Elementwise loops and norms --- */

/* Values of a range that is worth handing to a thread: some microseconds of work, against about one for the handing. */
#define CPU_RANGE_VALUES 16384

/* Activations of this size have left the third-level cache before anybody reads them again: results bypass it. */
#define CPU_STREAMED_BYTES (12 * CPU_MIB)

/* Blocked BatchNorm reads x twice, for statistics and to normalize: for so much of it at a time, it is still in the
 * third-level cache at the second reading. */
#define CPU_NORM_BYTES (8 * CPU_MIB)

/* Rows or columns of a linear layer's product that are one task and one call of BLAS. */
#define CPU_LINEAR_BLOCK 128

/* --- Winograd's convolutions, winograd_tiles_outer.c --- */

/* MC tiles: V and M of a block fit in the second-level cache, beside what of U is read just then. MC is at least
 * CPU_WINOGRAD_LEAST_TILES even if that overflows, or reading all of U for each block costs more than it saves. */
#define CPU_WINOGRAD_BLOCK_BYTES (640 * CPU_KIB)
#define CPU_WINOGRAD_LEAST_TILES 48

/* KC words of the weight gradient: likewise V and A dY A' of a block, against reading and writing all of dU. */
#define CPU_WINOGRAD_GRADIENT_BYTES (768 * CPU_KIB)
#define CPU_WINOGRAD_LEAST_WORDS    64

/* The weight gradient is summed in parts, so that there are tasks for threads: so many at most, and so few that
 * adding them up costs little. */
#define CPU_WINOGRAD_PARTS_BYTES (4 * CPU_MIB)
#define CPU_WINOGRAD_MOST_PARTS  16

/* --- winograd_weights_outer.c --- */

/* MC tiles: M of a block. With U of 64 by 64 channels, that is 600 KiB in float32, about the second-level cache. */
#define CPU_WINOGRAD_PRODUCT_BYTES (320 * CPU_KIB)

/* KC words of the weight gradient at most: bounds V and A dY A' of all channels. */
#define CPU_WINOGRAD_MOST_WORDS 96

/* --- 1 x 1 weight gradients, pointwise_gradient.c --- */

/* Packed pixels of all input channels: half of the second-level cache, for the other half has the gradient. A chunk
 * has CPU_POINTWISE_LEAST_WORDS at least, or loading and storing sums outweighs adding to them, and MOST_WORDS at
 * most, after which nothing is gained. */
#define CPU_POINTWISE_CHUNK_BYTES (512 * CPU_KIB)
#define CPU_POINTWISE_LEAST_WORDS 32
#define CPU_POINTWISE_MOST_WORDS  256

/* As CPU_WINOGRAD_PARTS_BYTES and MOST_PARTS; here the gradient itself is small, and a part costs a pass over it. */
#define CPU_POINTWISE_PARTS_BYTES (2 * CPU_MIB)
#define CPU_POINTWISE_MOST_PARTS  8

/* --- Direct convolutions, direct_plan.c and direct_convolution.c --- */

/* Of the source, for all results of a unit: a quarter of the second-level cache; and of the weights, for the results
 * that are made side by side. */
#define CPU_DIRECT_COPY_BYTES   (256 * CPU_KIB)
#define CPU_DIRECT_WEIGHT_BYTES (256 * CPU_KIB)

/* Pixels of a unit, about: so many that its weights, which come from farther away, are fetched rarely; for the weight
 * gradient so few that three blocks of x and one of dy fit in the first-level cache. */
#define CPU_DIRECT_PIXELS          196
#define CPU_DIRECT_GRADIENT_PIXELS 98

/* Samples share a unit only if that leaves so many units, and results of few units are shared out to so many tasks. */
#define CPU_DIRECT_UNITS 4
#define CPU_DIRECT_TASKS 16

/* As CPU_WINOGRAD_PARTS_BYTES and MOST_PARTS. */
#define CPU_DIRECT_PARTS_BYTES (4 * CPU_MIB)
#define CPU_DIRECT_MOST_PARTS  16

/* --- Convolutions on PLAIN layout by tiles, conv_plan.c and tiled_convolution.c --- */

/* Floats of a unit's copy, and of a matrix that is gathered from it for BLAS: a quarter of a MiB, for half of the
 * smallest second-level caches. */
#define CPU_TILES_COPY_FLOATS (64 * 1024)
#define CPU_TILES_GEMM_FLOATS (64 * 1024)

/* Grid positions of a unit at most, and of a unit of the weight gradient about: enough to make up for adding together a
 * vector's lanes at the end. */
#define CPU_TILES_MOST_POSITIONS     4096
#define CPU_TILES_GRADIENT_POSITIONS 2048

/* Channels whose copy the weight gradient reads at a time, from the first-level cache. */
#define CPU_TILES_GRADIENT_CHANNELS 24

/* Tasks that a pass should have, so that many threads find work. */
#define CPU_TILES_TASKS 16

/* Floats of all partial weight gradients, if that leaves one of them. */
#define CPU_TILES_PARTIAL_FLOATS ((int64_t) 4 << 20)

/* Output channels of a task of the weight gradient: its copy of x must pay off, the sooner the fewer taps there are. */
#define CPU_TILES_POINTWISE_SLICE 128
#define CPU_TILES_WINDOW_SLICE    64
#define CPU_TILES_SMALLEST_SLICE  32

/* Positions of one product of BLAS in the weight gradient. */
#define CPU_TILES_GEMM_COLUMNS 1024

#endif
