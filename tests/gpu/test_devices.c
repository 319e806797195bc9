/* GPUs as the API shows them, weights on them, and what happens when they refuse, fail or are not
 * there: on the emulator's driver, each test in a process of its own. Without arguments; with
 * "none", where there is no driver. */
#define _GNU_SOURCE /* setenv */
#include "cuda/image.h"
#include "cuda/kernels/elementwise/elementwise_args.h"
#include "cuda/weight_layout.h"
#include "cuda/weights.h"
#include "device_fixture.h"
#include "tests/fault/faults.h"

/* A GPU that can't be used is none: counted so, told so, and no failure of the calls that tell. */
static void no_gpu(const char *why) {
    transformer_model *model;
    transformer_device_details details = {.struct_size = sizeof details};
    expect(TRANSFORMER_NOT_FOUND, transformer_device_info(-1, &details));
    char before[1024];
    strcpy(before, transformer_last_error());
    ck_assert_int_eq(transformer_device_count(), 1);
    const char *info = transformer_build_info();
    ck_assert_str_eq(transformer_last_error(), before);
    ck_assert_msg(strstr(info, why), "'%s' not in: %s", why, info);
    ck_assert_ptr_nonnull(strstr(info, "numbers law"));
    expect(TRANSFORMER_NOT_FOUND, transformer_device_info(1, &details));
    says(why);
    expect(TRANSFORMER_NOT_FOUND, open_on(1, SMALL, &model));
    says(why);
    ck_assert_ptr_null(model);
    cpu_goes_on();
}

/* ---- which there are ---- */

START_TEST(no_driver) {
    no_gpu("no CUDA driver");
}
END_TEST

START_TEST(unusable) {
    static const struct {
        const char *name, *value, *why;
    } cases[] = {
        {"EMULATED_DRIVER", "11080", "11.8"},
        {"EMULATED_DEVICES", "0", "no device"},
        {"EMULATED_INIT", "100", "no device"},
        {"EMULATED_INIT", "803", "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"},
        {"EMULATED_INIT", "999", "cuInit"},
        {"EMULATED_CAPABILITY", "7.5", "compute capability 8.0"},
    };
    setenv(cases[_i].name, cases[_i].value, 1);
    no_gpu(cases[_i].why);
    all_given_back("looking for devices");
}
END_TEST
enum { N_UNUSABLE = 6 };

/* Kernels of a newer CUDA than the driver's. */
START_TEST(driver_before_the_kernels) {
    char version[16], needed[64];
    snprintf(version, sizeof version, "%d", image_least_driver() - 10);
    snprintf(needed, sizeof needed, "%d.0", image_least_driver() / 1000);
    if (image_least_driver() <= 12000) return; /* the driver's own least */
    setenv("EMULATED_DRIVER", version, 1);
    no_gpu(needed);
}
END_TEST

START_TEST(described) {
    transformer_device_details details = {.struct_size = sizeof details};
    transformer_model *model;
    setenv("EMULATED_CAPABILITY", "9.0", 1);
    setenv("EMULATED_DEVICES", "2", 1);
    setenv("EMULATED_MEMORY", "1073741824", 1);
    ck_assert_int_eq(transformer_device_count(), 3);
    expect(TRANSFORMER_OK, transformer_device_info(2, &details));
    ck_assert_str_eq(details.kind, "cuda");
    ck_assert_str_eq(details.name, "emulated");
    ck_assert_str_eq(details.path, "sm_90");
    ck_assert_uint_eq(details.memory_bytes, 1u << 30);
    ck_assert_uint_eq(details.n_processors, 132);
    expect(TRANSFORMER_OK, transformer_device_info(0, &details));
    ck_assert_str_eq(details.kind, "cpu");
    expect(TRANSFORMER_NOT_FOUND, transformer_device_info(3, &details));
    says("the last one is 2");
    expect(TRANSFORMER_NOT_FOUND, open_on(3, SMALL, &model));
    ck_assert_ptr_nonnull(strstr(transformer_build_info(), "2 devices"));
    all_given_back("describing devices");
}
END_TEST

/* ---- weights ---- */

static void fetch(struct device *device, void *to, const void *from, size_t bytes) {
    expect(OK, device_download(device, NULL, to, from, bytes));
    expect(OK, device_stream_wait(device, NULL));
}

static void check_matrix(struct device *device, const struct cuda_weight *weight,
                         const uint8_t *rows, const char *name) {
    size_t tile_bytes = weight_layout_tile_bytes(weight->type, weight->n_cols);
    size_t row_bytes = weight_type_row_bytes(weight->type, weight->n_cols);
    void *tile = malloc(tile_bytes);
    float *found = malloc(weight->n_cols * sizeof *found);
    float *right = malloc(weight->n_cols * sizeof *right);
    for (size_t row = 0; row < weight->n_rows; row++) {
        if (row % LAYOUT_ROWS == 0)
            fetch(device, tile, (uint8_t *)weight->tiles + row / LAYOUT_ROWS * tile_bytes,
                  tile_bytes);
        weight_layout_unpack_row(weight->type, tile, row % LAYOUT_ROWS, weight->n_cols, found);
        weight_type_traits[weight->type].dequantize(rows + row * row_bytes, right, weight->n_cols);
        for (size_t i = 0;
             i < weight->n_cols && weight_layout_type(weight->type) != (uint32_t)weight->type; i++)
            right[i] = bfloat16_to_float(bfloat16_from_float(right[i]));
        ck_assert_msg(!memcmp(found, right, weight->n_cols * sizeof *right), "%s: row %zu", name,
                      row);
    }
    free(tile), free(found), free(right);
}

static void check_vector(struct device *device, const struct cuda_weight *weight,
                         const void *values, const char *name) {
    float *found = malloc(weight->n_cols * sizeof *found);
    float *right = malloc(weight->n_cols * sizeof *right);
    weight_type_traits[weight->type].dequantize(values, right, weight->n_cols);
    fetch(device, found, weight->vector, weight->n_cols * sizeof *found);
    ck_assert_msg(!memcmp(found, right, weight->n_cols * sizeof *right), "%s", name);
    ck_assert_msg(!memcmp(weight->host_vector, right, weight->n_cols * sizeof *right), "%s", name);
    free(found), free(right);
}

/* Every weight of the model lies on the device with the values of the file. */
static void check_weights(const char *path, bool read) {
    transformer_model_options options = {.struct_size = sizeof options,
                                         .path = path,
                                         .device = 1,
                                         .load_mode = read ? TRANSFORMER_LOAD_READ : 0};
    struct checkpoint_options file = {.path = path};
    struct memory memory;
    struct checkpoint *checkpoint = NULL;
    transformer_model *model = NULL;
    memory_init(&memory, NULL);
    expect(OK, checkpoint_open(&memory, &file, &checkpoint));
    expect(OK, transformer_model_open(&options, &model));
    const struct spec *spec = model->spec;
    struct device *device = model->weights->device;
    struct device_caller caller;
    expect(OK, device_enter(device, &caller));
    for (int i = 0; i < spec->n_weights; i++) {
        const struct tensor *tensor = spec->weights[i].tensor;
        const struct cuda_weight *weight = &model->weights->weights[i];
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)tensor->name.length, tensor->name.data);
        const void *data = NULL;
        expect(OK, checkpoint_data(checkpoint, checkpoint_tensor(checkpoint, name), 0,
                                   (size_t)tensor->bytes, NULL, &data));
        if (spec->weights[i].vector)
            check_vector(device, weight, data, name);
        else
            check_matrix(device, weight, data, name);
    }
    device_leave(device, &caller);
    transformer_model_close(model);
    checkpoint_close(checkpoint);
    all_given_back(path);
}

static const char *const typed[] = {"f16",   "bf16",   "q4_0",   "q4_1",  "q5_0",  "q5_1",
                                    "q8_0",  "q2_k",   "q3_k",   "q4_k",  "q5_k",  "q6_k",
                                    "q8_k",  "iq4_nl", "iq4_xs", "mxfp4", "nvfp4", "tq1_0",
                                    "iq1_m", "iq2_xs", "iq3_s"};
enum { N_TYPED = sizeof typed / sizeof *typed };

START_TEST(weights_of_every_type) {
    char name[64];
    snprintf(name, sizeof name, "quantized/llama-%s", typed[_i]);
    check_weights(model_path(name), false);
}
END_TEST

/* Shapes that are no multiples of a tile; biases, tied embeddings, rope factors; work that is done
 * only when it is waited for, so that a piece packed too early would be seen. */
START_TEST(weights_of_odd_shapes) {
    if (_i) setenv("EMULATED_LAZY", "1", 1);
    check_weights(model_path("small/llama-mqa-biases"), _i);
    check_weights(model_path("small/llama-tiny-heads"), _i);
    check_weights(model_path("small/qwen2-odd-head"), _i);
    check_weights(model_path("small/llama-rope-llama3"), _i);
    check_weights(model_path("small/gemma3-62-layers"), _i);
}
END_TEST

START_TEST(measured) {
    struct faulty_memory counting = {0};
    transformer_allocator allocator = faulty_memory_allocator(&counting);
    transformer_model_options options = {
        .struct_size = sizeof options, .path = SMALL, .device = 1, .allocator = &allocator};
    transformer_memory_estimate estimate = {0};
    transformer_model *model = NULL;
    expect(OK, model_measure(&options, &estimate, &model));
    transformer_model_close(model);
    all_given_back("an estimate");
    ck_assert_int_eq(counting.live, 0);
    expect(TRANSFORMER_OK, transformer_model_open(&options, &model));
    transformer_model_details details = {.struct_size = sizeof details};
    expect(TRANSFORMER_OK, transformer_model_info(model, &details));
    ck_assert_uint_eq(details.host_bytes, estimate.model_host_bytes);
    ck_assert_int_eq(details.device, 1);
    ck_assert_uint_ge(estimate.device_bytes, live_bytes());
    ck_assert_uint_lt(estimate.device_bytes - live_bytes(), 2u << 20);
    transformer_model_close(model);
    all_given_back("a model");
    ck_assert_int_eq(counting.live, 0);
}
END_TEST

/* ---- refusals and faults ---- */

static const struct {
    const char *kind;
    unsigned result;
    status code;
    const char *says;
} faults[] = {
    {"alloc", 2, OUT_OF_MEMORY, "no memory on GPU 0 for the weights: asked for"},
    {"host_alloc", 2, OUT_OF_MEMORY, "no pinned host memory for loading weights: asked for"},
    {"load", 2, OUT_OF_MEMORY, "library_load_data"},
    {"load", 209, UNSUPPORTED, "kernels are for"},
    {"copy", 719, DEVICE, "was lost"},
    {"copy", 700, DEVICE, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    {"sync", 719, DEVICE, "was lost"},
};
enum { N_FAULTS = sizeof faults / sizeof *faults };

/* The n-th call of a kind fails, for every n, until none does. */
START_TEST(nth_call_fails) {
    transformer_model *model = NULL;
    for (int n = 1;; n++) {
        char fault[64];
        snprintf(fault, sizeof fault, "%s:%d:%u", faults[_i].kind, n, faults[_i].result);
        setenv("EMULATED_FAIL", fault, 1);
        status opened = open_on(1, SMALL, &model);
        if (opened == OK) {
            ck_assert_int_gt(n, 1);
            break;
        }
        ck_assert_int_lt(n, 1000);
        expect(faults[_i].code, opened);
        says(faults[_i].says);
        ck_assert_ptr_null(model);
        all_given_back(fault);
        if (n == 1) cpu_goes_on();
    }
    transformer_model_close(model);
    all_given_back("all faults");
}
END_TEST

/* The device is gone from the n-th call on. */
START_TEST(lost_at_any_call) {
    transformer_model *model = NULL;
    for (int n = 0;; n++) {
        char calls[16];
        snprintf(calls, sizeof calls, "%d", n);
        setenv("EMULATED_LOST", calls, 1);
        status opened = open_on(1, SMALL, &model);
        if (opened == OK) break;
        expect(DEVICE, opened);
        says("GPU 0 was lost: CUDA");
        says("CUDA_ERROR_ILLEGAL_ADDRESS");
        ck_assert_int_lt(n, 10000);
        all_given_back("a lost device");
    }
    transformer_model_close(model);
    cpu_goes_on();
    unsetenv("EMULATED_LOST");
    expect(OK, open_on(1, SMALL, &model)); /* the emulator's next device works */
    transformer_model_close(model);
    all_given_back("what came after");
}
END_TEST

/* Lost, it says so at once, with the first reason, and takes back what it has given. */
START_TEST(lost_later) {
    struct memory memory;
    struct device *device = NULL;
    struct device_caller caller;
    void *block = NULL, *more = NULL;
    driver_stream stream = NULL;
    memory_init(&memory, NULL);
    char calls[16];
    /* The libraries, what taking the block and the stream are, and three changes of the mode. */
    snprintf(calls, sizeof calls, "%u",
             (device_image_file() ? 1 : image_n_parts - image_n_hopper) + 2 + 3);
    setenv("EMULATED_LOST", calls, 1);
    expect(OK, device_open(&memory, 0, &device));
    expect(OK, device_enter(device, &caller));
    expect(OK, DEVICE_TAKE(device, 1000, "a test", &block));
    expect(OK, device_stream_create(device, &stream));
    expect(DEVICE, device_clear(device, stream, block, 1000));
    says("GPU 0 was lost: CUDA set_u8: CUDA_ERROR_ILLEGAL_ADDRESS");
    expect(DEVICE, DEVICE_TAKE(device, 1000, "a test", &more));
    ck_assert_ptr_null(more);
    says("set_u8");
    expect(DEVICE, DEVICE_TAKE_PINNED(device, 1000, "a test", &more));
    expect(DEVICE, device_stream_wait(device, stream));
    says("set_u8");
    device_leave(device, &caller);
    expect(DEVICE, device_enter(device, &caller));
    says("set_u8");
    ck_assert(device_enter_anyway(device, &caller));
    device_stream_destroy(device, stream);
    device_give(device, block);
    device_leave(device, &caller);
    device_close(device);
    ck_assert_uint_eq(memory.bytes, 0);
    all_given_back("a lost device");
}
END_TEST

START_TEST(nth_allocation_of_the_host_fails) {
    struct faulty_memory memory = {0};
    transformer_allocator allocator = faulty_memory_allocator(&memory);
    transformer_model_options options = {
        .struct_size = sizeof options, .path = SMALL, .device = 1, .allocator = &allocator};
    transformer_model *model = NULL;
    for (int64_t n = 1; !model; n++) {
        fault_arm(&memory.fault, n, _i);
        status opened = transformer_model_open(&options, &model);
        if (opened == OK) break;
        expect(OUT_OF_MEMORY, opened);
        ck_assert_int_eq(memory.live, 0);
        all_given_back("an allocation that failed");
    }
    transformer_model_close(model);
    ck_assert_int_eq(memory.live, 0);
    all_given_back("all allocations");
}
END_TEST

struct stopping {
    int n, stop_at;
    uint64_t done, total;
};

static int32_t stop_loading(void *user, uint64_t done, uint64_t total) {
    struct stopping *stopping = user;
    ck_assert_uint_ge(done, stopping->done);
    ck_assert_uint_le(done, total);
    stopping->done = done;
    stopping->total = total;
    return ++stopping->n == stopping->stop_at;
}

START_TEST(loading_is_stopped) {
    struct stopping stopping = {.stop_at = 1};
    transformer_model_options options = {.struct_size = sizeof options,
                                         .path = SMALL,
                                         .device = 1,
                                         .progress = stop_loading,
                                         .progress_user = &stopping};
    transformer_model *model = NULL;
    setenv("EMULATED_LAZY", "1", 1);
    for (;; stopping = (struct stopping){.stop_at = stopping.stop_at + 1}) {
        status opened = transformer_model_open(&options, &model);
        if (opened == OK) break;
        expect(CANCELLED, opened);
        all_given_back("a stop");
    }
    ck_assert_int_gt(stopping.stop_at, 10);
    ck_assert_uint_eq(stopping.done, stopping.total);
    transformer_model_close(model);
    all_given_back("all stops");
}
END_TEST

/* ---- the process's ---- */

START_TEST(fifty_rounds) {
    size_t bytes = 0;
    for (int round = 0; round < 50; round++) {
        transformer_model *a, *b;
        expect(OK, open_on(1, SMALL, &a));
        expect(OK, open_on(1, model_path("quantized/llama-q4_k"), &b));
        if (round == 0) bytes = live_bytes();
        ck_assert_uint_eq(live_bytes(), bytes);
        transformer_model_close(round % 2 ? a : b);
        transformer_model_close(round % 2 ? b : a);
        all_given_back("a round");
    }
}
END_TEST

/* A host with CUDA of its own: its context stays current through every call, also one that fails,
 * and nothing is left on top of it. */
START_TEST(callers_context_stays) {
    struct driver driver;
    driver_context own, current;
    driver_device first;
    transformer_model *model;
    transformer_device_details details = {.struct_size = sizeof details};
    expect(OK, driver_open(&driver));
    ck_assert_uint_eq(driver.device_get(&first, 0), DRIVER_SUCCESS);
    ck_assert_uint_eq(driver.primary_context_retain(&own, first), DRIVER_SUCCESS);
    if (_i) ck_assert_uint_eq(driver.context_push(own), DRIVER_SUCCESS);
    expect(TRANSFORMER_OK, transformer_device_info(1, &details));
    expect(OK, open_on(1, SMALL, &model));
    transformer_model_close(model);
    setenv("EMULATED_FAIL", "alloc:1:2", 1);
    expect(OUT_OF_MEMORY, open_on(1, SMALL, &model));
    setenv("EMULATED_FAIL", "copy:1:719", 1);
    expect(DEVICE, open_on(1, SMALL, &model));
    ck_assert_uint_eq(driver.context_get_current(&current), DRIVER_SUCCESS);
    ck_assert_ptr_eq(current, _i ? own : NULL);
    if (_i) driver.context_pop(&current);
    driver.context_get_current(&current);
    ck_assert_ptr_null(current);
    ck_assert_uint_eq(driver.primary_context_release(first), DRIVER_SUCCESS);
    ck_assert_uint_eq(driver.context_push(own), DRIVER_INVALID_CONTEXT); /* nobody holds it */
}
END_TEST

/* ---- launches ---- */

/* A cluster's blocks are whole, and only Hopper has any. */
START_TEST(clusters) {
    struct memory memory;
    struct device *device = NULL;
    struct device_caller caller;
    const struct gate_args args = {.n_rows = 0};
    struct launch_shape shape = {
        .kernel = "gate", .grid = 2, .threads = GATE_THREADS, .cluster = 2};
    memory_init(&memory, NULL);
    expect(OK, device_open(&memory, 0, &device));
    expect(OK, device_enter(device, &caller));
    expect(device->properties.major < 9 ? DEVICE : OK,
           device_launch(device, NULL, &shape, &args, false));
    shape.grid = 3;
    expect(DEVICE, device_launch(device, NULL, &shape, &args, true));
    shape.cluster = 0;
    expect(OK, device_launch(device, NULL, &shape, &args, true));
    device_leave(device, &caller);
    device_close(device);
}
END_TEST

START_TEST(unknown_kernel) {
    struct memory memory;
    struct device *device = NULL;
    struct device_caller caller;
    struct device_kernel kernel;
    struct launch_shape shape = {.kernel = "no_such_kernel", .grid = 1, .threads = 32};
    memory_init(&memory, NULL);
    expect(OK, device_open(&memory, 0, &device));
    expect(OK, device_enter(device, &caller));
    expect(INTERNAL, device_kernel(device, "no_such_kernel", &kernel));
    says("no_such_kernel");
    expect(INTERNAL, device_launch(device, NULL, &shape, &shape, false));
    shape.grid = 0;
    expect(OK, device_launch(device, NULL, &shape, &shape, false));
    device_leave(device, &caller);
    expect(OK, device_enter(device, &caller)); /* nothing is lost by that */
    device_leave(device, &caller);
    device_close(device);
    all_given_back("no launch");
}
END_TEST

static Suite *devices(void) {
    Suite *suite = suite_create("devices");
    TCase *all = tcase_create("devices");
    tcase_set_timeout(all, 300);
    tcase_add_loop_test(all, unusable, 0, N_UNUSABLE);
    tcase_add_test(all, driver_before_the_kernels);
    tcase_add_test(all, described);
    tcase_add_loop_test(all, weights_of_every_type, 0, N_TYPED);
    tcase_add_loop_test(all, weights_of_odd_shapes, 0, 2);
    tcase_add_test(all, measured);
    tcase_add_loop_test(all, nth_call_fails, 0, N_FAULTS);
    tcase_add_test(all, lost_at_any_call);
    tcase_add_test(all, lost_later);
    tcase_add_loop_test(all, nth_allocation_of_the_host_fails, 0, 2);
    tcase_add_test(all, loading_is_stopped);
    tcase_add_test(all, fifty_rounds);
    tcase_add_loop_test(all, callers_context_stays, 0, 2);
    tcase_add_test(all, unknown_kernel);
    tcase_add_test(all, clusters);
    suite_add_tcase(suite, all);
    return suite;
}

static Suite *without_driver(void) {
    Suite *suite = suite_create("no driver");
    TCase *all = tcase_create("no driver");
    tcase_add_test(all, no_driver);
    suite_add_tcase(suite, all);
    return suite;
}

int main(int argc, char **argv) {
    bool none = argc > 1 && strcmp(argv[1], "none") == 0;
    return fixture_main(none ? without_driver() : devices(), !none);
}
