/* transformer_chat_format: its buffer, its options, the model's tokens. */
#include "api_fixture.h"

static transformer_chat_message messages[] = {{"user", "caf\xc3"}, {"assistant", NULL}};

static transformer_chat_options with(const char *template) {
    return (transformer_chat_options){.struct_size = sizeof(transformer_chat_options),
                                      .messages = messages,
                                      .n_messages = 2,
                                      .template_text = template};
}

static void gives(const transformer_model *model, const transformer_chat_options *options,
                  const char *text) {
    char buffer[256];
    int64_t length = -1, needed = -1;
    ok(transformer_chat_format(model, options, NULL, 0, &needed));
    ck_assert_int_eq(needed, (int64_t)strlen(text));
    memset(buffer, '#', sizeof buffer);
    if (needed) {
        expect(TRANSFORMER_BUFFER_TOO_SMALL,
               transformer_chat_format(model, options, buffer, needed - 1, &length));
        ck_assert_int_eq(length, needed);
        ck_assert_int_eq(buffer[0], '#');
    }
    ok(transformer_chat_format(model, options, buffer, needed, &length));
    ck_assert_int_eq(length, needed);
    ck_assert_mem_eq(buffer, text, (size_t)needed);
    ck_assert_int_eq(buffer[needed], '#');
}

START_TEST(a_prompt_has_what_is_given) {
    transformer_model *model = fixture_open("small/llama-gqa");
    transformer_chat_options options =
        with("{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}"
             "{{ add_generation_prompt }}{{ tools }}{{ strftime_now is defined }}");
    gives(model, &options, "user:caf\xef\xbf\xbd;assistant:None;TrueNoneFalse");
    options = with("{{ eos_token }}");
    gives(model, &options, "<|im_end|>");
    options = with("{{ strftime_now('%Y') }}{{ x }}{{ tools[0].a }}{{ add_generation_prompt }}");
    options.local_time = 1751619906;
    options.variables_json = "{\"x\":true}";
    options.tools_json = "[{\"a\":1}]";
    options.add_generation_prompt = TRANSFORMER_OFF;
    gives(model, &options, "2025True1False");
    gives(model,
          &(transformer_chat_options){.struct_size = sizeof options,
                                      .messages_json = "[{\"n\":[1]}]",
                                      .template_text = "{{ messages[0].n }}"},
          "[1]");
    transformer_model_close(model);
}
END_TEST

START_TEST(what_is_wrong_is_refused) {
    transformer_model *model = fixture_open("small/llama-gqa");
    int64_t length = -7;
    transformer_chat_options options = with(NULL);
    expect(TRANSFORMER_NOT_FOUND, transformer_chat_format(model, &options, NULL, 0, &length));
    options.template_name = "tool_use";
    expect(TRANSFORMER_NOT_FOUND, transformer_chat_format(model, &options, NULL, 0, &length));
    options.template_text = "x";
    invalid(transformer_chat_format(model, &options, NULL, 0, &length));
    options = with("x");
    options.messages_json = "[]";
    invalid(transformer_chat_format(model, &options, NULL, 0, &length));
    options = with("x");
    options.tools_json = "{}";
    invalid(transformer_chat_format(model, &options, NULL, 0, &length));
    options = with("x");
    options.n_messages = -1;
    invalid(transformer_chat_format(model, &options, NULL, 0, &length));
    options = with("x");
    options.add_generation_prompt = 3;
    invalid(transformer_chat_format(model, &options, NULL, 0, &length));
    options = with("x");
    options.reserved = 1;
    expect(TRANSFORMER_UNSUPPORTED, transformer_chat_format(model, &options, NULL, 0, &length));
    options = with("x");
    invalid(transformer_chat_format(NULL, &options, NULL, 0, &length));
    invalid(transformer_chat_format(model, &options, NULL, 0, NULL));
    invalid(transformer_chat_format(model, &options, NULL, 4, &length));
    ck_assert_int_eq(length, -7);
    transformer_model_close(model);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("chat_format");
    TCase *all = tcase_create("all");
    tcase_add_test(all, a_prompt_has_what_is_given);
    tcase_add_test(all, what_is_wrong_is_refused);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
