#include "data/image_decoders.h"

moco_status moco_png_decode(moco_image_job *job) {
    (void) job;
    return moco_fail(MOCO_UNSUPPORTED, "this libmoco was built without its decoder; build it with MOCO_WITH_PNG=ON");
}
