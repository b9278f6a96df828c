/* Convolutions large enough for a backend with a layout of its own to take another way: what Winograd's algorithm may
 * take, with corners of all kinds, and with few pixels for the channels, in the end in more than one block of tiles;
 * and large 1 x 1 weights. Other backends skip them.
 */
#ifndef MOCO_TEST_LARGE_CONVOLUTION_CASES_H
#define MOCO_TEST_LARGE_CONVOLUTION_CASES_H

#include "conformance/layer_cases.h"

static void test_large_convolutions(void **state) {
    (void) state;
    if (offered_layout == MOCO_LAYOUT_PLAIN) skip();
    moco_random random = suite_random(22, 0);
    static const int64_t convolutions[][8] = {
        {3, 64, 14, 11, 64, 3, 1, 1},    {2, 128, 7, 7, 64, 3, 1, 1},    {1, 64, 2, 259, 64, 3, 1, 1},
        {5, 64, 259, 2, 64, 3, 1, 1},    {5, 128, 17, 11, 128, 3, 1, 1}, {3, 64, 13, 16, 128, 3, 1, 1},
        {2, 128, 24, 23, 64, 3, 1, 1},   {9, 192, 7, 9, 192, 3, 1, 1},   {3, 64, 8, 9, 128, 3, 1, 1},
        {5, 128, 7, 7, 128, 3, 1, 1},    {1, 256, 16, 17, 64, 3, 1, 1},  {11, 320, 11, 10, 64, 3, 1, 1},
        {2, 1024, 11, 12, 544, 1, 1, 1}, {2, 1056, 3, 5, 512, 1, 2, 1},
    };
    check_same_convolutions(convolutions, sizeof convolutions / sizeof convolutions[0], &random);
}

#endif
