/* Weights that other programs saved, and libmoco's own: safetensors files, their indices of several files, and what
 * torch.save writes, in today's form (a zip) or the one before. Which to take:
 *
 *   moco_encoder_open      a file of moco_encoder_save: makes the encoder that it describes          <moco/encoder.h>
 *   moco_encoder_open_as   any other file: makes an encoder by your configuration and loads the file
 *   moco_encoder_load      any file, into an encoder that you have
 *   moco_trainer_import    a training checkpoint of the official MoCo, to go on with its training
 *   moco_trainer_restore   a training checkpoint of moco_trainer_save                             <moco/checkpoint.h>
 *   moco_weights_open      the tensors themselves
 *
 *   moco_encoder_load(encoder, "moco_v2_800ep_pretrain.pth.tar", NULL, &report);
 *
 * torch.save's files are pickles, which Python executes. Here nothing of a file is executed: tensors, numbers and texts are
 * read, and what is anything else is refused by its name.
 */
#ifndef MOCO_WEIGHTS_H
#define MOCO_WEIGHTS_H

#include <moco/encoder.h>
#include <moco/trainer.h>

MOCO_BEGIN_DECLS

/* --- A file's tensors -------------------------------------------------------------------------------------------- */

typedef struct moco_weights moco_weights;

/* What a file is; its content says so, not its name. */
enum {
    MOCO_WEIGHTS_SAFETENSORS = 0,
    MOCO_WEIGHTS_SHARDS = 1, /* an index file, such as model.safetensors.index.json, whose safetensors lie beside it */
    MOCO_WEIGHTS_TORCH_ZIP = 2,   /* torch.save since PyTorch 1.6 */
    MOCO_WEIGHTS_TORCH_LEGACY = 3 /* torch.save before */
};

typedef struct moco_weights_tensor {
    uint32_t struct_size; /* set by the caller */
    int32_t rank;         /* 0..8 */
    /* Of nested dicts and lists, all keys with dots between them: "state_dict.module.encoder_q.fc.bias"; lives as long as
     * the file is open. */
    const char *name;
    const char *dtype; /* as safetensors calls it: "F32", "BF16", "I64" ...; static */
    int64_t elements;
    int64_t dims[8];
} moco_weights_tensor;

/* Opens a file and checks all of its structure; tensors are read when they are asked for, by pread, each straight to where
 * it goes. Errors: NOT_FOUND, IO, FORMAT (what is wrong), UNSUPPORTED (something that only Python could read, by its
 * name; big-endian data; compression; a dtype that safetensors has and libmoco has not; ONNX; safetensors in a build
 * without Jansson), OUT_OF_MEMORY. */
MOCO_API moco_status moco_weights_open(moco_weights **out, moco_context *context, const char *path);
MOCO_API void moco_weights_close(moco_weights *weights); /* NULL is a no-op */

MOCO_API int32_t moco_weights_kind(const moco_weights *weights); /* MOCO_WEIGHTS_* */
/* How many tensors there are; 0 for NULL. */
MOCO_API int64_t moco_weights_count(const moco_weights *weights);
/* In the file's order; INVALID_ARGUMENT for an index outside 0 .. count - 1. */
MOCO_API moco_status moco_weights_info(const moco_weights *weights, int64_t index, moco_weights_tensor *info);
/* NOT_FOUND for a name that is none. */
MOCO_API moco_status moco_weights_find(const moco_weights *weights, const char *name, int64_t *index);

/* All values of a tensor in row-major order, whatever its dtype and its strides in the file, as float32[elements]: F64, I32,
 * I64, U32 and U64 are rounded. Float8 is UNSUPPORTED. */
MOCO_API moco_status moco_weights_read(const moco_weights *weights, int64_t index, float *values);
/* The same as int64[elements]; UNSUPPORTED for a floating dtype, FORMAT for a U64 that does not fit. */
MOCO_API moco_status moco_weights_read_integers(const moco_weights *weights, int64_t index, int64_t *values);

/* What the file says beside tensors: safetensors' metadata, and a pickle's numbers and texts ("epoch", "arch",
 * "optimizer.param_groups.0.lr") as text. Number `index` of them; NULL, and *value untouched, outside. */
MOCO_API const char *moco_weights_note(const moco_weights *weights, int64_t index, const char **value);
/* The value of one; NULL without. */
MOCO_API const char *moco_weights_find_note(const moco_weights *weights, const char *key);

/* --- Into an encoder --------------------------------------------------------------------------------------------- */

enum {
    MOCO_LOAD_ALL = 0,
    MOCO_LOAD_BACKBONE = 1 /* without the head (fc.*), which stays as it is; a caller's own network has none */
};

/* Which of the encoder's parameters a file may lack; they keep their values. */
enum {
    MOCO_MAY_MISS_HEAD = 0,    /* the head's alone: of a supervised network, or one of another method */
    MOCO_MAY_MISS_NOTHING = 1, /* nor BatchNorm's num_batches_tracked */
    MOCO_MAY_MISS_ANYTHING = 2 /* all but one */
};

enum { MOCO_ITEM_LOADED = 0, MOCO_ITEM_MISSING = 1, MOCO_ITEM_UNEXPECTED = 2 };

/* Told of each tensor before anything is written: `what` is MOCO_ITEM_*. `in_file` is NULL for a missing one, `parameter`
 * for an unexpected one. */
typedef void (*moco_load_item_fn)(int32_t what, const char *in_file, const char *parameter, void *user);

typedef struct moco_load_options {
    uint32_t struct_size;
    int32_t parts;    /* MOCO_LOAD_*; default ALL */
    int32_t may_miss; /* MOCO_MAY_MISS_*; default HEAD */
    int32_t reserved;
    /* What stands before the parameters' names in the file, its last dot included; "" is nothing. NULL (default): what
     * fits most parameters, such as "state_dict.module.encoder_q." or "model."; of several that fit alike, the query or
     * student network before the momentum, teacher or averaged one. MOCO_MAY_MISS_ANYTHING excepted, less than half of
     * the backbone is no fit. */
    const char *prefix;
    moco_load_item_fn on_item; /* default NULL */
    void *user;
} moco_load_options;

typedef struct moco_load_report {
    uint32_t struct_size; /* set by the caller */
    int32_t kind;         /* of the file, MOCO_WEIGHTS_* */
    int64_t loaded;       /* parameters and buffers that the file has */
    int64_t missing;      /* that it lacks: they kept their values */
    /* Tensors of the file below the prefix that are no parameter; num_batches_tracked not counted. */
    int64_t unexpected;
    /* The encoder's from now on: the file's largest; -1: it has none, and the encoder keeps its. */
    int64_t batches_tracked;
    char prefix[256]; /* that was taken; cut where it is longer */
} moco_load_report;

MOCO_API moco_status moco_load_options_init(moco_load_options *options, uint32_t struct_size);

/* Reads the weights of any file that moco_weights_open opens into an encoder, built-in or a caller's own, by name: official
 * MoCo v1 and v2, v3's ResNets, torchvision, timm, moco_encoder_save's own, and whatever else has torchvision's names below
 * some prefix. The head may also be called head.*, projector.*, projection_head.* or projection_head.layers.*. Values are
 * converted to float32. `options` NULL means the defaults; `report` may be NULL.
 *
 * All is checked before anything is written, and on failure the encoder is as before: NOT_FOUND (nothing fits, or a
 * parameter is missing that must not be, named), FORMAT (a shape differs, both named; a value is not finite), with the number
 * of tensors that fit, and those of moco_weights_open. Memory during the call: a copy of the parameters. */
MOCO_API moco_status moco_encoder_load(moco_encoder *encoder, const char *path, const moco_load_options *options,
                                       moco_load_report *report);

/* moco_encoder_open for any file: makes an encoder by `config` and loads the file into it; by the file's own metadata where
 * `config` is NULL. What may be missing then keeps its starting value, from the configuration's seed. */
MOCO_API moco_status moco_encoder_open_as(moco_encoder **out, moco_context *context, const char *path,
                                          const moco_encoder_config *config, const moco_load_options *options,
                                          moco_load_report *report);

/* --- Into a trainer ---------------------------------------------------------------------------------------------- */

typedef struct moco_import_report {
    uint32_t struct_size; /* set by the caller */
    int32_t key_encoder;  /* 1: the file's; 0: a copy of the query encoder */
    int32_t queue;        /* 1: the file's keys and position; 0: the trainer's own, new */
    int32_t optimizer;    /* 1: the file's velocities; 0: none yet */
    int64_t loaded;       /* of the query encoder, as in moco_load_report */
    int64_t missing;
    int64_t unexpected;
    int64_t epoch;        /* how many the file says were done; -1: it does not say */
    int64_t step_count;   /* the trainer's from now on */
    double learning_rate; /* of the file's optimizer, and of the trainer's until its schedule sets it; -1: not said */
    double momentum;      /* of the file's optimizer; the trainer's keeps its own; -1: not said */
    double weight_decay;  /* likewise */
} moco_import_report;

/* Goes on with the training that an official MoCo checkpoint (main_moco.py's) left: query and key encoder with their
 * BatchNorm statistics and counters, queue (dim x K in the file) and queue_ptr, SGD's momentum buffers by the order of the
 * parameters, and epoch, from which steps are counted by the trainer's own loader or steps_per_epoch. What the file lacks
 * is new, as in the released models, which have a query encoder alone: the key encoder becomes its copy, the queue and
 * the optimizer stay as they are, and training begins at step 0; the report and the log say so. v3's files have no queue.
 *
 * The trainer must be new (no step taken, else INVALID_STATE) and of the same network, with a queue of the same shape;
 * settings such as temperature, momentum and weight decay are its own. `options` are of the encoders. Errors are those of
 * moco_encoder_load, and INVALID_ARGUMENT for a checkpoint of moco_trainer_save, which moco_trainer_restore takes. All is
 * checked before anything is written. Memory during the call: a copy of the trainer's state, and one of what is read. */
MOCO_API moco_status moco_trainer_import(moco_trainer *trainer, const char *path, const moco_load_options *options,
                                         moco_import_report *report);

MOCO_END_DECLS

#endif
