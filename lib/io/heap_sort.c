#include "io/heap_sort.h"

static void swap(unsigned char *a, unsigned char *b, size_t size) {
    for (size_t i = 0; i < size; ++i) {
        const unsigned char byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

static void sift_down(unsigned char *all, size_t root, size_t count, size_t size, moco_goes_behind_fn behind) {
    for (size_t child = 2 * root + 1; child < count; root = child, child = 2 * root + 1) {
        if (child + 1 < count && behind(all + (child + 1) * size, all + child * size)) ++child;
        if (!behind(all + child * size, all + root * size)) return;
        swap(all + root * size, all + child * size, size);
    }
}

void moco_heap_sort(void *elements, size_t count, size_t size, moco_goes_behind_fn behind) {
    unsigned char *all = (unsigned char *) elements;
    size_t sorted = 1;
    while (sorted < count && !behind(all + (sorted - 1) * size, all + sorted * size)) ++sorted;
    if (sorted >= count) return;
    for (size_t root = count / 2; root-- > 0;) sift_down(all, root, count, size, behind);
    for (size_t end = count - 1; end > 0; --end) {
        swap(all, all + end * size, size);
        sift_down(all, 0, end, size, behind);
    }
}
