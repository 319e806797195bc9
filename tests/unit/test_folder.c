/* A Hugging Face folder that works by text: tokenizer.json and the files beside it. */
#include "api_fixture.h"

#define FOLDER SOURCE_ROOT "/tests/goldens/data/folder"

/* What tests/goldens/make_folder.py gave these tokens. */
enum { END_OF_TEXT = 451, IM_START = 452, X = 453, IM_END = 454 };

/* The folder with one file replaced, or taken away. */
struct changed {
    const char *name;
    const char *text; /* NULL: taken away */
};

static bool is_changed(const struct changed *changed, const char *name) {
    return changed->name && strcmp(changed->name, name) == 0;
}

static FILE *open_file(const char *name) {
    char path[512];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    return fopen(path, "rb");
}

static int64_t size_of(void *user, const char *name) {
    const struct changed *changed = user;
    if (is_changed(changed, name)) return changed->text ? (int64_t)strlen(changed->text) : -1;
    FILE *file = open_file(name);
    if (!file) return -1;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    fclose(file);
    return size;
}

static int64_t read_from(void *user, const char *name, uint64_t offset, void *buffer, uint64_t n) {
    const struct changed *changed = user;
    if (is_changed(changed, name)) {
        memcpy(buffer, changed->text + offset, (size_t)n);
        return (int64_t)n;
    }
    FILE *file = open_file(name);
    fseek(file, (long)offset, SEEK_SET);
    size_t done = fread(buffer, 1, (size_t)n, file);
    fclose(file);
    return (int64_t)done;
}

static transformer_status open_changed(struct changed *changed, transformer_model **model) {
    const transformer_reader reader = {size_of, read_from, changed};
    transformer_model_options options = {
        .struct_size = sizeof options, .path = "", .reader = &reader};
    return transformer_model_open(&options, model);
}

static int32_t special(const transformer_model *model, int32_t kind) {
    int32_t token = -1;
    transformer_status status = transformer_special_token(model, kind, &token);
    return status == TRANSFORMER_OK ? token : -1;
}

START_TEST(special_tokens_are_those_of_the_files) {
    transformer_model *model = fixture_open_path(FOLDER);
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    ck_assert_uint_eq(details.has_tokenizer, 1);
    static const int32_t ends[] = {END_OF_TEXT, IM_START, X, IM_END};
    ck_assert_int_eq(details.n_end_tokens, 4);
    ck_assert_mem_eq(details.end_tokens, ends, sizeof ends);
    ck_assert_int_eq(special(model, TRANSFORMER_TOKEN_BEGIN), END_OF_TEXT);
    ck_assert_int_eq(special(model, TRANSFORMER_TOKEN_END), IM_END);
    ck_assert_int_eq(special(model, TRANSFORMER_TOKEN_END_OF_TURN), IM_END);
    ck_assert_int_eq(special(model, TRANSFORMER_TOKEN_PADDING), IM_START);
    ck_assert_int_eq(special(model, TRANSFORMER_TOKEN_MASK), -1);
    transformer_model_close(model);
}
END_TEST

START_TEST(a_text_comes_back) {
    static const char text[] = "the river flows under 3 bridges.\n\xf0\x9f\x98\x80<|im_end|>";
    transformer_model *model = fixture_open_path(FOLDER);
    transformer_tokenize_options options = {.struct_size = sizeof options};
    int32_t ids[128];
    int64_t n, length;
    char buffer[256];
    ok(transformer_tokenize(model, text, sizeof text - 1, &options, ids, 128, &n));
    ck_assert_int_eq(ids[0], END_OF_TEXT);
    ck_assert_int_ne(ids[n - 1], IM_END);
    ok(transformer_detokenize(model, ids, n, NULL, buffer, sizeof buffer, &length));
    ck_assert_int_eq(length, sizeof text - 1);
    ck_assert_mem_eq(buffer, text, sizeof text - 1);
    options.parse_special = TRANSFORMER_ON;
    options.add_special = TRANSFORMER_OFF;
    ok(transformer_tokenize(model, text, sizeof text - 1, &options, ids, 128, &n));
    ck_assert_int_ne(ids[0], END_OF_TEXT);
    ck_assert_int_eq(ids[n - 1], IM_END);
    ok(transformer_token_text(model, IM_END, buffer, sizeof buffer, &length));
    ck_assert_int_eq(length, 10);
    ck_assert_mem_eq(buffer, "<|im_end|>", 10);
    transformer_model_close(model);
}
END_TEST

START_TEST(a_pair_is_put_together) {
    transformer_model *model = fixture_open_path(FOLDER);
    int32_t ids[16] = {0}, types[16] = {0};
    transformer_tokenize_options options = {
        .struct_size = sizeof options, .second = "b", .second_length = 1, .types = types};
    int64_t n = 0;
    /* <|endoftext|> $A <|endoftext|>:1 $B:1 */
    ok(transformer_tokenize(model, "a", 1, &options, ids, 16, &n));
    ck_assert_int_eq(n, 4);
    ck_assert_int_eq(ids[0], END_OF_TEXT);
    ck_assert_int_eq(ids[2], END_OF_TEXT);
    ck_assert_int_ne(ids[1], ids[3]);
    static const int32_t wanted[] = {0, 0, 1, 1};
    ck_assert_mem_eq(types, wanted, sizeof wanted);
    types[0] = ids[0] = 77;
    expect(TRANSFORMER_BUFFER_TOO_SMALL, transformer_tokenize(model, "a", 1, &options, ids, 3, &n));
    ck_assert_int_eq(n, 4);
    ck_assert_int_eq(ids[0], 77);
    ck_assert_int_eq(types[0], 77);
    options.second_length = -1;
    invalid(transformer_tokenize(model, "a", 1, &options, ids, 16, &n));
    options = (transformer_tokenize_options){.struct_size = sizeof options, .second_length = 1};
    invalid(transformer_tokenize(model, "a", 1, &options, ids, 16, &n));
    transformer_model_close(model);
}
END_TEST

START_TEST(a_chat_is_formatted_by_its_own_template) {
    transformer_model *model = fixture_open_path(FOLDER);
    const transformer_chat_message message = {"user", "Hi"};
    transformer_chat_options options = {
        .struct_size = sizeof options, .messages = &message, .n_messages = 1};
    static const char wanted[] =
        "<|endoftext|><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
    char buffer[256];
    int64_t length;
    ok(transformer_chat_format(model, &options, buffer, sizeof buffer, &length));
    ck_assert_int_eq(length, sizeof wanted - 1);
    ck_assert_mem_eq(buffer, wanted, sizeof wanted - 1);
    options.template_name = "plain";
    ok(transformer_chat_format(model, &options, buffer, sizeof buffer, &length));
    ck_assert_int_eq(length, 12);
    ck_assert_mem_eq(buffer, "Hi<|im_end|>", 12);
    transformer_model_close(model);
}
END_TEST

static int32_t count_text(void *user, const char *text, uint64_t length) {
    (void)text;
    *(uint64_t *)user += length;
    return 0;
}

START_TEST(a_folder_generates_by_text) {
    transformer_model *model = fixture_open_path(FOLDER);
    transformer_context *context = fixture_context(model, NULL);
    uint64_t bytes = 0;
    transformer_generate_options options = {
        .struct_size = sizeof options, .prompt = "the river", .max_tokens = 4};
    transformer_generate_result result = {.struct_size = sizeof result};
    ok(transformer_generate(context, &options, count_text, &bytes, &result));
    ck_assert_int_gt(result.n_prompt_tokens, 1);
    transformer_context_destroy(context);
    transformer_model_close(model);
}
END_TEST

static const struct {
    struct changed changed;
    transformer_status open;
    const char *reason; /* tokenize is STATE and says this */
} changes[] = {
    {{"tokenizer.json", NULL}, TRANSFORMER_OK, "has no tokenizer"},
    {{"tokenizer.json", "{"}, TRANSFORMER_FORMAT, NULL},
    {{"tokenizer.json", "[]"}, TRANSFORMER_FORMAT, NULL},
    {{"tokenizer.json", "{}"}, TRANSFORMER_FORMAT, NULL},
    {{"tokenizer.json", "{\"model\":{\"type\":\"Crystal\",\"vocab\":{\"a\":0}}}"},
     TRANSFORMER_OK,
     "Crystal"},
    {{"tokenizer.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],"
                        "\"dropout\":0.1}}"},
     TRANSFORMER_OK,
     "dropout"},
    {{"tokenizer.json", "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},"
                        "\"normalizer\":{\"type\":\"Spell\"}}"},
     TRANSFORMER_OK,
     "Spell"},
    {{"tokenizer.json", "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},"
                        "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?~a)\"},"
                        "\"behavior\":\"Isolated\",\"invert\":false}}"},
     TRANSFORMER_OK,
     "(?~a)"},
    {{"tokenizer.json", "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},"
                        "\"decoder\":{\"type\":\"CTC\"}}"},
     TRANSFORMER_OK,
     "CTC"},
    {{"tokenizer.json", "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"shine\":1}}"},
     TRANSFORMER_OK,
     "shine"},
    {{"tokenizer.json", "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":-1}}}"},
     TRANSFORMER_FORMAT,
     NULL},
    {{"tokenizer.json", "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":99999999}}}"},
     TRANSFORMER_OK,
     "99999999"},
    {{"tokenizer.json",
      "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}},\"post_processor\":"
      "{\"type\":\"BertProcessing\",\"sep\":[\"s\",5],\"cls\":[\"c\",0]}}"},
     TRANSFORMER_FORMAT,
     NULL},
    {{"tokenizer.json", "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}"},
     TRANSFORMER_FORMAT,
     NULL},
    {{"tokenizer_config.json", "{\"bos_token\":"}, TRANSFORMER_FORMAT, NULL},
    {{"generation_config.json", "7"}, TRANSFORMER_FORMAT, NULL},
};

START_TEST(what_cannot_be_done_is_told) {
    struct changed changed = changes[_i].changed;
    transformer_model *model = NULL;
    expect(changes[_i].open, open_changed(&changed, &model));
    if (!changes[_i].reason) return;
    transformer_model_details details = {.struct_size = sizeof details};
    ok(transformer_model_info(model, &details));
    ck_assert_uint_eq(details.has_tokenizer, 0);
    int64_t n;
    expect(TRANSFORMER_STATE, transformer_tokenize(model, "a", 1, NULL, NULL, 0, &n));
    ck_assert_msg(strstr(transformer_last_error(), changes[_i].reason) != NULL, "%s",
                  transformer_last_error());
    transformer_model_close(model);
}
END_TEST

/* ---- as a GGUF file ---- */

static uint8_t converted[1 << 20];
static size_t n_converted;

static int32_t keep(void *user, const void *bytes, uint64_t n) {
    (void)user;
    if (n > sizeof converted - n_converted) return 1;
    memcpy(converted + n_converted, bytes, (size_t)n);
    n_converted += (size_t)n;
    return 0;
}

static transformer_status convert_changed(struct changed *changed) {
    const transformer_reader reader = {size_of, read_from, changed};
    transformer_model_options from = {.struct_size = sizeof from, .path = "", .reader = &reader};
    transformer_convert_options options = {
        .struct_size = sizeof options, .model = &from, .write = keep};
    n_converted = 0;
    return transformer_model_convert(&options);
}

static transformer_status open_converted(transformer_model **model) {
    transformer_model_options options = {
        .struct_size = sizeof options, .data = converted, .data_size = n_converted};
    return transformer_model_open(&options, model);
}

/* A tokenizer that can't be done: the reason is the file's too. */
START_TEST(what_cannot_be_done_is_told_of_the_file_too) {
    struct changed changed = changes[_i].changed;
    transformer_model *model = NULL;
    expect(changes[_i].open, convert_changed(&changed));
    if (!changes[_i].reason) return;
    ok(open_converted(&model));
    int64_t n;
    expect(TRANSFORMER_STATE, transformer_tokenize(model, "a", 1, NULL, NULL, 0, &n));
    ck_assert_msg(strstr(transformer_last_error(), changes[_i].reason) != NULL, "%s",
                  transformer_last_error());
    transformer_model_close(model);
}
END_TEST

/* Special tokens, ends and flags of added tokens that only the files beside tokenizer.json have. */
START_TEST(the_file_has_what_the_folder_has) {
    static const char text[] =
        " e\xcc\x81 <|im_start|>the river <|im_end|>\n\n12 '\xf0\x9f\x98\x80";
    struct changed none = {.name = NULL};
    transformer_model *models[2] = {fixture_open_path(FOLDER)};
    ok(convert_changed(&none));
    ok(open_converted(&models[1]));
    transformer_model_details details[2];
    int32_t ids[2][128];
    int64_t n[2];
    for (int special = 0; special < 2; special++) {
        transformer_tokenize_options options = {.struct_size = sizeof options,
                                                .parse_special =
                                                    special ? TRANSFORMER_ON : TRANSFORMER_OFF};
        for (int i = 0; i < 2; i++)
            ok(transformer_tokenize(models[i], text, sizeof text - 1, &options, ids[i], 128,
                                    &n[i]));
        ck_assert_int_eq(n[0], n[1]);
        ck_assert_mem_eq(ids[0], ids[1], (size_t)n[0] * sizeof **ids);
    }
    for (int i = 0; i < 2; i++) {
        details[i].struct_size = sizeof details[i];
        ok(transformer_model_info(models[i], &details[i]));
    }
    ck_assert_int_eq(details[0].n_end_tokens, details[1].n_end_tokens);
    ck_assert_mem_eq(details[0].end_tokens, details[1].end_tokens,
                     (size_t)details[0].n_end_tokens * sizeof(int32_t));
    for (int32_t kind = TRANSFORMER_TOKEN_BEGIN; kind <= TRANSFORMER_TOKEN_MASK; kind++)
        ck_assert_int_eq(special(models[0], kind), special(models[1], kind));
    transformer_model_close(models[0]);
    transformer_model_close(models[1]);
}
END_TEST

/* Other readers want a token for each row of the embedding, of which there are 480. */
START_TEST(rows_without_a_token_get_one) {
    struct changed only_words = {.name = "tokenizer.json", .text = NULL};
    ok(convert_changed(&only_words));
    bool found = false;
    for (size_t i = 0; i + 8 < n_converted && !found; i++)
        found = memcmp(converted + i, "[PAD479]", 8) == 0;
    ck_assert(!found); /* there is no vocabulary at all */
    struct changed none = {.name = NULL};
    ok(convert_changed(&none));
    for (size_t i = 0; i + 8 < n_converted && !found; i++)
        found = memcmp(converted + i, "[PAD479]", 8) == 0;
    ck_assert(found);
}
END_TEST

/* An expression that would take for ever, on a text made for it, and one that is quadratic. */
START_TEST(a_hostile_expression_ends) {
    static const char *const expressions[] = {"(a+)+[bc]", "(a|aa)+[bc]", "a+[bc]",
                                              "(?:a?){500}[bc]", "a*(?=a*[bc])"};
    char file[512];
    snprintf(file, sizeof file,
             "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"unk_token\":\"a\"},"
             "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"%s\"},"
             "\"behavior\":\"Isolated\",\"invert\":false}}",
             expressions[_i]);
    struct changed changed = {"tokenizer.json", file};
    transformer_model *model = NULL;
    ok(open_changed(&changed, &model));
    size_t length = 1 << 20;
    char *text = fixture_take(length);
    memset(text, 'a', length);
    int64_t n;
    transformer_status status =
        transformer_tokenize(model, text, (int64_t)length, NULL, NULL, 0, &n);
    ck_assert_msg(status == TRANSFORMER_LIMIT, "%s", transformer_status_name(status));
    ok(transformer_tokenize(model, "bab", 3, NULL, NULL, 0, &n));
    transformer_model_close(model);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("folder");
    TCase *all = tcase_create("folder");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, special_tokens_are_those_of_the_files);
    tcase_add_test(all, a_text_comes_back);
    tcase_add_test(all, a_pair_is_put_together);
    tcase_add_test(all, a_chat_is_formatted_by_its_own_template);
    tcase_add_test(all, a_folder_generates_by_text);
    tcase_add_loop_test(all, what_cannot_be_done_is_told, 0,
                        (int)(sizeof changes / sizeof *changes));
    tcase_add_loop_test(all, what_cannot_be_done_is_told_of_the_file_too, 0,
                        (int)(sizeof changes / sizeof *changes));
    tcase_add_test(all, the_file_has_what_the_folder_has);
    tcase_add_test(all, rows_without_a_token_get_one);
    tcase_add_loop_test(all, a_hostile_expression_ends, 0, 5);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
