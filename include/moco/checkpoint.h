/* Checkpoints: the whole state of a trainer in one file, from which training goes on bit for bit as if it had never
 * stopped.
 *
 *   moco_trainer_save(trainer, "run.checkpoint", NULL, NULL, 0);      between two steps, or in on_step
 *   moco_trainer_restore(trainer, "run.checkpoint");                  a trainer made by the same settings
 *   moco_trainer_run(trainer, NULL, 0, 0, on_step, user);             goes on with the next batch, mid-epoch too
 *
 * In the file are both encoders with their BatchNorm statistics and counters, the queue as it is stored, with ids and
 * position, what the optimizer keeps of each parameter, the step and encode counts, momentum, temperature and learning
 * rate, the place in the epoch of the trainer's own loader, and all settings. It is a safetensors file, which Python's
 * safetensors reads as well: the query encoder's tensors are "query_encoder.<name>", the key encoder's "key_encoder.<name>",
 * the keys "queue.keys". It is written beside its target and renamed over it, so that at any moment there is the old
 * checkpoint or the new one, whole and on the disk. A checksum tells a file that was damaged later; moco_trainer_restore alone
 * computes it, not what takes single tensors or an encoder from the file (moco_weights_open, moco_encoder_load).
 *
 * A checkpoint of the official MoCo is read by moco_trainer_import, and an encoder's weights alone by moco_encoder_load
 * <moco/weights.h>, of a checkpoint of ours the query encoder's.
 *
 * The bits are the same where the computation gives the same: same machine, backend, compute dtype and, with oneDNN, number
 * of threads. How many workers load images does not matter.
 */
#ifndef MOCO_CHECKPOINT_H
#define MOCO_CHECKPOINT_H

#include <moco/trainer.h>

MOCO_BEGIN_DECLS

/* The version of the file's layout that this library writes. It reads this one and all before it. */
#define MOCO_CHECKPOINT_VERSION 1

/* Writes the trainer's whole state to `path`, with `count` entries of the caller's own, keys[count] and values[count]
 * (NULL, NULL, 0: none), which moco_file_metadata reads: what a program must know to go on, such as how long its log was.
 * A key is one line of UTF-8 without '=', not "format" and not beginning with "moco.". Memory during the call: little where
 * the backend computes in the processor's memory, as all of libmoco's do; else a copy of the state. On failure the file that
 * was there is still there. Errors: INVALID_ARGUMENT, IO, OUT_OF_MEMORY. A loader that the caller hands to moco_trainer_run
 * has no entry in the file: its place follows from the step count, and its settings are the caller's affair. */
MOCO_API moco_status moco_trainer_save(moco_trainer *trainer, const char *path, const char *const *keys,
                                       const char *const *values, int64_t count);

/* Brings the trainer into the state that `path` holds. It must be made as the saved one was: the same networks, shapes and
 * settings, for which the recipe is enough; seeds of starting weights, threads, workers and the compute dtype may differ
 * (another compute dtype, backend or, with oneDNN, number of threads is warned of in the log, for the bits will differ). All
 * is checked before anything is written, and on failure the trainer is as before. Momentum and temperature are state: the
 * trainer's become the saved ones. Errors: INVALID_ARGUMENT, naming the settings that differ, with "and more" where
 * they are more than a sentence of 640 bytes holds; FORMAT: no
 * checkpoint, or a damaged one; NOT_FOUND, IO, OUT_OF_MEMORY; UNSUPPORTED: a file of a newer version, or built without
 * Jansson (MOCO_WITH_JANSSON); INVALID_STATE from a callback of its run. Memory during the call: twice the state. */
MOCO_API moco_status moco_trainer_restore(moco_trainer *trainer, const char *path);

/* --- In the background --- */

/* Saves without holding up the training: the state is copied in memory, and a thread writes it. */
typedef struct moco_checkpoint moco_checkpoint;

MOCO_API moco_status moco_checkpoint_create(moco_checkpoint **out, moco_context *context);

/* As moco_trainer_save, but returns once the state is copied; the copy stays for the next save, so that a checkpoint keeps
 * as much memory as the largest state it has saved. A save before it that is still being written is waited for. If that
 * one failed, its failure is returned, nothing is saved, and the next call starts anew. Where no thread can be started it
 * writes before it returns. */
MOCO_API moco_status moco_checkpoint_save(moco_checkpoint *checkpoint, moco_trainer *trainer, const char *path,
                                          const char *const *keys, const char *const *values, int64_t count);

/* 1 while a file is being written, 0 when moco_checkpoint_wait would not wait; 0 for NULL. */
MOCO_API int32_t moco_checkpoint_busy(moco_checkpoint *checkpoint);

/* Waits until the last save is on the disk, and returns how it went, unless a call has told that already. */
MOCO_API moco_status moco_checkpoint_wait(moco_checkpoint *checkpoint);

/* Waits for a save that is being written, too; its failure then goes to the log alone. NULL is a no-op. */
MOCO_API void moco_checkpoint_destroy(moco_checkpoint *checkpoint);

MOCO_END_DECLS

#endif
