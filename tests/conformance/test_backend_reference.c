#include "conformance/backend_suite.h"

int main(void) {
    return run_backend_suite("reference");
}
