#define _GNU_SOURCE /* getline, strndup */
/* Chat templates: what Jinja2 makes of hundreds of them, and what is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/chat.h"

#include <check.h> /* last: it has a macro of the name fail */

struct kept {
    char *text;
    size_t length;
};

static status keep(void *user, struct text text) {
    struct kept *kept = user;
    kept->text = malloc(text.length + 1);
    kept->length = text.length;
    if (text.length) memcpy(kept->text, text.data, text.length);
    kept->text[text.length] = 0;
    return OK;
}

static status render(const char *template, const char *variables, struct kept *kept) {
    struct memory memory;
    memory_init(&memory, NULL);
    *kept = (struct kept){0};
    struct chat_request request = {.template = {template, strlen(template)},
                                   .variables_json = {variables, strlen(variables)},
                                   .local_time = 1751619906, /* 2025-07-04 09:05:06 */
                                   .add_generation_prompt = true};
    status result = chat_format(&memory, &request, keep, kept);
    ck_assert_uint_eq(memory.bytes, 0);
    return result;
}

static char *copy(const struct dict *dict, const char *key) {
    struct value *value = dict_find_text(dict, key);
    ck_assert(value && value->kind == VALUE_STRING);
    return strndup(value->as.text, value->length);
}

static void check_case(const char *file, int line, const struct dict *dict) {
    struct kept kept;
    char *template = copy(dict, "template"), *variables = copy(dict, "variables");
    const struct value *expected = dict_find_text(dict, "text");
    status result = render(template, variables, &kept);
    if (expected->kind == VALUE_NONE) {
        ck_assert_msg(result != OK, "%s:%d: %s is taken", file, line, template);
        ck_assert_msg(result != INTERNAL, "%s:%d: %s", file, line, status_text());
    } else {
        ck_assert_msg(result == OK, "%s:%d: %s: %s", file, line, template, status_text());
        ck_assert_msg(kept.length == expected->length &&
                          memcmp(kept.text, expected->as.text, kept.length) == 0,
                      "%s:%d: %s gives\n%s\nnot\n%.*s", file, line, template, kept.text,
                      (int)expected->length, expected->as.text);
    }
    free(kept.text);
    free(template);
    free(variables);
}

/* Each line a JSON object: template, variables (JSON as text), and the text or null. */
static void check_file(const char *name, int least) {
    char path[512];
    char *text = NULL;
    size_t capacity = 0;
    ssize_t length;
    int n = 0;
    snprintf(path, sizeof path, "%s/tests/goldens/data/chat/%s", SOURCE_ROOT, name);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    while ((length = getline(&text, &capacity, file)) > 0) {
        struct memory memory;
        struct value value;
        memory_init(&memory, NULL);
        struct arena arena = {.memory = &memory, .limit = 1 << 24};
        ck_assert_int_eq(value_read_json(&arena, name, (struct text){text, (size_t)length}, &value),
                         OK);
        check_case(name, ++n, value.as.dict);
        chat_arena_close(&arena);
    }
    fclose(file);
    free(text);
    ck_assert_int_ge(n, least);
}

START_TEST(statements_and_expressions_are_jinja2s) {
    check_file("cases.jsonl", 400);
}
END_TEST

START_TEST(conversations_are_jinja2s) {
    check_file("conversations.jsonl", 60);
}
END_TEST

static void expect_failure(const char *template, status code, const char *part) {
    struct kept kept;
    ck_assert_msg(render(template, "{}", &kept) == code, "%.60s: %s", template, status_text());
    ck_assert_msg(strstr(status_text(), part), "%s", status_text());
    free(kept.text);
}

START_TEST(failures_tell_line_and_reason) {
    expect_failure("a\n\n{{ x.y }}", FORMAT, "line 3: 'x' is undefined");
    expect_failure("{{ raise_exception('No\\nway') }}", INVALID_ARGUMENT, "line 1: No?way");
    expect_failure("\n{% include 'f' %}", UNSUPPORTED, "line 2: the statement 'include'");
    static const char *const others[] = {"pprint", "random", "urlize"};
    for (size_t i = 0; i < 3; i++) {
        char template[64];
        snprintf(template, sizeof template, "{{ [1]|%s }}", others[i]);
        expect_failure(template, UNSUPPORTED, others[i]);
    }
    expect_failure("{{ joiner() }}", UNSUPPORTED, "joiner");
    expect_failure("{{ cycler(1) }}", UNSUPPORTED, "cycler");
    expect_failure("{{ lipsum() }}", UNSUPPORTED, "lipsum");
    expect_failure("{% autoescape true %}{% endautoescape %}", UNSUPPORTED, "autoescape");
    expect_failure("{% block a required %}{% endblock %}", UNSUPPORTED, "required block");
    expect_failure("{% extends 'a' %}", UNSUPPORTED, "extends");
    expect_failure("{{ '&hearts;'|striptags }}", UNSUPPORTED, "&hearts;");
    expect_failure("{{ 'a'|int(0, 0) }}", UNSUPPORTED, "base 0");
    expect_failure("{{ 1|nosuch }}", UNSUPPORTED, "No filter named 'nosuch'");
    expect_failure("{{ 'a'.__class__.__mro__ }}", FORMAT, "'__class__' is undefined");
    expect_failure("{% if x %}", FORMAT, "endif");
    expect_failure("{{ 9223372036854775807 + 1 }}", LIMIT, "64 bits");
}
END_TEST

START_TEST(limits_hold) {
    expect_failure("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
                   LIMIT, "");
    expect_failure("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", LIMIT, "nests");
    expect_failure("{% macro m() %}{{ m(*varargs, **kwargs) }}{% endmacro %}{{ m(1, a=2) }}", LIMIT,
                   "nests");
    expect_failure("{% for i in range(9999) %}{{ dict(*[{}], **{'a': range(99999)|list}) }}"
                   "{% endfor %}",
                   LIMIT, "");
    expect_failure("{{ [1]|slice(9999999)|list }}", LIMIT, "slice");
    expect_failure("{{ 'x' * 99999999999 }}", LIMIT, "");
    expect_failure("{% set n = namespace(a=[1]) %}{% for i in range(99) %}"
                   "{% set n.a = n.a + n.a %}{% endfor %}",
                   LIMIT, "memory");
    expect_failure("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", LIMIT, "nests deeper");
    expect_failure("{% set n = namespace(a=[1]) %}{% for i in range(999) %}"
                   "{% set n.a = [n.a] %}{% endfor %}{{ n.a }}",
                   LIMIT, "nests deeper");
    char deep[4000];
    memset(deep, '(', sizeof deep);
    memcpy(deep, "{{", 2);
    deep[sizeof deep - 1] = 0;
    expect_failure(deep, LIMIT, "deeper");
}
END_TEST

START_TEST(broken_json_is_refused) {
    static const char *const broken[] = {"",
                                         "[]",
                                         "{",
                                         "{\"a\":}",
                                         "{\"a\":1,}",
                                         "{a:1}",
                                         "{\"a\":01}",
                                         "{\"a\":1.}",
                                         "{\"a\":1}x",
                                         "{\"a\":\"\n\"}",
                                         "{\"a\":\"\\ud800\"}",
                                         "{\"a\":nul}",
                                         "{\"a\":\"\xff\"}",
                                         "{\"a\":99999999999999999999}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct kept kept;
        ck_assert_msg(render("x", broken[i], &kept) == INVALID_ARGUMENT, "%s", broken[i]);
    }
    struct kept kept;
    static char deep[300] = "{\"a\":";
    memset(deep + 5, '[', sizeof deep - 6);
    ck_assert_int_eq(render("x", deep, &kept), INVALID_ARGUMENT);
    ck_assert_int_eq(
        render("{{ a }}{{ b }}{{ c }}{{ d }}",
               "{\"a\":1,\"b\":-0,\"a\":-9223372036854775808,\"c\":1E2,\"d\":\"\\ud83d\\ude00\"}",
               &kept),
        OK);
    ck_assert_str_eq(kept.text, "-92233720368547758080100.0\xf0\x9f\x98\x80");
    free(kept.text);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("chat");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 300);
    tcase_add_test(all, statements_and_expressions_are_jinja2s);
    tcase_add_test(all, conversations_are_jinja2s);
    tcase_add_test(all, failures_tell_line_and_reason);
    tcase_add_test(all, limits_hold);
    tcase_add_test(all, broken_json_is_refused);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
