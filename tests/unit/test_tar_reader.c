/* Tar headers of every kind, and tars that are wrong: read from memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/tar_reader.h"
#include "support/tar_bytes.h"

#define PLAIN NULL
#define GNU   "ustar  "
#define V7    ""

static int free_tar(void **state) {
    tar_free((tar_bytes *) *state);
    return 0;
}

static int make_tar(void **state) {
    static tar_bytes tar;
    *state = &tar;
    return 0;
}

/* All entries as "name kind data_at+size -> link" lines into text; the status that ends it. */
static moco_status list(const tar_bytes *tar, char *text, size_t capacity) {
    moco_tar_reader reader;
    moco_tar_entry entry;
    int32_t found = 1;
    size_t length = 0;
    uint64_t at = 0;
    text[0] = '\0';
    moco_tar_read_memory(&reader, tar->bytes, tar->size, "x.tar");
    while (found) {
        const moco_status status = moco_tar_next(&reader, &entry, &found);
        if (status != MOCO_OK) {
            assert_true(strlen(moco_last_error()) > 0);
            return status;
        }
        assert_true(reader.at >= at + (found ? MOCO_TAR_BLOCK : 0) && reader.at <= tar->size);
        at = reader.at;
        if (!found) break;
        assert_true(entry.data_at <= tar->size && entry.data_size <= tar->size - entry.data_at);
        assert_memory_equal(entry.first, tar->bytes + entry.data_at, entry.first_size);
        length += (size_t) snprintf(text + length, capacity - length, "%s %d %llu+%llu%s%s\n", entry.name, entry.kind,
                                    (unsigned long long) entry.data_at, (unsigned long long) entry.data_size,
                                    entry.link[0] == '\0' ? "" : " -> ", entry.link);
        assert_true(length < capacity);
    }
    return MOCO_OK;
}

#define ASSERT_LIST(tar, expected)                                              \
    do {                                                                        \
        char text_[8192];                                                       \
        const moco_status status_ = list(tar, text_, sizeof text_);             \
        if (status_ != MOCO_OK) fail_msg("%d: %s", status_, moco_last_error()); \
        assert_string_equal(text_, expected);                                   \
    } while (0)

#define ASSERT_REFUSED(tar, word)                                                                                \
    do {                                                                                                         \
        char text_[8192];                                                                                        \
        assert_int_equal(list(tar, text_, sizeof text_), MOCO_FORMAT);                                           \
        if (strstr(moco_last_error(), word) == NULL) fail_msg("\"%s\" lacks \"%s\"", moco_last_error(), (word)); \
    } while (0)

/* --- Kinds of entries --- */

static void test_plain_kinds(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    tar_header(tar, "a/", '5', 0, PLAIN);
    tar_file(tar, "a/x.png", "0123456789abcdefXYZ", 19);
    tar_header(tar, "a/contiguous", '7', 3, PLAIN);
    tar_data(tar, "abc", 3);
    tar_header(tar, "a/link", '2', 77, PLAIN);        /* a size, but no data */
    memset(tar->bytes + tar->header + 157, 'l', 100); /* all 100 bytes and no NUL */
    tar_seal(tar);
    tar_link(tar, "a/hard", '1', "a/x.png");
    tar_header(tar, "dev", '3', 0, PLAIN);
    tar_header(tar, "block", '4', 0, PLAIN);
    tar_header(tar, "pipe", '6', 0, PLAIN);
    tar_header(tar, "vendor's", 'Z', 5, PLAIN);
    tar_data(tar, "extra", 5);
    tar_header(tar, "old", '\0', 2, V7);
    tar_data(tar, "hi", 2);
    tar_header(tar, "olddir/", '\0', 0, V7);
    tar_file(tar, "empty", "", 0);
    tar_end(tar);
    char expected[512], link[101];
    memset(link, 'l', 100);
    link[100] = '\0';
    snprintf(expected, sizeof expected,
             "a/ 1 512+0\na/x.png 0 1024+19\na/contiguous 0 2048+3\na/link 4 3072+0 -> %s\na/hard 3 3584+0 -> a/x.png\n"
             "dev 2 4096+0\nblock 2 4608+0\npipe 2 5120+0\nvendor's 2 5632+5\nold 0 6656+2\n"
             "olddir/ 1 7680+0\nempty 0 8192+0\n",
             link);
    ASSERT_LIST(tar, expected);
}

static void test_names(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    char name[300], expected[2048];
    /* All 100 bytes and no NUL. */
    memset(name, 'n', 100);
    name[100] = '\0';
    tar_file(tar, name, "1", 1);
    /* A prefix, of all 155 bytes. */
    tar_header(tar, name, '0', 0, PLAIN);
    memset(tar->bytes + tar->header + 345, 'p', 155);
    tar_seal(tar);
    /* In GNU's old format there are other things where the prefix is. */
    tar_header(tar, "g", '0', 0, GNU);
    memcpy(tar->bytes + tar->header + 345, "12345670123", 11);
    tar_seal(tar);
    tar_end(tar);
    char prefix[156];
    memset(prefix, 'p', 155);
    prefix[155] = '\0';
    snprintf(expected, sizeof expected, "%s 0 512+1\n%s/%s 0 1536+0\ng 0 2048+0\n", name, prefix, name);
    ASSERT_LIST(tar, expected);
}

static void test_gnu_long_names(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    char name[2000], expected[4096];
    memset(name, 'q', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    tar_long_name(tar, 'L', name);
    tar_header(tar, "qqq", '0', 4, GNU);
    tar_data(tar, "data", 4);
    tar_long_name(tar, 'K', name); /* a long link target */
    tar_long_name(tar, 'L', "linked");
    tar_header(tar, "x", '2', 0, GNU);
    tar_header(tar, "short", '0', 0, GNU); /* the long name was for one entry */
    tar_end(tar);
    snprintf(expected, sizeof expected, "%s 0 3072+4\nlinked 4 7680+0 -> %s\nshort 0 8192+0\n", name, name);
    ASSERT_LIST(tar, expected);
}

static void test_pax(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    char record[8192], records[16384], value[4096];
    tar_pax(tar, 'g', "11 path=no\n"); /* a global path would be nonsense */
    snprintf(records, sizeof records, "%s", pax_record(record, "mtime", "1350244992.023960108"));
    strcat(records, pax_record(record, "path", "pax/\xC3\xA4 = name.png"));
    strcat(records, pax_record(record, "size", "6"));
    strcat(records, pax_record(record, "comment", "path=x\n9 path=y"));
    tar_pax(tar, 'x', records);
    tar_header(tar, "short", '0', 0, PLAIN); /* says 0 bytes; the record says 6 */
    tar_data(tar, "sixsix", 6);
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    tar_pax(tar, 'x', pax_record(record, "path", value)); /* the longest */
    tar_file(tar, "short", "", 0);
    tar_pax(tar, 'X', pax_record(record, "path", "solaris"));
    tar_file(tar, "short", "", 0);
    memset(records, 'z', 9000);
    records[9000] = '\0';
    char *large = (char *) malloc(12000); /* a record longer than any path, of no interest, and one behind it */
    pax_record(large, "SCHILY.acl.access", records);
    strcat(large, pax_record(record, "path", "behind"));
    tar_pax(tar, 'x', large);
    free(large);
    tar_file(tar, "short", "", 0);
    tar_pax(tar, 'x', "7 path=\n"); /* one byte too few in the length */
    tar->bytes[tar->size - 512] = '8';
    tar_file(tar, "kept", "", 0); /* an empty path changes nothing */
    tar_end(tar);
    char text[8192];
    assert_int_equal(list(tar, text, sizeof text), MOCO_OK);
    /* the places follow from the sizes; what counts are names and sizes */
    assert_non_null(strstr(text, "pax/\xC3\xA4 = name.png 0 2560+6\n"));
    assert_non_null(strstr(text, value));
    assert_non_null(strstr(text, "\nsolaris 0 "));
    assert_non_null(strstr(text, "\nbehind 0 "));
    assert_non_null(strstr(text, "\nkept 0 "));
    int lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; ++at) ++lines;
    assert_int_equal(lines, 5);
}

static void test_hard_links(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    char record[128];
    /* pax may store a hard link's data; others give the size and store none. Both are told by what follows. */
    tar_pax(tar, 'x', pax_record(record, "mtime", "1"));
    tar_header(tar, "with", '1', 600, PLAIN);
    char data[600];
    memset(data, 'd', sizeof data);
    tar_data(tar, data, sizeof data);
    tar_pax(tar, 'x', pax_record(record, "mtime", "1"));
    tar_header(tar, "without", '1', 600, PLAIN);
    tar_header(tar, "neither", '1', 600, PLAIN);
    tar_file(tar, "z", "1", 1);
    tar_end(tar);
    ASSERT_LIST(tar, "with 0 1536+600\nwithout 3 4096+0\nneither 3 4608+0\nz 0 5120+1\n");
    /* PAX may say where a link leads. */
    tar_free(tar);
    tar_pax(tar, 'x', pax_record(record, "linkpath", "far/away.png"));
    tar_link(tar, "s", '2', "short");
    tar_pax(tar, 'x', pax_record(record, "linkpath", ""));
    tar_link(tar, "t", '2', "short");
    tar_end(tar);
    ASSERT_LIST(tar, "s 4 1536+0 -> far/away.png\nt 4 3072+0 -> short\n");
}

static void test_sparse(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    char record[128];
    uint8_t map[1024] = {0};
    tar_header(tar, "old-sparse", 'S', 512, GNU); /* its map fills two more blocks before the data */
    tar->bytes[tar->header + 482] = 1;
    tar_seal(tar);
    map[504] = 1;
    tar_append(tar, map, sizeof map);
    tar_data(tar, "data", 4);
    tar_pax(tar, 'x', pax_record(record, "GNU.sparse.major", "1"));
    tar_header(tar, "GNUSparseFile.0/x", '0', 512, PLAIN);
    tar_data(tar, "1\n0\n", 4);
    tar_file(tar, "z", "1", 1);
    tar_end(tar);
    ASSERT_LIST(tar, "old-sparse 2 1536+512\nGNUSparseFile.0/x 2 3584+512\nz 0 4608+1\n");
}

/* --- Sizes --- */

static void put_size(tar_bytes *tar, const char *field, size_t bytes) {
    memset(tar->bytes + tar->header + 124, 0, 12);
    memcpy(tar->bytes + tar->header + 124, field, bytes);
    tar_seal(tar);
}

static void test_sizes(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    const struct {
        const char *field;
        size_t bytes;
    } good[] = {
        {"00000000003", 11}, {"          3", 11},  {"3", 1},
        {"3 ", 2},           {"000000000003", 12}, {"\x80\0\0\0\0\0\0\0\0\0\0\3", 12},
    };
    const struct {
        const char *field;
        size_t bytes;
        const char *word;
    } wrong[] = {
        {"0000000000x", 11, "size is no number"},
        {"0000 000003", 11, "size is no number"},
        {"-0000000003", 11, "size is no number"},
        {"0x000000003", 11, "size is no number"},
        {"00000000009", 11, "size is no number"},
        {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", 12, "size is no number"}, /* -2 */
        {"\x80\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12, "size is no number"},       /* 2^64 - 1 */
        {"\x81\0\0\0\0\0\0\0\0\0\0\3", 12, "size is no number"},                       /* 2^88 + 3 */
        {"\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12, "size is no number"},
        {"\x80\0\0\0\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12, "has 9223372036854775807 bytes of data"},
        {"777777777777", 12, "has 68719476735 bytes of data"},
        {"00000010000", 11, "has 4096 bytes of data, and the file ends at byte 2048"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) {
        tar_free(tar);
        tar_file(tar, "a", "abc", 3);
        put_size(tar, good[i].field, good[i].bytes);
        tar_end(tar);
        ASSERT_LIST(tar, "a 0 512+3\n");
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        tar_free(tar);
        tar_file(tar, "a", "abc", 3);
        put_size(tar, wrong[i].field, wrong[i].bytes);
        tar_end(tar);
        ASSERT_REFUSED(tar, wrong[i].word);
    }
    /* The same by PAX. */
    const char *const pax[] = {"9223372036854775807",    "18446744073709551616", "-1", "1x", " 1",
                               "99999999999999999999999"};
    for (size_t i = 0; i < sizeof pax / sizeof *pax; ++i) {
        char record[128];
        tar_free(tar);
        tar_pax(tar, 'x', pax_record(record, "size", pax[i]));
        tar_file(tar, "a", "abc", 3);
        tar_end(tar);
        ASSERT_REFUSED(tar, i == 0 ? "has 9223372036854775807 bytes" : "a PAX size that is no number");
    }
}

/* --- Ends --- */

static void test_ends(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    moco_tar_reader reader;
    moco_tar_entry entry;
    int32_t found = 0;
    /* Nothing but the end mark is an empty tar. */
    tar_end(tar);
    ASSERT_LIST(tar, "");
    /* Behind the blocks of zeros that end a tar, or one of them, another one may follow, as cat a.tar b.tar leaves it. */
    for (size_t blocks = 1; blocks <= 41; blocks += 20) {
        char expected[64];
        tar_free(tar);
        tar_file(tar, "a", "abc", 3);
        tar_append(tar, NULL, blocks * 512);
        tar_file(tar, "b", "abc", 3);
        snprintf(expected, sizeof expected, "a 0 512+3\nb 0 %zu+3\n", 1536 + blocks * 512);
        ASSERT_LIST(tar, expected);
        moco_tar_read_memory(&reader, tar->bytes, tar->size, "x.tar");
        for (int i = 0; i < 3; ++i) assert_int_equal(moco_tar_next(&reader, &entry, &found), MOCO_OK);
        assert_true(!found && reader.joined == 1 && reader.ended == MOCO_TAR_NO_END_MARK && reader.trailing_at == 0);
    }
    /* Other bytes there are none of the tar; an extended header must be followed by its entry at once. */
    tar_free(tar);
    tar_file(tar, "a", "abc", 3);
    tar_end(tar);
    tar_append(tar, "signature", 9);
    moco_tar_read_memory(&reader, tar->bytes, tar->size, "x.tar");
    for (int i = 0; i < 2; ++i) assert_int_equal(moco_tar_next(&reader, &entry, &found), MOCO_OK);
    assert_true(!found && reader.joined == 0 && reader.ended == MOCO_TAR_END_MARK && reader.trailing_at == 2048);
    tar_free(tar);
    tar_long_name(tar, 'L', "name");
    tar_append(tar, NULL, 512);
    tar_file(tar, "b", "abc", 3);
    ASSERT_REFUSED(tar, "the file ends after an extended header");
    /* No end mark, with and without the filling of the last block: told apart, not refused. */
    for (size_t cut = 0; cut <= 509; cut += 509) {
        tar_free(tar);
        tar_file(tar, "a", "abc", 3);
        tar->size -= cut;
        moco_tar_read_memory(&reader, tar->bytes, tar->size, "x.tar");
        assert_int_equal(moco_tar_next(&reader, &entry, &found), MOCO_OK);
        assert_int_equal(found, 1);
        assert_int_equal(reader.ended, 0);
        assert_int_equal(moco_tar_next(&reader, &entry, &found), MOCO_OK);
        assert_int_equal(found, 0);
        assert_int_equal(reader.ended, MOCO_TAR_NO_END_MARK);
        assert_int_equal(moco_tar_next(&reader, &entry, &found), MOCO_OK); /* and so it stays */
        assert_int_equal(found, 0);
    }
    tar_free(tar);
    ASSERT_REFUSED(tar, "x.tar is empty");
    tar_append(tar, "no tar", 6);
    ASSERT_REFUSED(tar, "x.tar is no tar");
    tar_free(tar);
    char text[2048];
    memset(text, 't', sizeof text);
    tar_append(tar, text, sizeof text);
    ASSERT_REFUSED(tar, "x.tar is no tar");
}

static void test_compressed(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    const struct {
        const char *bytes;
        size_t size;
        const char *word;
    } kinds[] = {
        {"\x1F\x8B\x08", 3, "gzip"},
        {"\x1F\x9D\x90", 3, "compress"},
        {"BZh91AY&SY", 10, "bzip2"},
        {"\xFD"
         "7zXZ\0",
         6, "xz"},
        {"\x28\xB5\x2F\xFD", 4, "zstd"},
        {"\x04\x22\x4D\x18", 4, "lz4"},
        {"LZIP\1", 5, "lzip"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
        for (int is_long = 0; is_long < 2; ++is_long) { /* a file shorter than a block, and a longer one */
            char word[64];
            tar_free(tar);
            tar_append(tar, kinds[i].bytes, kinds[i].size);
            if (is_long) tar_append(tar, NULL, 2000);
            snprintf(word, sizeof word, "x.tar is compressed with %s,", kinds[i].word);
            ASSERT_REFUSED(tar, word);
        }
    }
}

static void test_wrong_headers(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    char record[8192], value[5000];
    /* A checksum that is one too large; then the same by signed bytes, which is right. */
    tar_file(tar, "a", "abc", 3);
    tar_file(tar, "b", "abc", 3);
    tar->bytes[tar->header + 153]++;
    tar_end(tar);
    ASSERT_REFUSED(tar, "x.tar, byte 1024: a damaged header, whose checksum is wrong");
    tar_free(tar);
    tar_header(tar, "\xC3\xA4", '0', 0, PLAIN);
    unsigned sum = 0;
    memset(tar->bytes + 148, ' ', 8);
    for (int i = 0; i < 512; ++i) sum += (unsigned) (int) (int8_t) tar->bytes[i];
    snprintf((char *) tar->bytes + 148, 8, "%06o", sum);
    tar_end(tar);
    ASSERT_LIST(tar, "\xC3\xA4 0 512+0\n");

    const struct {
        const char *records, *word;
    } pax[] = {
        {"11 path=abcdef", "a PAX record that does not end its line"},
        {"99 path=x\n", "a PAX record of a wrong length"},
        {"2 path=x\n", "a PAX record of a wrong length"},
        {"0 path=x\n", "a PAX record of a wrong length"},
        {"path=x\n", "a PAX record of a wrong length"},
        {"99999999999999999999999999 path=x\n", "a PAX record of a wrong length"},
        {"12", "a PAX record of a wrong length"},
        {"8 pathx\n", "a PAX record without \"=\""},
        {"9 path=x\n11 path=y\n", "a PAX record of a wrong length"},
    };
    for (size_t i = 0; i < sizeof pax / sizeof *pax; ++i) {
        tar_free(tar);
        tar_pax(tar, 'x', pax[i].records);
        tar_file(tar, "a", "", 0);
        tar_end(tar);
        ASSERT_REFUSED(tar, pax[i].word);
    }
    memset(value, 'v', 4096);
    value[4096] = '\0';
    tar_free(tar);
    tar_pax(tar, 'x', pax_record(record, "path", value));
    tar_file(tar, "a", "", 0);
    ASSERT_REFUSED(tar, "a PAX path with a NUL byte or of more than 4095 bytes");
    memset(value, 'v', 4999);
    value[4999] = '\0';
    tar_free(tar);
    tar_pax(tar, 'x', pax_record(record, "path", value));
    tar_file(tar, "a", "", 0);
    ASSERT_REFUSED(tar, "a PAX path of more than 4095 bytes");
    tar_free(tar);
    tar_long_name(tar, 'L', value);
    tar_file(tar, "a", "", 0);
    ASSERT_REFUSED(tar, "a name of more than 4095 bytes");
    tar_free(tar);
    for (int i = 0; i < 20; ++i) tar_long_name(tar, 'L', "x");
    ASSERT_REFUSED(tar, "too many extended headers in a row");
    tar_free(tar);
    tar_long_name(tar, 'L', "x");
    ASSERT_REFUSED(tar, "the file ends after an extended header");
    tar_end(tar);
    ASSERT_REFUSED(tar, "the file ends after an extended header");
    tar_free(tar);
    tar_header(tar, "s", 'S', 0, GNU);
    tar->bytes[tar->header + 482] = 1;
    tar_seal(tar);
    ASSERT_REFUSED(tar, "the file ends within a sparse file's map");
    tar_free(tar);
    tar_header(tar, "PaxHeaders/x", 'x', (1 << 20) + 1, PLAIN);
    tar_append(tar, NULL, (1 << 20) + 512);
    ASSERT_REFUSED(tar, "a PAX header of more than 1 MiB");
}

/* --- Whatever the bytes --- */

/* Every kind of header once. */
static void make_varied(tar_bytes *tar) {
    char record[256], records[512], name[300], data[1500];
    memset(name, 'l', 299);
    name[299] = '\0';
    memset(data, 'd', sizeof data);
    tar_pax(tar, 'g', "13 comment=x\n");
    tar_header(tar, "a/", '5', 0, PLAIN);
    tar_file(tar, "a/x.png", data, 1500);
    tar_long_name(tar, 'L', name);
    tar_header(tar, "lll", '0', 512, GNU);
    tar_data(tar, data, 512);
    snprintf(records, sizeof records, "%s", pax_record(record, "path", "some/where.png"));
    strcat(records, pax_record(record, "size", "700"));
    tar_pax(tar, 'x', records);
    tar_header(tar, "short", '0', 0, PLAIN);
    tar_data(tar, data, 700);
    tar_header(tar, "sparse", 'S', 512, GNU);
    tar->bytes[tar->header + 482] = 1;
    tar_seal(tar);
    tar_append(tar, NULL, 512);
    tar_data(tar, data, 512);
    tar_header(tar, "hard", '1', 0, PLAIN);
    tar_end(tar);
}

/* At every length: an answer, and entries only as far as they are whole. */
static void test_truncations(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    char whole[8192], text[8192];
    make_varied(tar);
    const size_t size = tar->size;
    assert_int_equal(list(tar, whole, sizeof whole), MOCO_OK);
    for (size_t cut = 0; cut < size; ++cut) {
        /* In an allocation of just this size, so that a sanitizer sees a byte too many. */
        tar_bytes part = {.bytes = (uint8_t *) malloc(cut), .size = cut};
        if (cut > 0) memcpy(part.bytes, tar->bytes, cut);
        const moco_status status = list(&part, text, sizeof text);
        assert_true(status == MOCO_OK || status == MOCO_FORMAT);
        assert_memory_equal(text, whole, strlen(text));
        /* Cut in a header or in data, it is refused; only at a header's beginning it may pass. */
        if (status == MOCO_OK && cut % 512 != 0) {
            assert_true(cut > size - 1024 || strlen(text) > 0);
        }
        free(part.bytes);
    }
}

/* Headers whose bytes are changed at random, with a right checksum: nothing is read that is not there, and it ends. */
static void test_random_headers(void **state) {
    tar_bytes *tar = (tar_bytes *) *state;
    uint32_t random = 12345;
    int refused = 0;
    make_varied(tar);
    uint8_t *original = (uint8_t *) malloc(tar->size);
    memcpy(original, tar->bytes, tar->size);
    for (int round = 0; round < 20000; ++round) {
        char text[16384];
        const int changes = 1 + round % 4;
        memcpy(tar->bytes, original, tar->size);
        for (int i = 0; i < changes; ++i) {
            random = random * 1664525u + 1013904223u;
            const size_t block = (random >> 8) % (tar->size / 512);
            random = random * 1664525u + 1013904223u;
            const size_t at = round % 2 == 0 ? 100 + (random >> 8) % 60 : (random >> 8) % 512; /* often the numbers */
            random = random * 1664525u + 1013904223u;
            static const uint8_t odd[] = {0, ' ', '0', '7', '8', '9', 'x', 'L', 'S', 0x80, 0xFF, '1', '\n', '='};
            tar->bytes[block * 512 + at] = odd[(random >> 8) % sizeof odd];
            tar->header = block * 512;
            if (round % 8 != 0) tar_seal(tar);
        }
        const moco_status status = list(tar, text, sizeof text);
        assert_true(status == MOCO_OK || status == MOCO_FORMAT);
        refused += status != MOCO_OK;
    }
    free(original);
    assert_true(refused > 2000 && refused < 20000);
}

int main(void) {
#define TAR_TEST(test) cmocka_unit_test_setup_teardown(test, make_tar, free_tar)
    const struct CMUnitTest tests[] = {
        TAR_TEST(test_plain_kinds),   TAR_TEST(test_names),       TAR_TEST(test_gnu_long_names),
        TAR_TEST(test_pax),           TAR_TEST(test_hard_links),  TAR_TEST(test_sparse),
        TAR_TEST(test_sizes),         TAR_TEST(test_ends),        TAR_TEST(test_compressed),
        TAR_TEST(test_wrong_headers), TAR_TEST(test_truncations), TAR_TEST(test_random_headers),
    };
    return cmocka_run_group_tests_name("tar reader", tests, NULL, NULL);
}
