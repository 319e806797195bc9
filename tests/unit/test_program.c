/* From a spec to a program: what the ops can't do is refused. */
#include "program/op.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdio.h>
#include <string.h>

static struct memory memory;
static struct checkpoint *checkpoint;
static struct spec *spec;

static void begin_with(const char *model) {
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/goldens/data/%s.gguf", SOURCE_ROOT, model);
    struct checkpoint_options options = {.path = path};
    memory_init(&memory, NULL);
    if (checkpoint_open(&memory, &options, &checkpoint) != OK ||
        spec_read(&memory, checkpoint, &spec) != OK)
        ck_abort_msg("%s", status_text());
}

static void begin(void) {
    begin_with("small/gemma3-mqa");
}

static void begin_latent(void) {
    begin_with("families/deepseek_v2");
}

static void end(void) {
    spec_free(spec);
    checkpoint_close(checkpoint);
    ck_assert_uint_eq(memory.bytes, 0);
}

static status build(void) {
    struct program *program = NULL;
    uint64_t bytes = memory.bytes;
    status result = program_build(&memory, spec, NULL, 64, &(struct kv_format){.element_bytes = 2},
                                  &(struct pooling_spec){POOLING_NONE, false}, &program);
    ck_assert((program != NULL) == (result == OK));
    program_free(program);
    ck_assert_uint_eq(memory.bytes, bytes);
    return result;
}

/* The program can't be built for what the message has in it; put back, it can. */
#define refuse(member, value, part)                                                         \
    do {                                                                                    \
        __typeof__(member) kept = (member);                                                 \
        (member) = (value);                                                                 \
        ck_assert_int_eq(build(), UNSUPPORTED);                                             \
        ck_assert_msg(strstr(status_text(), part), "'%s' not in: %s", part, status_text()); \
        (member) = kept;                                                                    \
        ck_assert_int_eq(build(), OK);                                                      \
    } while (0)

START_TEST(of_the_model) {
    struct weight_ref vector = spec->output_norm.weight;
    ck_assert_int_eq(build(), OK);
    refuse(spec->embedding.bias, vector, "'gemma3': an embedding with a bias");
    refuse(spec->output_norm.bias, vector, "'gemma3': an RMS norm with a bias");
}
END_TEST

START_TEST(of_a_layer) {
    struct weight_ref vector = spec->output_norm.weight;
    struct layer_spec *layer = &spec->layers[3];
    refuse(layer->residual, RESIDUAL_PARALLEL, "'gemma3', layer 3: a norm or scale of what");
    layer->attention.clamp = 1.0f;
    refuse(layer->attention.norms, NORM_OF_ALL_HEADS,
           "layer 3: a norm of whole projections after a clamp");
    layer->attention.clamp = 0.0f;
    refuse(layer->attention.shares_kv, true, "layer 3: a KV stream that no earlier layer fills");
    refuse(layer->attention.kv_stream, 0, "layer 3: a KV stream that an earlier layer has too");
    struct norm_spec post = layer->post_ffn_norm;
    layer->post_ffn_norm.kind = NORM_NONE;
    refuse(layer->output_scale, vector, "layer 3: a scale of a layer's output without a norm");
    layer->post_ffn_norm = post;
    layer->output_scale = vector; /* this one the ops can do */
    ck_assert_int_eq(build(), OK);
    layer->output_scale = (struct weight_ref){.id = -1};
    spec->layers[1].attention.max_bias = 8.0f;
    refuse(layer->attention.max_bias, 4.0f, "layer 3: ALiBi with other slopes");
    spec->layers[1].attention.max_bias = 0.0f;
    struct norm_spec *norms[] = {&layer->attention_norm,   &layer->post_attention_norm,
                                 &layer->ffn_norm,         &layer->post_ffn_norm,
                                 &layer->attention.q_norm, &layer->attention.k_norm};
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) {
        refuse(norms[i]->bias, vector, "layer 3: an RMS norm with a bias");
        /* These the ops can do. */
        struct norm_spec kept = *norms[i];
        norms[i]->kind = NORM_NONE;
        ck_assert_int_eq(build(), OK);
        norms[i]->kind = NORM_LAYER;
        norms[i]->bias = vector;
        ck_assert_int_eq(build(), OK);
        *norms[i] = kept;
    }
}
END_TEST

START_TEST(of_a_kv_stream) {
    struct attention_spec *attention = &spec->layers[3].attention;
    struct kv_stream_spec *stream = &spec->kv_streams[attention->kv_stream];
    refuse(attention->kv_stream, spec->layers[1].attention.kv_stream,
           "layer 3: a KV stream that an earlier layer has too");
    refuse(stream->value_dim, 0, "layer 3: a KV stream whose values");
    refuse(stream->value_dim, 8, "layer 3: a KV stream whose values");
    const char *shape = "layer 3: a KV stream of another shape";
    refuse(stream->key_dim, 32, shape);
    refuse(stream->n_heads, 2, shape);
    refuse(stream->window, 8, shape);
    refuse(stream->window, 0, shape);
}
END_TEST

START_TEST(of_latent_attention) {
    struct weight_ref vector = spec->output_norm.weight;
    struct attention_spec *a = &spec->layers[1].attention;
    struct kv_stream_spec *stream = &spec->kv_streams[a->kv_stream];
    const char *heads = "'deepseek2', layer 1: latent attention whose heads";
    ck_assert_int_eq(build(), OK);
    refuse(a->n_kv_heads, 4, heads);
    refuse(a->value_dim, 8, heads);
    refuse(a->rope_first, 0, heads);
    refuse(spec->ropes[0].n_dims, 4, "layer 0: latent attention that rotates a part");
    refuse(a->q_norm.kind, NORM_RMS, "layer 1: latent attention with a norm or clamp");
    refuse(a->clamp, 1.0f, "layer 1: latent attention with a norm or clamp");
    refuse(a->latent.kv_a_norm.bias, vector, "layer 1: an RMS norm with a bias");
    refuse(a->latent.q_a_norm.bias, vector, "layer 1: an RMS norm with a bias");
    refuse(stream->value_dim, 24, "layer 1: a KV stream whose values");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("program");
    TCase *tests = tcase_create("program");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, of_the_model);
    tcase_add_test(tests, of_a_layer);
    tcase_add_test(tests, of_a_kv_stream);
    suite_add_tcase(suite, tests);
    TCase *latent = tcase_create("latent attention");
    tcase_add_checked_fixture(latent, begin_latent, end);
    tcase_add_test(latent, of_latent_attention);
    suite_add_tcase(suite, latent);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed == 0 ? 0 : 1;
}
