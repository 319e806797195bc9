/* What the tests of GPUs share: the emulator's driver, which can refuse and lose, and counts. */
#ifndef TESTS_GPU_DEVICE_FIXTURE_H
#define TESTS_GPU_DEVICE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/context.h"

#include <check.h> /* after ours: it defines a macro fail */

#define expect(code, call)                                                                   \
    do {                                                                                     \
        transformer_status expect_status = (call);                                           \
        ck_assert_msg(expect_status == (code), "%s is %s, not %s: %s", #call,                \
                      transformer_status_name(expect_status), transformer_status_name(code), \
                      transformer_last_error());                                             \
    } while (0)
#define says(part)                                                                 \
    ck_assert_msg(strstr(transformer_last_error(), part), "'%s' not in: %s", part, \
                  transformer_last_error())

/* Of tests/goldens/data; until the next call. */
const char *model_path(const char *name);
#define SMALL model_path("small/llama-gqa")

/* *model is NULL unless it is OK. */
transformer_status open_on(int32_t device, const char *path, transformer_model **model);

size_t live_bytes(void); /* of the device, as the emulator counts them */
void all_given_back(const char *after);
/* What has happened to a GPU is nothing to the CPU. */
void cpu_goes_on(void);

/* Runs the suite where the emulator's driver is (or, with emulated false, where none is); else says
 * why it is skipped. What main returns. */
int fixture_main(Suite *suite, bool emulated);

#endif
