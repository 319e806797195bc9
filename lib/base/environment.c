#define _GNU_SOURCE
#include "base/environment.h"

#include <stdio.h>
#include <stdlib.h>

const char *environment_read(const char *name) {
    char whole[64];
    int n = snprintf(whole, sizeof whole, "TRANSFORMER_%s", name);
    return n > 0 && (size_t)n < sizeof whole ? secure_getenv(whole) : NULL;
}
