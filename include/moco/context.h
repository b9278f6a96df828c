/* The context: threads, memory, log and compute backend. Nothing in libmoco is a process global, but
 * for a lock around an OpenBLAS built without threads, which several threads must not call at once.
 *
 * Threading rule for all of libmoco: distinct handles may be used from distinct threads, one handle by one thread at a
 * time. Handles keep what they depend on alive by reference count, so any destroy order is safe.
 *
 * Callbacks: a function of the caller's that libmoco calls may destroy handles, those of the call that it is in as well:
 * they live until that call returns. It can't begin what is going on already: a trainer's step or run inside its own
 * callbacks, an encoder's pass inside its own network or gradient hook, a loader's start or next inside its dataset's
 * functions or a run over it are INVALID_STATE. A log or allocator function calls nothing of libmoco. A handle that
 * is only lent, by a function that says so, is not the caller's: destroying it does nothing.
 */
#ifndef MOCO_CONTEXT_H
#define MOCO_CONTEXT_H

#include <moco/export.h>
#include <moco/status.h>

MOCO_BEGIN_DECLS

typedef struct moco_context moco_context;
struct moco_backend_ops;

/* Returns `size` bytes aligned to `alignment` (a power of two, at least 64), or NULL. Called from any thread. */
typedef void *(*moco_allocate_fn)(uint64_t size, uint64_t alignment, void *user);
/* Frees what moco_allocate_fn returned; `memory` is never NULL. Called from any thread. */
typedef void (*moco_deallocate_fn)(void *memory, void *user);

enum { MOCO_LOG_ERROR = 0, MOCO_LOG_WARNING = 1, MOCO_LOG_INFO = 2, MOCO_LOG_DEBUG = 3 };

/* One finished sentence without a newline; control characters of what it quotes are written as "\n" or "\x1b". Called from
 * any thread. */
typedef void (*moco_log_fn)(int32_t level, const char *message, void *user);

typedef struct moco_context_config {
    uint32_t struct_size;
    /* Worker threads of one operation, 1024 at most; 0 (default): one per available processor. Where the system's limit
     * of threads (ulimit -u, a container's) is nearer than 2 * threads + 8 free ones: as many as have that, with a warning
     * in the log; 1, which starts none, is always there. (OpenMP's runtime ends a process that it can't start a thread
     * for, so it is asked for no more, and loaders and checkpoints start their threads only beside that reserve.) That
     * holds for the contexts of one calling thread. What can't be foreseen is that other processes of the same user, or
     * the host's own threads, take the reserve later: ask for 1 thread where that is to be feared. */
    int32_t threads;
    const char *backend; /* NULL or "auto" (default), "onednn", "cblas", "reference"; another is NOT_FOUND */
    /* Both NULL (default): the C library's, and pages of their own for large blocks, which the system has back as soon as
     * they are freed. Else both set. */
    moco_allocate_fn allocate;
    moco_deallocate_fn deallocate;
    void *allocator_user;
    moco_log_fn log; /* NULL (default): silent */
    void *log_user;
    int32_t log_level; /* most verbose level passed on; default MOCO_LOG_WARNING */
    int32_t reserved;
    /* The caller's own backends (<moco/sys/backend.h>), tried in this order before the library's; NULL ends the array. The
     * tables must live as long as the context, the array need not. NULL (default): none. The chain has the backends of
     * one kind of memory, the first one's; its last must be complete, else INVALID_ARGUMENT names what it lacks. */
    const struct moco_backend_ops *const *backends;
} moco_context_config;

/* Fills the defaults for a struct of `struct_size` bytes (pass sizeof). INVALID_ARGUMENT: NULL or too small. All
 * *_config_init functions of libmoco behave so. */
MOCO_API moco_status moco_context_config_init(moco_context_config *config, uint32_t struct_size);
/* \since 0.2. The same as the initialiser of a variable, as others of libmoco are: with the defaults of the headers that the
 * program was compiled with. */
#define MOCO_CONTEXT_CONFIG_INITIALIZER \
    { sizeof(moco_context_config), 0, NULL, NULL, NULL, NULL, NULL, NULL, MOCO_LOG_WARNING, 0, NULL }

/* `config` NULL means the defaults. Errors: INVALID_ARGUMENT, NOT_FOUND (backend), UNSUPPORTED, OUT_OF_MEMORY. */
MOCO_API moco_status moco_context_create(moco_context **out, const moco_context_config *config);

/* Drops the caller's reference; NULL is a no-op. The context lives on while a handle made from it does. */
MOCO_API void moco_context_destroy(moco_context *context);

/* The number of threads in use; 0 for NULL. */
MOCO_API int32_t moco_context_threads(const moco_context *context);

/* The name of the first backend of the chain, such as "cblas"; lives as long as the context; "" for NULL. */
MOCO_API const char *moco_context_backend(const moco_context *context);

MOCO_END_DECLS

#endif
