/* A context from its configuration. Above core, which has the rest of a context, and above backend, whose chain it makes. */
#include "backend/backend_chain.h"
#include "context/backend_list.h"
#include "core/config.h"
#include "core/context_internal.h"
#include "core/memory.h"
#include "core/threads.h"

/* Version 0.1 had no `backends`. */
#define OLDEST_SIZE offsetof(moco_context_config, backends)

static const moco_context_config default_config = MOCO_CONTEXT_CONFIG_INITIALIZER;

moco_status moco_context_config_init(moco_context_config *config, uint32_t struct_size) {
    return moco_config_init(config, struct_size, &default_config, sizeof default_config, OLDEST_SIZE,
                            "moco_context_config");
}

/* The backends that the context works with; core only knows how to give them back. */
static moco_status make_chain(moco_context *context, const moco_context_config *settings) {
    context->release_backends = moco_backend_chain_destroy;
    return moco_backend_chain_create(&context->backends, context, settings->backends, moco_backend_list(),
                                     settings->backend);
}

moco_status moco_context_create(moco_context **out, const moco_context_config *config) {
    moco_context_config settings = default_config;
    MOCO_REQUIRE_POINTER(out);
    if (config != NULL) {
        MOCO_TRY(moco_config_read(&settings, config, sizeof settings, OLDEST_SIZE, "moco_context_config"));
    }
    MOCO_REQUIRE(settings.threads >= 0 && settings.threads <= MOCO_MAX_THREADS,
                 "threads is %d; it must be 0 (one per processor) to %d", settings.threads, MOCO_MAX_THREADS);
    MOCO_REQUIRE((settings.allocate == NULL) == (settings.deallocate == NULL),
                 "only one of allocate and deallocate is set; set both or neither");
    MOCO_REQUIRE(settings.log_level >= MOCO_LOG_ERROR && settings.log_level <= MOCO_LOG_DEBUG,
                 "log_level is %d; it must be MOCO_LOG_ERROR (0) to MOCO_LOG_DEBUG (3)", settings.log_level);
    if (settings.allocate == NULL) {
        settings.allocate = moco_default_allocate;
        settings.deallocate = moco_default_deallocate;
    }

    moco_context allocator = {
        .allocate = settings.allocate, .deallocate = settings.deallocate, .allocator_user = settings.allocator_user};
    moco_context *context = (moco_context *) moco_allocate_zeroed(&allocator, 1, sizeof *context);
    if (context == NULL) return MOCO_OUT_OF_MEMORY;
    atomic_init(&context->references, 1);
    const int32_t wanted = settings.threads > 0 ? settings.threads : moco_available_processors();
    context->threads = moco_startable_team(wanted);
    context->allocate = settings.allocate;
    context->deallocate = settings.deallocate;
    context->allocator_user = settings.allocator_user;
    context->log = settings.log;
    context->log_user = settings.log_user;
    context->log_level = settings.log_level;
    if (context->threads < wanted) {
        moco_log(context, MOCO_LOG_WARNING,
                 "the system's limit of threads (ulimit -u, a container's) is too near for %d of them, with a reserve; "
                 "using %d",
                 wanted, context->threads);
    }
    const moco_status status = make_chain(context, &settings);
    if (status != MOCO_OK) {
        moco_deallocate(context, context);
        return status;
    }
    *out = context;
    return MOCO_OK;
}

const char *moco_context_backend(const moco_context *context) {
    return context == NULL ? "" : moco_backend_chain_name(context->backends);
}
