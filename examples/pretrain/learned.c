#include "pretrain/learned.h"

#include <stdint.h>
#include <stdio.h>

void learned_text(double pixels, double untrained, double trained, char text[LEARNED_TEXT_SIZE]) {
    const int32_t beside_untrained = untrained > pixels;
    const double points = 100 * (trained - (beside_untrained ? untrained : pixels));
    int used =
        snprintf(text, LEARNED_TEXT_SIZE, "raw pixels %.1f %%, untrained %.1f %%, trained %.1f %%: ", 100 * pixels,
                 100 * untrained, 100 * trained);
    if (points != 0) {
        used += snprintf(text + used, LEARNED_TEXT_SIZE - (size_t) used, "%.1f points %s than ",
                         points < 0 ? -points : points, points < 0 ? "worse" : "better");
    } else {
        used += snprintf(text + used, LEARNED_TEXT_SIZE - (size_t) used, "no better than ");
    }
    snprintf(text + used, LEARNED_TEXT_SIZE - (size_t) used, "%s%s",
             beside_untrained ? "the untrained encoder" : "raw pixels",
             points > 0 ? "" : ". Train longer, or with other settings.");
}
