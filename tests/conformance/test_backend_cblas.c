/* With the argument "blocked": layers are offered their inputs in the blocked layout instead of PLAIN. */
#include "conformance/backend_suite.h"

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "blocked") == 0) {
        if (!offer_own_layout("cblas") || offered_layout == MOCO_LAYOUT_PLAIN) {
            print_message("left out: this processor has no registers for a block\n");
            return 77; /* CTest's SKIP_RETURN_CODE */
        }
    }
    return run_backend_suite("cblas");
}
