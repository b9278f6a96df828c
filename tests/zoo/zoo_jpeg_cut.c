/* JPEG files that are cut short: at every marker, and between and within scans. */
#include "zoo/image_zoo.h"
#include "zoo/zoo_jpeg_writer.h"

/* Where a file ends: before the marker's 0xff, after it, after the marker, after its length, or in the middle of its
 * segment. */
enum { BEFORE = 0, HALF_MARKER, AFTER_MARKER, AFTER_LENGTH, MIDDLE };
#define CUT(marker, where) ((marker) *8 + (where))

static void make(zoo_bytes *out, int variant) {
    static const zoo_jpeg_options options = {.orientation = 1, .comment = 20};
    zoo_append_jpeg(out, &options);
    const size_t at = zoo_jpeg_find(out, variant / 8, 0), size = zoo_jpeg_segment_size(out, at);
    const size_t kept[] = {0, 1, 2, 4, size / 2 + 1};
    zoo_truncate(out, at + kept[variant % 8]);
}

enum { SCAN_START, SCAN_QUARTER, SCAN_MIDDLE, SCAN_LAST_BYTE };
static void make_in_scan(zoo_bytes *out, int variant) {
    static const zoo_jpeg_options options = {.h = 96, .w = 96, .restart_blocks = 5};
    static const zoo_jpeg_options arithmetic = {.h = 96, .w = 96, .arithmetic = 1};
    zoo_append_jpeg(out, variant >= 8 ? &arithmetic : &options);
    const size_t begin = zoo_jpeg_scan_data(out, 0), end = out->size - 2;
    const size_t kept[] = {0, (end - begin) / 4, (end - begin) / 2, end - begin - 1};
    zoo_truncate(out, begin + kept[variant % 8]);
}

/* Progressive: at the beginning of scan `variant`, or in the middle of scan `variant` - 100. */
static void make_progressive(zoo_bytes *out, int variant) {
    static const zoo_jpeg_options options = {.progressive = 1, .chroma_h = 2, .chroma_w = 2};
    zoo_append_jpeg(out, &options);
    if (variant < 100) {
        zoo_truncate(out, zoo_jpeg_find(out, JPEG_SOS, variant));
    } else {
        const size_t at = zoo_jpeg_find(out, JPEG_SOS, variant - 100);
        const size_t next = variant == 109 ? out->size - 2 : zoo_jpeg_find(out, JPEG_SOS, variant - 99);
        const size_t begin = zoo_jpeg_scan_data(out, variant - 100);
        zoo_truncate(out, begin + (next > begin ? (next - begin) / 2 : 0));
        (void) at;
    }
}

/* The same, closed properly: an EOI where scans are still missing. Such a picture is only coarser. */
static void make_progressive_closed(zoo_bytes *out, int variant) {
    make_progressive(out, variant);
    zoo_append_big_endian(out, 0xff00u | JPEG_EOI, 2);
}

static void make_non_interleaved(zoo_bytes *out, int variant) {
    static const zoo_jpeg_options options = {.non_interleaved = 1};
    zoo_append_jpeg(out, &options);
    zoo_truncate(out, zoo_jpeg_find(out, JPEG_SOS, 1 + variant % 8));
    if (variant >= 8) zoo_append_big_endian(out, 0xff00u | JPEG_EOI, 2);
}

#define SHORT "cut short|known format"
#define CUT_AT(name, marker, where) \
    { "jpeg-cut-" name ".jpg", make, CUT(marker, where), 0, 0, 0, SHORT }
#define CUT_IN(name, function, variant) \
    { "jpeg-cut-" name ".jpg", function, variant, 0, 0, 0, SHORT }
static const zoo_entry entries[] = {
    CUT_AT("half-soi", JPEG_SOI, HALF_MARKER),
    CUT_AT("after-soi", JPEG_SOI, AFTER_MARKER),
    CUT_AT("half-app0", JPEG_APP0, HALF_MARKER),
    CUT_AT("after-app0-marker", JPEG_APP0, AFTER_MARKER),
    CUT_AT("after-app0-length", JPEG_APP0, AFTER_LENGTH),
    CUT_AT("in-app0", JPEG_APP0, MIDDLE),
    CUT_AT("before-app1", JPEG_APP1, BEFORE),
    CUT_AT("after-app1-marker", JPEG_APP1, AFTER_MARKER),
    CUT_AT("in-app1", JPEG_APP1, MIDDLE),
    CUT_AT("before-com", JPEG_COM, BEFORE),
    CUT_AT("in-com", JPEG_COM, MIDDLE),
    CUT_AT("before-dqt", JPEG_DQT, BEFORE),
    CUT_AT("after-dqt-marker", JPEG_DQT, AFTER_MARKER),
    CUT_AT("in-dqt", JPEG_DQT, MIDDLE),
    CUT_AT("before-sof", JPEG_SOF0, BEFORE),
    CUT_AT("after-sof-marker", JPEG_SOF0, AFTER_MARKER),
    CUT_AT("after-sof-length", JPEG_SOF0, AFTER_LENGTH),
    CUT_AT("in-sof", JPEG_SOF0, MIDDLE),
    CUT_AT("before-dht", JPEG_DHT, BEFORE),
    CUT_AT("after-dht-marker", JPEG_DHT, AFTER_MARKER),
    CUT_AT("in-dht", JPEG_DHT, MIDDLE),
    CUT_AT("before-sos", JPEG_SOS, BEFORE),
    CUT_AT("after-sos-marker", JPEG_SOS, AFTER_MARKER),
    CUT_AT("in-sos", JPEG_SOS, MIDDLE),
    CUT_AT("before-eoi", JPEG_EOI, BEFORE),
    CUT_AT("half-eoi", JPEG_EOI, HALF_MARKER),
    CUT_IN("scan-start", make_in_scan, SCAN_START),
    CUT_IN("scan-quarter", make_in_scan, SCAN_QUARTER),
    CUT_IN("scan-middle", make_in_scan, SCAN_MIDDLE),
    CUT_IN("scan-last-byte", make_in_scan, SCAN_LAST_BYTE),
    CUT_IN("arithmetic-quarter", make_in_scan, 8 + SCAN_QUARTER),
    CUT_IN("arithmetic-middle", make_in_scan, 8 + SCAN_MIDDLE),
    CUT_IN("progressive-before-scan-0", make_progressive, 0),
    CUT_IN("progressive-before-scan-1", make_progressive, 1),
    CUT_IN("progressive-before-scan-5", make_progressive, 5),
    CUT_IN("progressive-before-scan-9", make_progressive, 9),
    CUT_IN("progressive-in-scan-0", make_progressive, 100),
    CUT_IN("progressive-in-scan-1", make_progressive, 101),
    CUT_IN("progressive-in-scan-9", make_progressive, 109),
    CUT_IN("progressive-closed-scan-0", make_progressive_closed, 0),
    {"jpeg-progressive-coarse.jpg", make_progressive_closed, 5, 32, 48, ZOO_COLOURS, NULL},
    CUT_IN("non-interleaved-second", make_non_interleaved, 0),
    CUT_IN("non-interleaved-third", make_non_interleaved, 1),
    CUT_IN("non-interleaved-closed", make_non_interleaved, 8),
};
const zoo_table zoo_jpeg_cut = {entries, (int) (sizeof entries / sizeof entries[0])};
