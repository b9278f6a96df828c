/* Writes the zoo into a folder, or lists it:
 *   make_image_zoo FOLDER
 *   make_image_zoo --list
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "zoo/image_zoo.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_image_zoo FOLDER | --list\n");
        return 2;
    }
    if (strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < image_zoo_count(); ++i) {
            const zoo_entry *entry = image_zoo_get(i);
            if (entry->h > 0) {
                printf("%-44s %d x %d\n", entry->name, entry->h, entry->w);
            } else {
                printf("%-44s refused: %s\n", entry->name, entry->reason);
            }
        }
        return 0;
    }
    if ((mkdir(argv[1], 0777) != 0 && errno != EEXIST) || image_zoo_write(argv[1]) != 0) {
        fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    return 0;
}
