/* torch.save's zip (torch/serialization.py, _save): archive/data.pkl, archive/data/<key>, and two notes on the format. */
#include <stdio.h>
#include <string.h>

#include "checkpoint/export_job.h"
#include "io/pickle_writer.h"
#include "io/safetensors.h"
#include "io/zip_writer.h"

#define FOLDER    "archive/"
#define KEY_SIZE  32
#define NAME_SIZE 256

/* --- Names --- */

/* Appends `text` to name[used], as far as it fits. */
static size_t add_text(char name[NAME_SIZE], size_t used, const char *text, size_t length) {
    if (length > NAME_SIZE - 1 - used) length = NAME_SIZE - 1 - used;
    memcpy(name + used, text, length);
    name[used + length] = '\0';
    return used + length;
}

/* As MoCo's convert-pretrain-to-detectron2.py has them: "stem." before what is in no layer, layerN -> res(N + 1),
 * bnN -> convN.norm, downsample.0 -> shortcut, downsample.1 -> shortcut.norm. */
static void detectron2_name(const char *torchvision, char name[NAME_SIZE]) {
    size_t used = strncmp(torchvision, "layer", 5) == 0 ? 0 : add_text(name, 0, "stem.", 5);
    for (const char *at = torchvision; *at != '\0';) {
        const size_t length = strcspn(at, ".");
        char part[32];
        const char *shown = part;
        if (length == 6 && strncmp(at, "layer", 5) == 0) {
            snprintf(part, sizeof part, "res%d", at[5] - '0' + 1);
        } else if (length == 3 && strncmp(at, "bn", 2) == 0) {
            snprintf(part, sizeof part, "conv%c.norm", at[2]);
        } else if (strncmp(at, "downsample.", 11) == 0) {
            shown = at[11] == '0' ? "shortcut" : "shortcut.norm";
        } else {
            shown = NULL;
        }
        used = shown != NULL ? add_text(name, used, shown, strlen(shown)) : add_text(name, used, at, length);
        at += strncmp(at, "downsample.", 11) == 0 ? 12 : length;
        if (*at == '.') used = add_text(name, used, at++, 1);
    }
}

/* --- The pickle --- */

static void append_tensors(moco_byte_buffer *pickle, const moco_export_job *job, const moco_model_tensors *tensors) {
    moco_pickle_dict_begin(pickle, MOCO_DICT_ORDERED);
    for (int64_t i = 0; i < tensors->count; ++i) {
        const moco_model_tensor *tensor = &tensors->items[i];
        char key[KEY_SIZE];
        char name[NAME_SIZE];
        snprintf(key, sizeof key, "%lld", (long long) i);
        if (job->config.kind == MOCO_EXPORT_DETECTRON2) {
            detectron2_name(tensor->name, name);
            moco_pickle_text(pickle, name);
        } else {
            moco_pickle_text_after(pickle, job->config.kind == MOCO_EXPORT_TORCH_MOCO ? "module.encoder_q." : "",
                                   tensor->name);
        }
        moco_pickle_tensor(pickle, tensor->parameter < 0 ? MOCO_STORAGE_LONG : MOCO_STORAGE_FLOAT, key, tensor->rank,
                           tensor->dims);
    }
    moco_pickle_dict_end(pickle);
}

/* The settings that go with the weights. */
static void append_detectron2_note(moco_byte_buffer *pickle, const moco_augment_config *view) {
    char note[512];
    snprintf(note, sizeof note,
             "INPUT.FORMAT: RGB, MODEL.PIXEL_MEAN: [%.6g, %.6g, %.6g], MODEL.PIXEL_STD: [%.6g, %.6g, %.6g], "
             "MODEL.RESNETS.STRIDE_IN_1X1: False",
             255 * view->mean[0], 255 * view->mean[1], 255 * view->mean[2], 255 * view->std[0], 255 * view->std[1],
             255 * view->std[2]);
    moco_pickle_text(pickle, "note");
    moco_pickle_text(pickle, note);
}

static moco_status make_pickle(moco_byte_buffer *pickle, const moco_export_job *job,
                               const moco_model_tensors *tensors) {
    moco_pickle_begin(pickle);
    if (job->config.kind == MOCO_EXPORT_TORCH) {
        append_tensors(pickle, job, tensors);
    } else if (job->config.kind == MOCO_EXPORT_TORCH_MOCO) {
        moco_pickle_dict_begin(pickle, MOCO_DICT_PLAIN);
        moco_pickle_text(pickle, "epoch");
        moco_pickle_integer(pickle, job->config.epoch);
        moco_pickle_text(pickle, "arch");
        moco_pickle_text(pickle, job->network == NULL ? "custom" : job->network->architecture);
        moco_pickle_text(pickle, "state_dict");
        append_tensors(pickle, job, tensors);
        moco_pickle_dict_end(pickle);
    } else {
        moco_pickle_dict_begin(pickle, MOCO_DICT_PLAIN);
        moco_pickle_text(pickle, "model");
        append_tensors(pickle, job, tensors);
        moco_pickle_text(pickle, "__author__");
        moco_pickle_text(pickle, "libmoco");
        moco_pickle_text(pickle, "matching_heuristics");
        moco_pickle_true(pickle);
        append_detectron2_note(pickle, &job->view);
        moco_pickle_dict_end(pickle);
    }
    moco_pickle_end(pickle);
    return pickle->status;
}

/* --- The archive --- */

static moco_status add_data(moco_zip_writer *zip, const moco_model_tensors *tensors, void *values) {
    for (int64_t i = 0; i < tensors->count; ++i) {
        const moco_model_tensor *tensor = &tensors->items[i];
        char name[sizeof FOLDER "data/" + KEY_SIZE];
        snprintf(name, sizeof name, FOLDER "data/%lld", (long long) i);
        MOCO_TRY(moco_model_tensors_read(tensors, i, values));
        moco_safetensors_swap(values, tensor->elements, tensor->parameter < 0 ? sizeof(int64_t) : sizeof(float));
        MOCO_TRY(moco_zip_writer_add(zip, name, values, tensor->bytes));
    }
    return MOCO_OK;
}

static moco_status add_entries(moco_zip_writer *zip, const moco_byte_buffer *pickle,
                               const moco_model_tensors *tensors) {
    MOCO_TRY(moco_zip_writer_add(zip, FOLDER "data.pkl", pickle->bytes, pickle->size));
    MOCO_TRY(moco_zip_writer_add(zip, FOLDER "byteorder", "little", 6));
    void *values = moco_allocate(tensors->context, tensors->largest);
    if (values == NULL) return MOCO_OUT_OF_MEMORY;
    const moco_status status = add_data(zip, tensors, values);
    moco_deallocate(tensors->context, values);
    MOCO_TRY(status);
    return moco_zip_writer_add(zip, FOLDER "version", "3\n", 2);
}

static moco_status write_archive(const moco_export_job *job, const moco_model_tensors *tensors) {
    moco_byte_buffer pickle;
    moco_zip_writer *zip = NULL;
    moco_status status;
    moco_byte_buffer_init(&pickle, job->context);
    MOCO_TRY_GOTO(status, done, make_pickle(&pickle, job, tensors));
    MOCO_TRY_GOTO(status, done, moco_zip_writer_open(&zip, job->context, job->path));
    MOCO_TRY_GOTO(status, done, add_entries(zip, &pickle, tensors));
    status = moco_zip_writer_commit(zip);
    zip = NULL;
done:
    moco_zip_writer_discard(zip);
    moco_byte_buffer_release(&pickle);
    return status;
}

static moco_status check_detectron2(const moco_export_job *job) {
    moco_resnet_shape shape;
    if (moco_resnet_shape_of(job->encoder, &shape) && shape.stages == 4 && shape.stem_kernel == 7) return MOCO_OK;
    return moco_fail(MOCO_UNSUPPORTED,
                     "detectron2 knows ResNets of four stages with the ImageNet stem; this encoder is %s%s. "
                     "MOCO_EXPORT_TORCH writes it under torchvision's names",
                     job->network == NULL ? "the caller's own network" : job->network->architecture,
                     shape.stages == 4 ? " with the CIFAR stem" : "");
}

moco_status moco_export_torch(const moco_export_job *job) {
    moco_model_tensors tensors;
    int32_t part = job->part;
    if (job->config.kind == MOCO_EXPORT_TORCH_MOCO) part = MOCO_TENSORS_ALL;
    if (job->config.kind == MOCO_EXPORT_DETECTRON2) {
        MOCO_TRY(check_detectron2(job));
        part = MOCO_TENSORS_BACKBONE;
    }
    MOCO_TRY(moco_model_tensors_list(&tensors, job->encoder, part));
    const moco_status status = write_archive(job, &tensors);
    moco_model_tensors_release(&tensors);
    return status;
}
