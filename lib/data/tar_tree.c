/* Links in a tar: its content as a tree of folders, through which they are followed. */
#include <stdio.h>
#include <string.h>

#include "data/tar_part.h"
#include "data/tar_places.h"

#define MAX_COMPLAINTS 20
#define MAX_LINKS      40 /* that lead to one another, as Linux has it */

enum { NODE_MISSING = -1, NODE_OUTSIDE = -2, NODE_CIRCLE = -3 }; /* beside MOCO_TAR_* */

typedef struct tar_tree {
    moco_tar_part *part;
    /* All entries of the tar, sorted, each name once. An entry's label is its MOCO_TAR_*, its flags tell whether it is an
     * image by content; a link's data_at is where in `targets` it leads. */
    moco_index_builder nodes;
    char *targets;
    size_t targets_size, targets_capacity;
    moco_class_table visited; /* the folders that were read below the present class folder */
    int64_t complaints;
    char root[MOCO_MAX_NAME]; /* the real name of the folder that is walked */
    char path[MOCO_MAX_NAME]; /* of what is being read, as it will be called */
} tar_tree;

/* --- Building --- */

static moco_status add_target(tar_tree *tree, const char *target, uint64_t *at) {
    const size_t bytes = strlen(target) + 1;
    void *targets = tree->targets;
    MOCO_TRY(moco_grow(tree->part->context, &targets, tree->targets_size, &tree->targets_capacity,
                       tree->targets_size + bytes));
    tree->targets = (char *) targets;
    memcpy(tree->targets + tree->targets_size, target, bytes);
    *at = tree->targets_size;
    tree->targets_size += bytes;
    return MOCO_OK;
}

static moco_status add_node(tar_tree *tree, moco_tar_entry *entry) {
    size_t length = moco_tar_simplify_name(entry->name);
    if (length > 0 && entry->name[length - 1] == '/') --length;
    entry->name[length] = '\0';
    if (entry->kind == MOCO_TAR_OTHER || length == 0) return MOCO_OK;
    uint64_t at = entry->data_at;
    if (entry->kind == MOCO_TAR_HARD_LINK) {
        moco_tar_simplify_name(entry->link);
        if (strcmp(entry->link, entry->name) == 0) return MOCO_OK; /* tar says so of a file that it was given twice */
    }
    if (entry->kind == MOCO_TAR_HARD_LINK || entry->kind == MOCO_TAR_SYMLINK) {
        MOCO_TRY(add_target(tree, entry->link, &at));
    }
    MOCO_TRY(moco_index_builder_add(&tree->nodes, entry->name, length, entry->kind));
    moco_index_entry *node = &tree->nodes.entries[tree->nodes.count - 1];
    node->data_at = at;
    node->data_size = entry->data_size;
    node->flags = moco_has_image_signature(entry->first, entry->first_size) ? MOCO_INDEX_SNIFF : 0;
    return MOCO_OK;
}

static moco_status read_nodes(tar_tree *tree) {
    moco_context *context = tree->part->context;
    moco_tar_entry *entry = (moco_tar_entry *) moco_allocate(context, sizeof *entry);
    if (entry == NULL) return MOCO_OUT_OF_MEMORY;
    moco_tar_reader reader;
    int32_t found = 0;
    moco_tar_read_file(&reader, tree->part->descriptor, tree->part->size, tree->part->path);
    moco_status status;
    do {
        status = moco_tar_next(&reader, entry, &found);
        if (status == MOCO_OK && found) status = add_node(tree, entry);
    } while (status == MOCO_OK && found);
    moco_deallocate(context, entry);
    MOCO_TRY(status);
    MOCO_TRY(moco_index_builder_sort(&tree->nodes));
    int64_t kept = 0;
    for (int64_t i = 0; i < tree->nodes.count; ++i) {
        if (tree->nodes.entries[i].flags & MOCO_INDEX_DROPPED) continue;
        tree->nodes.entries[kept++] = tree->nodes.entries[i];
    }
    tree->nodes.count = kept;
    return MOCO_OK;
}

/* --- Finding --- */

static const char *name_of(const tar_tree *tree, int64_t node) {
    return tree->nodes.names + tree->nodes.entries[node].name_at;
}

/* The first node that is not before `name`. */
static int64_t lower_bound(const tar_tree *tree, const char *name) {
    int64_t low = 0, high = tree->nodes.count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (moco_compare_names(name_of(tree, middle), name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int32_t begins_with_folder(const char *name, const char *folder, size_t length) {
    return strncmp(name, folder, length) == 0 && name[length] == '/';
}

/* The node of this name, or -1 with the kind that it has without one: a folder if there is something in it. */
static int64_t find_node(const tar_tree *tree, const char *name, int32_t *kind) {
    const int64_t node = lower_bound(tree, name);
    const size_t length = strlen(name);
    *kind = length == 0 ? MOCO_TAR_FOLDER : NODE_MISSING;
    if (node == tree->nodes.count) return -1;
    if (strcmp(name_of(tree, node), name) == 0) {
        *kind = tree->nodes.entries[node].label;
        return node;
    }
    if (begins_with_folder(name_of(tree, node), name, length)) *kind = MOCO_TAR_FOLDER;
    return -1;
}

/* "a/b" -> "a". */
static void cut_last(char *path) {
    char *slash = strrchr(path, '/');
    *(slash == NULL ? path : slash) = '\0';
}

/* Where `path` leads when all links in it are followed: the real name in path[MOCO_MAX_NAME] and its node, or -1; and
 * what is there. `rest` has room for MOCO_MAX_NAME bytes, too. */
static int32_t resolve(const tar_tree *tree, char *path, char *rest, int64_t *node) {
    int32_t kind = MOCO_TAR_FOLDER, links = 0;
    *node = -1;
    memcpy(rest, path, strlen(path) + 1);
    path[0] = '\0';
    while (rest[0] != '\0') {
        char *part = rest + strspn(rest, "/");
        const size_t length = strcspn(part, "/"), done = strlen(path);
        const char *behind = part + length;
        if (length == 2 && memcmp(part, "..", 2) == 0) {
            if (done == 0) return NODE_OUTSIDE;
            cut_last(path);
        } else if (length > 0 && !(length == 1 && part[0] == '.')) {
            if (done + length + 2 > MOCO_MAX_NAME) return NODE_MISSING;
            snprintf(path + done, MOCO_MAX_NAME - done, "%s%.*s", done > 0 ? "/" : "", (int) length, part);
        }
        *node = find_node(tree, path, &kind);
        if (kind == NODE_MISSING) return kind;
        if (kind != MOCO_TAR_HARD_LINK && kind != MOCO_TAR_SYMLINK) {
            memmove(rest, behind, strlen(behind) + 1);
            continue;
        }
        const char *target = tree->targets + tree->nodes.entries[*node].data_at;
        if (++links > MAX_LINKS) return NODE_CIRCLE;
        if (kind == MOCO_TAR_SYMLINK && target[0] == '/') return NODE_OUTSIDE;
        const size_t target_length = strlen(target), rest_length = strlen(behind);
        if (target_length == 0 || target_length + rest_length + 2 > MOCO_MAX_NAME) return NODE_MISSING;
        memmove(rest + target_length, behind, rest_length + 1);
        memcpy(rest, target, target_length);
        if (kind == MOCO_TAR_HARD_LINK) {
            path[0] = '\0'; /* its target is a name in the tar, not relative */
        } else {
            cut_last(path);
        }
    }
    return kind;
}

/* --- The walk --- */

static void complain(tar_tree *tree, int32_t kind) {
    if (++tree->complaints > MAX_COMPLAINTS) return;
    const char *reason = kind == NODE_OUTSIDE  ? "its link leads out of the tar"
                         : kind == NODE_CIRCLE ? "its link leads in a circle"
                                               : "its link leads to nothing in the tar";
    moco_log(tree->part->context, MOCO_LOG_WARNING, "%s/%s is left out: %s", tree->part->path, tree->path, reason);
}

static moco_status walk_folder(tar_tree *tree, const char *real);

/* What is called tree->path and really is the node of this name and kind. */
static moco_status walk_entry(tar_tree *tree, const char *real, int64_t node, int32_t kind) {
    if (kind == MOCO_TAR_FILE) {
        const moco_index_entry *entry = &tree->nodes.entries[node];
        const moco_tar_data data = {entry->data_at, entry->data_size, (entry->flags & MOCO_INDEX_SNIFF) != 0};
        return moco_tar_part_add_file(tree->part, tree->path, &data);
    }
    if (kind != MOCO_TAR_FOLDER) {
        complain(tree, kind);
        return MOCO_OK;
    }
    if (strchr(tree->path + strlen(tree->part->inner), '/') == NULL) { /* a class folder */
        int32_t number;
        MOCO_TRY(moco_tar_part_add_folder(tree->part, tree->path));
        moco_class_table_release(&tree->visited);
        MOCO_TRY(moco_class_table_add(&tree->visited, tree->root, strlen(tree->root), &number));
    }
    return walk_folder(tree, real);
}

/* The entry called `name` in the folder `real`, to which links are relative. `paths` has room for two. */
static moco_status walk_child(tar_tree *tree, const char *real, const char *name, size_t length, char *paths) {
    char *path = paths, *rest = paths + MOCO_MAX_NAME;
    const size_t begin = strlen(tree->path), real_length = strlen(real);
    int64_t node = -1;
    if (begin + length + 2 > MOCO_MAX_NAME || real_length + length + 2 > MOCO_MAX_NAME) return MOCO_OK;
    const int32_t needs_slash = begin > 0 && tree->path[begin - 1] != '/';
    snprintf(tree->path + begin, MOCO_MAX_NAME - begin, "%s%.*s", needs_slash ? "/" : "", (int) length, name);
    snprintf(path, MOCO_MAX_NAME, "%s%s%.*s", real, real_length > 0 ? "/" : "", (int) length, name);
    const int32_t kind = resolve(tree, path, rest, &node);
    const moco_status status = walk_entry(tree, path, node, kind);
    tree->path[begin] = '\0';
    return status;
}

static moco_status walk_children(tar_tree *tree, const char *real, char *paths) {
    const size_t length = strlen(real), begin = length == 0 ? 0 : length + 1;
    snprintf(paths, MOCO_MAX_NAME, "%s%s", real, length > 0 ? "/" : "");
    int64_t node = lower_bound(tree, paths);
    while (node < tree->nodes.count && (length == 0 || begins_with_folder(name_of(tree, node), real, length))) {
        const char *child = name_of(tree, node);
        const size_t child_length = strcspn(child + begin, "/");
        if (child[begin] != '.' && child_length > 0) {
            MOCO_TRY(walk_child(tree, real, child + begin, child_length, paths));
        }
        do ++node; /* past what is in it */
        while (node < tree->nodes.count && begins_with_folder(name_of(tree, node), child, begin + child_length));
    }
    return MOCO_OK;
}

static moco_status walk_folder(tar_tree *tree, const char *real) {
    moco_context *context = tree->part->context;
    const int32_t known = tree->visited.count;
    int32_t number = 0;
    MOCO_TRY(moco_class_table_add(&tree->visited, real, strlen(real), &number));
    if (number < known) {
        if (++tree->complaints <= MAX_COMPLAINTS) {
            moco_log(context, MOCO_LOG_WARNING, "%s/%s is skipped: it leads to a folder that has been read already",
                     tree->part->path, tree->path);
        }
        return MOCO_OK;
    }
    char *paths = (char *) moco_allocate(context, 2 * MOCO_MAX_NAME);
    char *own = paths == NULL ? NULL : moco_duplicate_string(context, real); /* `real` may be in a caller's `paths` */
    const moco_status status = own == NULL ? MOCO_OUT_OF_MEMORY : walk_children(tree, own, paths);
    moco_deallocate(context, own);
    moco_deallocate(context, paths);
    return status;
}

static moco_status walk(tar_tree *tree) {
    moco_context *context = tree->part->context;
    char *paths = (char *) moco_allocate(context, 2 * MOCO_MAX_NAME);
    if (paths == NULL) return MOCO_OUT_OF_MEMORY;
    int64_t node = -1;
    moco_status status = MOCO_OK;
    snprintf(tree->path, sizeof tree->path, "%s", tree->part->inner);
    snprintf(paths, MOCO_MAX_NAME, "%s", tree->part->inner);
    if (resolve(tree, paths, paths + MOCO_MAX_NAME, &node) == MOCO_TAR_FOLDER) {
        snprintf(tree->root, sizeof tree->root, "%s", paths);
        status = walk_folder(tree, paths);
    }
    moco_deallocate(context, paths);
    if (status == MOCO_OK && tree->complaints > MAX_COMPLAINTS) {
        moco_log(context, MOCO_LOG_WARNING, "%s: %lld more links are left out", tree->part->path,
                 (long long) tree->complaints - MAX_COMPLAINTS);
    }
    return status;
}

moco_status moco_tar_follow_links(moco_tar_part *part) {
    tar_tree *tree = (tar_tree *) moco_allocate_zeroed(part->context, 1, sizeof *tree);
    if (tree == NULL) return MOCO_OUT_OF_MEMORY;
    tree->part = part;
    tree->visited.context = part->context;
    moco_index_builder_init(&tree->nodes, part->context);
    moco_tar_part_clear(part);
    moco_status status = read_nodes(tree);
    if (status == MOCO_OK) status = walk(tree);
    moco_class_table_release(&tree->visited);
    moco_index_builder_release(&tree->nodes);
    moco_deallocate(part->context, tree->targets);
    moco_deallocate(part->context, tree);
    return status;
}
