/* Adapters on a GPU when it refuses or fails, on the emulator's driver: what was refused leaves
 * everything as it was, and all is given back. */
#define _GNU_SOURCE /* setenv */
#include "device_fixture.h"

enum { PROMPT = 9, STEPS = 3, N_TOKENS = 3 * STEPS };

#define ADAPTERS SOURCE_ROOT "/tests/goldens/data/adapters/"
#define BASE model_path("small/llama-rope-llama3")

static const transformer_context_options small_options = {
    .struct_size = sizeof small_options,
    .max_sequence_tokens = 64,
    .kv_tokens = 256,
    .max_sequences = 3,
    .max_step_tokens = 32,
};

struct life {
    transformer_model *model;
    transformer_context *context;
    transformer_adapter *first, *second;
    transformer_sequence *one, *plain, *two;
    transformer_sampler *sampler;
    bool refused;             /* what the second adapter takes, at least once */
    int32_t tokens[N_TOKENS]; /* of `one`, then of `two` */
};

static status open_adapter(transformer_model *model, const char *path,
                           transformer_adapter **adapter) {
    const transformer_adapter_options options = {.struct_size = sizeof options, .path = path};
    return transformer_adapter_open(model, &options, adapter);
}

static status open_sequence(struct life *life, transformer_adapter *adapter,
                            transformer_sequence **sequence) {
    const transformer_sequence_options options = {.struct_size = sizeof options,
                                                  .adapter = adapter};
    int32_t prompt[PROMPT];
    for (int i = 0; i < PROMPT; i++) prompt[i] = 3 * i + 1;
    TRY(transformer_sequence_create(life->context, &options, sequence));
    return transformer_sequence_append(*sequence, prompt, PROMPT, NULL);
}

/* Greedy tokens of `one`, then of `two` if it is there, beside a sequence without an adapter. */
static status write_tokens(struct life *life, int32_t *tokens) {
    transformer_sample_options append = {.struct_size = sizeof append, .append = TRANSFORMER_ON};
    for (int i = 0; i < STEPS; i++) {
        int32_t other;
        TRY(transformer_decode(life->context, NULL, NULL));
        TRY(transformer_sampler_sample(life->sampler, life->one, &append, &tokens[i]));
        TRY(transformer_sampler_sample(life->sampler, life->plain, &append, &other));
        if (life->two)
            TRY(transformer_sampler_sample(life->sampler, life->two, &append, &tokens[STEPS + i]));
    }
    return OK;
}

/* An adapter of a higher rank, of more layers: room and graphs are made anew. */
static status attach_second(struct life *life) {
    if (!life->second) TRY(open_adapter(life->model, ADAPTERS "llama-all", &life->second));
    return open_sequence(life, life->second, &life->two);
}

static status live(struct life *life) {
    TRY(open_on(1, BASE, &life->model));
    TRY(transformer_sampler_create(life->model, NULL, &life->sampler));
    TRY(open_adapter(life->model, ADAPTERS "llama-rslora", &life->first));
    TRY(transformer_context_create(life->model, &small_options, &life->context));
    TRY(open_sequence(life, life->first, &life->one));
    TRY(open_sequence(life, NULL, &life->plain));
    TRY(write_tokens(life, life->tokens));
    status attached = attach_second(life);
    if (attached == OUT_OF_MEMORY) {
        life->refused = true;
        ck_assert_ptr_null(life->two);
        attached = attach_second(life);
    }
    TRY(attached);
    /* The handles go first: sequences hold what they use. */
    transformer_adapter_close(life->first);
    transformer_adapter_close(life->second);
    life->first = life->second = NULL;
    return write_tokens(life, life->tokens + STEPS);
}

static void end(struct life *life, const char *after) {
    transformer_adapter_close(life->first);
    transformer_adapter_close(life->second);
    transformer_sequence_destroy(life->one);
    transformer_sequence_destroy(life->plain);
    transformer_context_destroy(life->context);
    transformer_sequence_destroy(life->two); /* after its context */
    transformer_sampler_destroy(life->sampler);
    transformer_model_close(life->model);
    all_given_back(after);
}

static const struct {
    const char *kind;
    unsigned result;
    status code;
    const char *says;
} faults[] = {
    {"alloc", 2, OUT_OF_MEMORY, "asked for"}, {"host_alloc", 2, OUT_OF_MEMORY, "asked for"},
    {"launch", 719, DEVICE, "was lost"},      {"copy", 719, DEVICE, "was lost"},
    {"sync", 719, DEVICE, "was lost"},        {"launch", 2, OUT_OF_MEMORY, "out of memory"},
};
enum { N_FAULTS = sizeof faults / sizeof *faults };

/* The n-th call of a kind fails, in whatever it is for, until none does. */
START_TEST(nth_call_fails) {
    struct life whole = {0};
    bool refused = false;
    expect(OK, live(&whole));
    end(&whole, "no fault");
    for (int n = 1;; n += n < 20 ? 1 : n / 8) {
        char fault[64];
        struct life life = {0};
        snprintf(fault, sizeof fault, "%s:%d:%u", faults[_i].kind, n, faults[_i].result);
        setenv("EMULATED_FAIL", fault, 1);
        status done = live(&life);
        if (done == OK) ck_assert_mem_eq(life.tokens, whole.tokens, sizeof whole.tokens);
        bool over = done == OK && !life.refused;
        refused |= life.refused;
        if (done != OK) {
            expect(faults[_i].code, done);
            says(faults[_i].says);
        }
        end(&life, fault);
        if (over) {
            ck_assert_int_gt(n, 1);
            break;
        }
        ck_assert_int_lt(n, 100000);
    }
    if (strcmp(faults[_i].kind, "alloc") == 0) ck_assert(refused);
}
END_TEST

/* The device is gone from the n-th call on. */
START_TEST(lost_at_any_call) {
    for (int n = 0;; n += 1 + n / 12) {
        char calls[16];
        struct life life = {0};
        snprintf(calls, sizeof calls, "%d", n);
        setenv("EMULATED_LOST", calls, 1);
        status done = live(&life);
        if (done != OK) {
            expect(DEVICE, done);
            says("GPU 0 was lost: CUDA");
        }
        end(&life, "a lost device");
        if (done == OK) break;
        ck_assert_int_lt(n, 1000000);
    }
}
END_TEST

/* Work that is done only when it is waited for gives the same tokens. */
START_TEST(lazily) {
    struct life at_once = {0}, lazy = {0};
    expect(OK, live(&at_once));
    end(&at_once, "work at once");
    setenv("EMULATED_LAZY", "1", 1);
    expect(OK, live(&lazy));
    end(&lazy, "lazy work");
    ck_assert_mem_eq(lazy.tokens, at_once.tokens, sizeof lazy.tokens);
}
END_TEST

static Suite *adapters(void) {
    Suite *suite = suite_create("adapters");
    TCase *all = tcase_create("adapters");
    tcase_set_timeout(all, 600);
    tcase_add_loop_test(all, nth_call_fails, 0, N_FAULTS);
    tcase_add_test(all, lost_at_any_call);
    tcase_add_test(all, lazily);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void) {
    return fixture_main(adapters(), true);
}
