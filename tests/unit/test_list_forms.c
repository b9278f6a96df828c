/* The forms that a list of images may have: what each means, and that what could mean two things is refused when the
 * list is opened. Worked out by hand from the words of dataset.h and RFC 4180.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/dataset_internal.h"
#include "support/image_files.h"

static temporary_folder folder;
static kept_log logged;
static moco_context *context;

static int setup(void **state) {
    (void) state;
    make_temporary_folder(&folder);
    context = context_with_log(&logged, 1);
    return 0;
}

static int teardown(void **state) {
    (void) state;
    moco_context_destroy(context);
    remove_tree(folder.path);
    return 0;
}

static moco_status open_bytes(moco_dataset **dataset, const char *text, size_t size) {
    char description[TEST_PATH_SIZE + 64];
    forget_log(&logged);
    write_bytes_at(&folder, "lists/train.csv", text, size);
    snprintf(description, sizeof description, "filelist:%s/lists/train.csv", folder.path);
    return moco_dataset_open(dataset, context, description);
}

/* "path=label|path=label|..." of the list, with names where there are any. */
static void assert_rows(const char *text, const char *expected) {
    static char rows[4096], name[8300];
    moco_dataset *dataset = NULL;
    size_t length = 0;
    assert_succeeds(open_bytes(&dataset, text, strlen(text)));
    for (int64_t i = 0; i < moco_dataset_count(dataset); ++i) {
        int32_t label = -2;
        assert_succeeds(moco_dataset_label(dataset, i, &label));
        assert_succeeds(moco_dataset_name(dataset, i, name, sizeof name));
        const char *path = name[0] == '/' && strncmp(name, folder.path, strlen(folder.path)) == 0
                               ? name + strlen(folder.path) + strlen("/lists/")
                               : name;
        const char *class_name = moco_dataset_class_name(dataset, label);
        char number[16];
        snprintf(number, sizeof number, "%d", label);
        length += (size_t) snprintf(rows + length, sizeof rows - length, "%s%s=%s", i == 0 ? "" : "|", path,
                                    class_name == NULL ? number : class_name);
    }
    assert_string_equal(rows, expected);
    moco_dataset_destroy(dataset);
}

static void assert_refused(const char *text, const char *word) {
    moco_dataset *dataset = NULL;
    assert_refuses(open_bytes(&dataset, text, strlen(text)), MOCO_FORMAT, word);
    assert_non_null(strstr(moco_last_error(), "lists/train.csv"));
    assert_null(dataset);
}

static void headers_name_their_columns(void **state) {
    (void) state;
    assert_rows("filename,label\na.png,3\nb/c.jpg,0\n", "a.png=3|b/c.jpg=0");
    assert_non_null(strstr(logged.text, "paths are in the column \"filename\", labels in \"label\""));
    assert_rows("label,path\r\ncat,a.png\r\nant,b.png", "a.png=cat|b.png=ant");
    assert_rows("\xEF\xBB\xBFImage_Path;Width;Class Name\na.png;5;x\nb.png;6;\n\nc.png;7;y\n",
                "a.png=x|b.png=-1|c.png=y");
    assert_rows("file\ttarget\na b.png\t2\nc.png\t-1\n", "a b.png=2|c.png=-1");
    assert_rows("\"image\" , \"category\"\na.png , cat \n", "a.png=cat");
    assert_rows("image\na.png\n\"b,c.png\"\n", "a.png=-1|b,c.png=-1");
    assert_rows("id,class_id,class\na.png,1,cat\n", "a.png=cat"); /* "class" before "class_id" */
    assert_rows("path,label\nC:\\x y.png,cat's\n", "C:\\x y.png=cat's");
}

static void fields_are_quoted_as_rfc_4180_says(void **state) {
    (void) state;
    assert_rows("path,label\n\"a, b.png\",\"the \"\"big\"\" cat\"\n\"c.png\",x\n", "a, b.png=the \"big\" cat|c.png=x");
    assert_rows("path,label\r\n\"a\nb.png\",\"x\ny\"\r\nc.png,z\r\n", "a\nb.png=x\ny|c.png=z"); /* lines in a field */
    assert_rows("path;label\n\" a.png\";\" x \"\n", " a.png= x ");
    assert_rows("path,label\n\"\"\"q\"\".png\",\"\"\n", "\"q\".png=-1");
    assert_refused("path,label\na.png,1\n\"b.png,2\n", "line 3: a quote is opened and not closed");
    assert_refused("path,label\n\"a\nb\"x.png,1\n", "line 2: text follows a closing quote");
    assert_refused("path,label\n\"a\nb.png\",1\nc.png\n", "line 4: 1 columns, where the header has 2 (comma)");
}

static void lines_without_a_header(void **state) {
    (void) state;
    assert_rows("a.png,3\nb c.png,1\n", "a.png=3|b c.png=1");
    assert_rows("a.png;cat\nb.png; ant hill\nc.png;\n", "a.png=cat|b.png=ant hill|c.png=-1");
    assert_rows("n01440764/x_1.JPEG 0\nn02/my photo.jpg  17\n", "n01440764/x_1.JPEG=0|n02/my photo.jpg=17");
    assert_rows("a, b.png\nc d.png\ne.png\n", "a, b.png=-1|c d.png=-1|e.png=-1"); /* paths, as not all have a comma */
    assert_rows("My Photos/a.png\nMy Photos/b.png\n", "My Photos/a.png=-1|My Photos/b.png=-1");
    assert_rows("My Photos/a.gif\nb c.heic\n", "My Photos/a.gif=-1|b c.heic=-1"); /* whatever these may hold */
    assert_rows("\"a,b.png\"\n\"c,d.png\"\n", "a,b.png=-1|c,d.png=-1");
    assert_rows("a,b.png\t\nc,d.png\t\n", "a,b.png=-1|c,d.png=-1");
    assert_rows("noending\nimage.txt\n", "noending=-1|image.txt=-1");
    assert_rows("a,b.png\tx,y\nc.png\n", "a,b.png=x,y|c.png=-1"); /* with tabs, commas are parts of things */
}

static void what_could_mean_two_things_is_refused(void **state) {
    (void) state;
    const char *what = "write path<TAB>label (a tab at the end for a path alone), or begin with a header";
    assert_refused("cat,a.png\ndog,b.png\n", "line 1: in every line something may be a label before a path");
    assert_refused("7 a.png\n8 b.png\n", "line 1: in every line something may be a label before a path");
    assert_refused("a.png\nb.png,3\n", "line 2: a comma, and whether it parts a path from a label is not clear");
    assert_refused("a.png\nb.png 3\n", what);
    assert_refused("a.png,3\nb.png\n", "line 2: this is no path, comma and label, as the first line is");
    assert_refused("a.png,3\nb.png;3\n", "line 2: this is no path, comma and label");
    assert_refused("a.png,3,7\n", "line 1: a comma, and whether it parts");
    assert_refused("id_code,diagnosis\n000c1434d8d7,2\n", "line 1: a comma, and whether it parts");
    assert_refused("label,pixel0,pixel1\n5,0,0\n", "line 1: this header names no column of paths");
    assert_refused("a.gif 3\n", "line 1: a blank, and whether it parts");
    assert_refused("a.gif 3.5\n", "line 1: a blank, and whether it parts");
    assert_refused("name with blanks\n", "line 1: a blank, and whether it parts");
    assert_refused("a.png\t1\nb.png,2\n", "line 2: there is no tab between path and label");
    assert_refused("path,label\na.png,1\nb.png\n", "line 3: 1 columns, where the header has 2");
    assert_refused("path,label\na.png,1,2\n", "line 2: 3 columns, where the header has 2");
    assert_refused("path,label\n,1\n", "line 2: the path is missing");
    assert_refused("path,label\na.png,1\n\nb.png,cat\n", "line 4: the label \"cat\" is no number");
    assert_refused("path,label\n", "names no image");
    moco_dataset *dataset = NULL;
    assert_refuses(open_bytes(&dataset, "\xFF\xFEp\0a\0", 6), MOCO_FORMAT, "train.csv is text in UTF-16");
    assert_refuses(open_bytes(&dataset, "path,label\na\0.png,1\n", 20), MOCO_FORMAT, "line 2: there is a NUL byte");
    assert_refuses(open_bytes(&dataset, "path,label\na.png,\0\n", 19), MOCO_FORMAT, "line 2: there is a NUL byte");
    assert_null(dataset);
}

/* What lists of boxes and of several labels hold; a class's name may have blanks where it is clear where it begins. */
static void several_labels_are_refused(void **state) {
    (void) state;
    const char *no_name = "a class's name is no number with a sign, nor several numbers";
    assert_refused("x.png 0 0 10 10\n", "line 1: a blank, and whether it parts");
    assert_refused("x.png 0 1 0\ny.png 1 0 0\n", "write path<TAB>label");
    assert_refused("x.png 0\ny.png 1 0\n", "line 2: this is no path, blank and label");
    assert_refused("x.png ant hill\n", "line 1: a blank, and whether it parts");
    assert_refused("x.png\t0 1 0\n",
                   "line 1: the label \"0 1 0\" is no number from 0 to 2147483646 (or -1 for none); a");
    assert_refused("x.png\t0.5 0.25 .5\n", no_name);
    assert_refused("x.png,0 0 10 10\n", no_name);
    assert_refused("path,label\nx.png,\"1 2\"\n", "line 2: the label \"1 2\"");
    assert_refused("x.png,-2\n", "line 1: the label \"-2\" is no number from 0");
    assert_refused("path,label\nx.png,\ny.png,+1.5\n", "line 3: the label \"+1.5\"");
    assert_refused("x.png 3\ny.png -2\n",
                   "line 2: the label \"-2\" is no number from 0 to 2147483646 (or -1 for none), as");
    assert_rows("x.png\tant hill\ny.png\t7 up\n", "x.png=ant hill|y.png=7 up");
    assert_rows("x.png,ant hill\n", "x.png=ant hill");
    assert_rows("path label.png x\n", "path label.png=x");
    assert_rows("x.png\t1-2\ny.png\t-x\nz.png\t1.5\n", "x.png=1-2|y.png=-x|z.png=1.5");
}

/* What is not wrong, and may be not what was meant, is said. */
static void warnings(void **state) {
    (void) state;
    write_png_at(&folder, "lists/a.png", 1, 1, 0);
    assert_rows("path,label\nb.png,1\na.png,1\n", "b.png=1|a.png=1"); /* one of the first is there */
    assert_null(strstr(logged.text, "1: "));
    assert_rows("id,breed\nb,1\nc,1\n", "b=-1|c=-1");
    assert_non_null(strstr(logged.text, "none of the first 2 images is there, such as \"b\""));
    assert_non_null(strstr(logged.text, "no column of its header is called label, class, category or target"));
    assert_rows("path,label,split\na.png,1,train\n", "a.png=1");
    assert_non_null(strstr(logged.text, "its column \"split\" is not heeded"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(headers_name_their_columns, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_are_quoted_as_rfc_4180_says, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_without_a_header, setup, teardown),
        cmocka_unit_test_setup_teardown(what_could_mean_two_things_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(several_labels_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(warnings, setup, teardown),
    };
    return cmocka_run_group_tests_name("forms of lists", tests, NULL, NULL);
}
