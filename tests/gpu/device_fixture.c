#define _GNU_SOURCE /* so that the header's own includes are whole */
#include "device_fixture.h"

#include <dlfcn.h>

#include "cuda/device.h"
#include "cuda/image.h"

enum { SKIPPED = 77 };

static void (*emulator_live)(size_t *n, size_t *bytes, size_t *n_host, size_t *n_handles);

const char *model_path(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/tests/goldens/data/%s.gguf", SOURCE_ROOT, name);
    return path;
}

transformer_status open_on(int32_t device, const char *path, transformer_model **model) {
    transformer_model_options options = {
        .struct_size = sizeof options, .path = path, .device = device};
    *model = NULL;
    return transformer_model_open(&options, model);
}

size_t live_bytes(void) {
    size_t n, bytes, n_host, n_handles;
    emulator_live(&n, &bytes, &n_host, &n_handles);
    return bytes;
}

void all_given_back(const char *after) {
    size_t n, bytes, n_host, n_handles;
    emulator_live(&n, &bytes, &n_host, &n_handles);
    ck_assert_msg(!n && !n_host && !n_handles,
                  "after %s: %zu blocks of the device, %zu of the host, %zu handles are left",
                  after, n, n_host, n_handles);
}

void cpu_goes_on(void) {
    transformer_generate_options text = {
        .struct_size = sizeof text, .tokens = (int32_t[]){1, 2, 3}, .n_tokens = 3, .max_tokens = 4};
    transformer_generate_result result = {.struct_size = sizeof result};
    transformer_context_options few = {.struct_size = sizeof few, .n_threads = 1};
    transformer_model *model = NULL;
    transformer_context *context = NULL;
    expect(TRANSFORMER_OK, open_on(0, SMALL, &model));
    expect(TRANSFORMER_OK, transformer_context_create(model, &few, &context));
    expect(TRANSFORMER_OK, transformer_generate(context, &text, NULL, NULL, &result));
    ck_assert_int_eq(result.n_prompt_tokens, 3);
    transformer_context_destroy(context);
    transformer_model_close(model);
}

static void *driver_symbol(const char *name) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    return library ? dlsym(library, name) : NULL;
}

static int skip(Suite *suite, const char *why) {
    printf("skipped: %s\n", why);
    srunner_free(srunner_create(suite));
    return SKIPPED;
}

int fixture_main(Suite *suite, bool emulated) {
    if (!image_n_parts && !device_image_file())
        return skip(suite, "the library was built without kernels");
    if (!emulated && driver_symbol("cuInit")) return skip(suite, "there is a driver");
    void *live = emulated ? driver_symbol("emulated_live") : NULL;
    if (emulated && !live) return skip(suite, "the driver is not the emulator's");
    memcpy(&emulator_live, &live, sizeof emulator_live);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed != 0;
}
