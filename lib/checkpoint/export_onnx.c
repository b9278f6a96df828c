#include "checkpoint/export_job.h"

moco_status moco_export_onnx(const moco_export_job *job) {
    if (job->network == NULL) return moco_fail(MOCO_UNSUPPORTED, "the caller's own network is not known as a graph");
    return moco_fail(MOCO_UNSUPPORTED, "not yet");
}
