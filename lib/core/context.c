#define _DEFAULT_SOURCE /* madvise */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/config.h"
#include "core/context_internal.h"
#include "core/threads.h"

#define ALIGNMENT   64
#define LARGE_PAGE  ((size_t) 2 << 20)
#define LARGE       ((size_t) 16 << 20) /* from here on the rounding up is little */
#define MAX_THREADS 1024

static const moco_context_config default_config = {
    .struct_size = sizeof(moco_context_config),
    .log_level = MOCO_LOG_WARNING,
};

moco_status moco_context_config_init(moco_context_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, sizeof default_config,
                            "moco_context_config");
}

/* --- Memory --- */

/* Activations and weights in large pages spare the processor most misses of its address cache: several per cent of a
 * training step. Where the system has none to give, the advice has no effect. */
static void *default_allocate(uint64_t size, uint64_t alignment, void *user) {
    (void) user;
#ifdef MADV_HUGEPAGE
    if (size >= LARGE && size <= SIZE_MAX - LARGE_PAGE) {
        const size_t rounded = ((size_t) size + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
        void *memory = aligned_alloc(LARGE_PAGE, rounded);
        if (memory != NULL) madvise(memory, rounded, MADV_HUGEPAGE);
        return memory;
    }
#endif
    return aligned_alloc((size_t) alignment, (size_t) size);
}

static void default_deallocate(void *memory, void *user) {
    (void) user;
    free(memory);
}

void *moco_allocate(moco_context *context, size_t size) {
    void *memory = NULL;
    /* aligned_alloc wants a multiple of the alignment, and a valid pointer for size 0. */
    const size_t rounded = size == 0 ? ALIGNMENT : (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded >= size) {
        memory = context == NULL ? default_allocate(rounded, ALIGNMENT, NULL)
                                 : context->allocate(rounded, ALIGNMENT, context->allocator_user);
    }
    if (memory == NULL) moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: an allocation of %zu bytes failed", size);
    return memory;
}

void *moco_allocate_zeroed(moco_context *context, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: %zu elements of %zu bytes are more than can be addressed", count,
                  size);
        return NULL;
    }
    void *memory = moco_allocate(context, bytes);
    if (memory != NULL) memset(memory, 0, bytes);
    return memory;
}

char *moco_duplicate_string(moco_context *context, const char *string) {
    const size_t bytes = strlen(string) + 1;
    char *copy = (char *) moco_allocate(context, bytes);
    if (copy != NULL) memcpy(copy, string, bytes);
    return copy;
}

void moco_deallocate(moco_context *context, void *memory) {
    if (memory == NULL) return;
    if (context == NULL) {
        default_deallocate(memory, NULL);
    } else {
        context->deallocate(memory, context->allocator_user);
    }
}

/* --- Log and clock --- */

void moco_log(moco_context *context, int32_t level, const char *format, ...) {
    if (context->log == NULL || level > context->log_level) return;
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    context->log(level, message, context->log_user);
}

int64_t moco_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + (int64_t) now.tv_nsec;
}

/* --- Lifetime --- */

moco_status moco_context_create(moco_context **out, const moco_context_config *config) {
    moco_context_config settings = default_config;
    MOCO_REQUIRE_POINTER(out);
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, sizeof settings, "moco_context_config"));
    }
    MOCO_REQUIRE(settings.threads >= 0 && settings.threads <= MAX_THREADS,
                 "threads is %d; it must be 0 (one per processor) to %d", settings.threads, MAX_THREADS);
    MOCO_REQUIRE((settings.allocate == NULL) == (settings.deallocate == NULL),
                 "only one of allocate and deallocate is set; set both or neither");
    MOCO_REQUIRE(settings.log_level >= MOCO_LOG_ERROR && settings.log_level <= MOCO_LOG_DEBUG,
                 "log_level is %d; it must be MOCO_LOG_ERROR (0) to MOCO_LOG_DEBUG (3)", settings.log_level);
    if (settings.allocate == NULL) {
        settings.allocate = default_allocate;
        settings.deallocate = default_deallocate;
    }

    moco_context *context = (moco_context *) settings.allocate(
        (sizeof *context + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, ALIGNMENT, settings.allocator_user);
    if (context == NULL) {
        return moco_fail(MOCO_OUT_OF_MEMORY, "out of memory: no room for a context of %zu bytes", sizeof *context);
    }
    memset(context, 0, sizeof *context);
    atomic_init(&context->references, 1);
    context->threads = settings.threads > 0 ? settings.threads : moco_available_processors();
    context->allocate = settings.allocate;
    context->deallocate = settings.deallocate;
    context->allocator_user = settings.allocator_user;
    context->log = settings.log;
    context->log_user = settings.log_user;
    context->log_level = settings.log_level;

    const moco_status status = moco_backend_chain_create(&context->backends, context, settings.backend);
    if (status != MOCO_OK) {
        moco_deallocate(context, context);
        return status;
    }
    *out = context;
    return MOCO_OK;
}

void moco_context_retain(moco_context *context) {
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void moco_context_destroy(moco_context *context) {
    if (context == NULL || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1) return;
    moco_backend_chain_destroy(context->backends);
    const moco_deallocate_fn deallocate = context->deallocate;
    deallocate(context, context->allocator_user);
}

int32_t moco_context_threads(const moco_context *context) {
    return context == NULL ? 0 : context->threads;
}

const char *moco_context_backend(const moco_context *context) {
    return context == NULL ? "" : moco_backend_chain_name(context->backends);
}
