/* The zip reader: archives that PyTorch and others write are read; whatever could be read in two ways, hides bytes or wants
 * more than it is, is refused with the reason.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/crc32.h"
#include "io/zip_reader.h"
#include "support/counted_memory.h"
#include "support/torch_bytes.h"

static moco_zip *zip;
static moco_byte_source source;

static moco_status open_bytes(moco_context *context, const torch_bytes *bytes) {
    zip = NULL;
    assert_int_equal(moco_byte_source_memory(&source, context, "test.zip", bytes->data, bytes->size), MOCO_OK);
    return moco_zip_open(&zip, context, &source);
}

static void close_bytes(void) {
    moco_zip_close(zip);
    moco_byte_source_close(&source);
    zip = NULL;
}

/* Ends the archive, which must be refused so. */
static void assert_refused(const char *what, zip_maker *maker, const zip_end_lies *lies, moco_status expected,
                           const char *word) {
    zip_finish(maker, lies);
    unsigned char *copy = (unsigned char *) malloc(maker->file.size); /* without a byte to spare */
    assert_non_null(copy);
    memcpy(copy, maker->file.data, maker->file.size);
    const torch_bytes bytes = {copy, maker->file.size, 0};
    counted_memory memory = {0};
    moco_context *context = counted_context(&memory);
    const moco_status status = open_bytes(context, &bytes);
    if (status != expected) fail_msg("%s: status %d, %s", what, status, moco_last_error());
    if (strstr(moco_last_error(), word) == NULL || strstr(moco_last_error(), "test.zip") == NULL) {
        fail_msg("%s: \"%s\" does not say %s", what, moco_last_error(), word);
    }
    if (memory.most > 100000 + 8 * bytes.size) fail_msg("%s: %zu bytes of memory", what, memory.most);
    close_bytes();
    moco_context_destroy(context);
    assert_int_equal(memory.now, 0);
    free(copy);
    free(maker->file.data);
    memset(maker, 0, sizeof *maker);
}

/* --- Checksums --- */

static void checksums_are_those_of_zip(void **state) {
    (void) state;
    unsigned char bytes[5000];
    assert_int_equal(moco_crc32(0, "123456789", 9), 0xcbf43926); /* the check value of the CRC catalogue */
    assert_int_equal(moco_crc32(0, "", 0), 0);
    for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = (unsigned char) (i * 197 + i / 256);
    for (size_t size = 900; size < 1200; ++size) {
        assert_int_equal(moco_crc32(0, bytes, size), slow_crc32(bytes, size)); /* where the tables begin to pay */
    }
    const uint32_t whole = slow_crc32(bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 313) {
        assert_int_equal(moco_crc32(moco_crc32(0, bytes, cut), bytes + cut, sizeof bytes - cut), whole);
    }
}

/* --- Archives that are right --- */

static void assert_read(zip_maker *maker, const zip_end_lies *lies) {
    zip_finish(maker, lies);
    if (open_bytes(NULL, &maker->file) != MOCO_OK) fail_msg("%s", moco_last_error());
    assert_int_equal(moco_zip_count(zip), 3);
    static const char *const names[] = {"a/data.pkl", "a/data/0", "a/data/1"}; /* sorted */
    static const char *const contents[] = {"first", "", "third one"};
    for (int i = 0; i < 3; ++i) {
        char bytes[16] = {0};
        const moco_zip_entry *entry = moco_zip_get(zip, i);
        assert_string_equal(entry->name, names[i]);
        assert_int_equal(entry->size, strlen(contents[i]));
        assert_int_equal(moco_zip_find(zip, names[i]), i);
        assert_int_equal(moco_zip_read(zip, i, 0, bytes, (size_t) entry->size), MOCO_OK);
        assert_string_equal(bytes, contents[i]);
        assert_memory_equal(maker->file.data + entry->data, contents[i], (size_t) entry->size);
    }
    char part[4] = {0};
    assert_int_equal(moco_zip_read(zip, 2, 2, part, 3), MOCO_OK);
    assert_string_equal(part, "ird");
    assert_int_equal(moco_zip_read(zip, 2, 7, part, 3), MOCO_FORMAT);
    assert_int_equal(moco_zip_read(zip, 3, 0, part, 1), MOCO_INVALID_ARGUMENT);
    assert_int_equal(moco_zip_find(zip, "a/data"), -1);
    assert_null(moco_zip_get(zip, 3));
    close_bytes();
    free(maker->file.data);
    memset(maker, 0, sizeof *maker);
}

static void good_archives_are_read(void **state) {
    (void) state;
    static const zip_lies kinds[] = {
        {0},
        {.flags = 0x800},
        {.zip64 = 1},
        {.descriptor = 12},
        {.descriptor = 16},
        {.descriptor = 20},
        {.descriptor = 24},
        {.descriptor = 16, .zip64 = 1, .align = 1},
        {.align = 1},
        {.no_crc = 1},
        {.attributes = 0x81a40000}, /* a regular file of Unix */
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        for (int end = 0; end < 3; ++end) {
            static const zip_end_lies ends[] = {{0}, {.zip64 = 1}, {.zip64 = 1, .entries = 3}};
            zip_maker maker = {0};
            zip_add(&maker, "a/data/1", "third one", 9, &kinds[i]);
            zip_add(&maker, "a/data.pkl", "first", 5, &kinds[i]);
            zip_add(&maker, "a/data/0", "", 0, &kinds[i]);
            assert_read(&maker, &ends[end]);
        }
    }
    zip_maker empty = {0};
    zip_finish(&empty, NULL);
    assert_int_equal(open_bytes(NULL, &empty.file), MOCO_OK);
    assert_int_equal(moco_zip_count(zip), 0);
    close_bytes();
    free(empty.file.data);
}

/* --- Archives that lie --- */

static void entries_that_lie(void **state) {
    (void) state;
    static const struct {
        const char *what;
        zip_lies lies;
        moco_status status;
        const char *word;
    } cases[] = {
        {"deflated", {.method = 8}, MOCO_UNSUPPORTED, "deflate"},
        {"another method", {.method = 14}, MOCO_UNSUPPORTED, "method 14"},
        {"encrypted", {.flags = 1}, MOCO_UNSUPPORTED, "encrypted"},
        {"strongly encrypted", {.flags = 0x41}, MOCO_UNSUPPORTED, "encrypted"},
        {"masked headers", {.flags = 0x2000}, MOCO_UNSUPPORTED, "encrypted"},
        {"patched data", {.flags = 0x20}, MOCO_FORMAT, "flags"},
        {"a symbolic link", {.attributes = 0xa1ff0000}, MOCO_FORMAT, "symbolic link"},
        {"another disk", {.disk = 1}, MOCO_FORMAT, "another disk"},
        {"flags that differ", {.flags = 0x800, .local_flags = 0x800}, MOCO_FORMAT, "contradicts the directory"},
        {"names that differ", {.other_name = 1}, MOCO_FORMAT, "contradicts the directory"},
        {"sizes that differ", {.other_size = 1}, MOCO_FORMAT, "contradicts the directory"},
        {"checksums that differ", {.directory_crc = 1}, MOCO_FORMAT, "contradicts the directory"},
        {"stored in two sizes", {.directory_two_sizes = 1}, MOCO_FORMAT, "two sizes differ"},
        {"a size of 4 GB", {.directory_size = 0xfffffffe, .descriptor = 16}, MOCO_FORMAT, "runs into the directory"},
        {"a size of 2^63",
         {.directory_size = (uint64_t) 1 << 63, .zip64 = 1, .descriptor = 24},
         MOCO_FORMAT,
         "runs into the directory"},
        {"a size of 2^64 - 1",
         {.directory_size = UINT64_MAX, .zip64 = 1, .descriptor = 24},
         MOCO_FORMAT,
         "runs into the directory"},
        {"a header far away", {.directory_header = 0x7fffffff}, MOCO_FORMAT, "behind the entries"},
        {"a header at 2^64 - 2", {.directory_header = UINT64_MAX, .zip64 = 1}, MOCO_FORMAT, "behind the entries"},
        {"a header in the data", {.directory_header = 4}, MOCO_FORMAT, "no local header"},
        {"a short Zip64 field", {.zip64 = 2}, MOCO_FORMAT, "Zip64 field that is too short"},
        {"no Zip64 field", {.zip64 = 3}, MOCO_FORMAT, "which it lacks"},
        {"two Zip64 fields", {.zip64 = 4}, MOCO_FORMAT, "two Zip64 fields"},
        {"a descriptor with another size", {.descriptor = -16}, MOCO_FORMAT, "descriptor that contradicts"},
        {"a wide descriptor with another size", {.descriptor = -24}, MOCO_FORMAT, "descriptor that contradicts"},
        {"a shorter size than there is", {.directory_size = 4, .descriptor = 16}, MOCO_FORMAT, "belong to nothing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        zip_maker maker = {0};
        zip_add(&maker, "a/data.pkl", "0123456789", 10, &cases[i].lies);
        assert_refused(cases[i].what, &maker, NULL, cases[i].status, cases[i].word);
    }
}

static void ends_that_lie(void **state) {
    (void) state;
    static const struct {
        const char *what;
        zip_end_lies lies;
        const char *word;
    } cases[] = {
        {"a comment", {.comment = 1}, "without a comment"},
        {"one entry more", {.more_entries = 1}, "more entries than its directory has room for"},
        {"one entry less", {.more_entries = -1}, "more than the entries"},
        {"65535 entries", {.more_entries = 65534}, "more entries than its directory has room for"},
        {"2^62 entries", {.zip64 = 1, .entries = (uint64_t) 1 << 62}, "more entries than its directory has room for"},
        {"two disks", {.disk = 1}, "several disks"},
        {"a gap before the directory", {.gap = 1}, "belong to nothing"},
        {"a gap behind the directory", {.behind = 1}, "right before its end"},
        {"a directory elsewhere", {.at = 1}, "right before its end"},
        {"a larger directory", {.size = 1 << 20}, "right before its end"},
        {"a directory of 2^63", {.size = (uint64_t) 1 << 63, .zip64 = 1}, "right before its end"},
        {"a smaller directory", {.size = 45}, "right before its end"},
        {"a Zip64 locator to nowhere", {.zip64 = 2}, "Zip64 locator"},
        {"two ends that differ", {.zip64 = 3}, "contradict each other"},
        {"no Zip64 end", {.zip64 = 4}, "Zip64 end record is none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        zip_maker maker = {0};
        zip_add(&maker, "a/data.pkl", "0123456789", 10, NULL);
        assert_refused(cases[i].what, &maker, &cases[i].lies, MOCO_FORMAT, cases[i].word);
    }
}

static void names_that_trick(void **state) {
    (void) state;
    static const char *const names[] = {
        "/etc/passwd", "../data.pkl", "a/../../data.pkl", "a/..",           ".",       "a/./data.pkl",  "a//data.pkl",
        "a/",          "a\\data.pkl", "C:data.pkl",       "a/data.pkl\r\n", "\x1b[2J", "a/data.pkl\x7f"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        zip_maker maker = {0};
        zip_add(&maker, names[i], "x", 1, NULL);
        assert_refused(names[i], &maker, NULL, MOCO_FORMAT, "the entry");
    }
    zip_maker maker = {0};
    zip_add(&maker, "", "x", 1, NULL);
    assert_refused("no name", &maker, NULL, MOCO_FORMAT, "empty");
    char longest[1200];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    zip_add(&maker, longest, "x", 1, NULL);
    assert_refused("a long name", &maker, NULL, MOCO_FORMAT, "longer than 1024");
    zip_add(&maker, "a.b", "x", 1, NULL);
    maker.directory.data[47] = '\0';
    assert_refused("a zero in a name", &maker, NULL, MOCO_FORMAT, "a zero in it");
}

/* Two entries that would both be read, or the same bytes in two of them: what zip bombs are made of. */
static void entries_that_share(void **state) {
    (void) state;
    zip_maker maker = {0};
    zip_add(&maker, "a/data.pkl", "one", 3, NULL);
    zip_add(&maker, "a/data.pkl", "two", 3, NULL);
    assert_refused("the same name twice", &maker, NULL, MOCO_FORMAT, "is there twice");

    zip_add(&maker, "a/data.pkl", "one", 3, NULL); /* one entry, named twice by the directory */
    torch_bytes once = {0};
    put_bytes(&once, maker.directory.data, maker.directory.size);
    put_bytes(&maker.directory, once.data, once.size);
    free(once.data);
    maker.count = 2;
    assert_refused("the same entry twice", &maker, NULL, MOCO_FORMAT, "overlaps the next");

    zip_maker inner = {0}; /* an entry whose data are another one, header and all */
    zip_add(&inner, "a/data/1", "0123456789", 10, NULL);
    zip_add(&maker, "a/data/0", inner.file.data, inner.file.size, NULL);
    const zip_lies inside = {.directory_header = 1 + 30 + 8};
    zip_maker scratch = {0};
    zip_add(&scratch, "a/data/1", "0123456789", 10, &inside);
    put_bytes(&maker.directory, scratch.directory.data, scratch.directory.size);
    maker.count = 2;
    free(inner.file.data);
    free(inner.directory.data);
    free(scratch.file.data);
    free(scratch.directory.data);
    assert_refused("one in another", &maker, NULL, MOCO_FORMAT, "overlaps the next");

    PUT(&maker.file, "#!/bin/sh\n");
    zip_add(&maker, "a/data.pkl", "one", 3, NULL);
    assert_refused("bytes before", &maker, NULL, MOCO_FORMAT, "before its first entry");
    zip_add(&maker, "a/data.pkl", "one", 3, NULL);
    PUT(&maker.file, "hidden bytes");
    zip_add(&maker, "a/data/0", "two", 3, NULL);
    assert_refused("bytes between", &maker, NULL, MOCO_FORMAT, "belong to nothing");
}

/* --- Damage --- */

static void damage_does_no_harm(void **state) {
    (void) state;
    zip_maker maker = {0};
    const zip_lies plain = {.align = 1, .descriptor = 16};
    zip_add(&maker, "a/data.pkl", "first", 5, &plain);
    zip_add(&maker, "a/data/0", "second one", 10, NULL);
    const zip_end_lies wide = {.zip64 = 1};
    zip_finish(&maker, &wide);
    const torch_bytes *file = &maker.file;
    char target[64];
    for (size_t size = 0; size < file->size; ++size) {
        const torch_bytes cut = {file->data, size, 0};
        assert_int_equal(open_bytes(NULL, &cut), MOCO_FORMAT);
        close_bytes();
    }
    for (size_t bit = 0; bit < 8 * file->size; ++bit) {
        file->data[bit / 8] ^= (unsigned char) (1u << bit % 8);
        const moco_status status = open_bytes(NULL, file);
        assert_true(status == MOCO_OK || status == MOCO_FORMAT || status == MOCO_UNSUPPORTED);
        for (int64_t i = 0; zip != NULL && i < moco_zip_count(zip); ++i) {
            const uint64_t size = moco_zip_get(zip, i)->size;
            assert_true(size <= sizeof target);
            (void) moco_zip_read(zip, i, 0, target, (size_t) size);
        }
        close_bytes();
        file->data[bit / 8] ^= (unsigned char) (1u << bit % 8);
    }
    /* A changed byte of an entry's data opens, but is not read. */
    file->data[64] ^= 1;
    assert_int_equal(file->data[64], 'f' ^ 1);
    assert_int_equal(open_bytes(NULL, file), MOCO_OK);
    assert_int_equal(moco_zip_read(zip, 0, 0, target, 5), MOCO_FORMAT);
    assert_non_null(strstr(moco_last_error(), "checksum"));
    close_bytes();
    free(file->data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums_are_those_of_zip), cmocka_unit_test(good_archives_are_read),
        cmocka_unit_test(entries_that_lie),           cmocka_unit_test(ends_that_lie),
        cmocka_unit_test(names_that_trick),           cmocka_unit_test(entries_that_share),
        cmocka_unit_test(damage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
