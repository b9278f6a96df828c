// The same library from C++: the headers declare C linkage themselves.
#include <moco.h>

#include <cstdio>
#include <memory>
#include <vector>

struct QueueDeleter {
    void operator()(moco_queue *queue) const {
        moco_queue_destroy(queue);
    }
};

int main() {
    moco_context *context = nullptr;
    if (moco_context_create(&context, nullptr) != MOCO_OK) return 1;
    moco_queue_config config = MOCO_QUEUE_CONFIG_INITIALIZER;
    config.capacity = 8;
    config.dim = 4;
    moco_queue *handle = nullptr;
    const moco_status status = moco_queue_create(&handle, context, &config);
    moco_context_destroy(context); // the queue keeps it alive
    if (status != MOCO_OK) {
        std::fprintf(stderr, "%s\n", moco_last_error());
        return 1;
    }
    const std::unique_ptr<moco_queue, QueueDeleter> queue(handle);
    const std::vector<float> keys(3 * 4, 0.5f);
    if (moco_queue_enqueue(queue.get(), keys.data(), nullptr, 3) != MOCO_OK) return 1;
    std::printf("libmoco %s from C++: %lld keys in the queue\n", moco_version_string(),
                static_cast<long long>(moco_queue_filled(queue.get())));
    return moco_queue_filled(queue.get()) == 3 ? 0 : 1;
}
