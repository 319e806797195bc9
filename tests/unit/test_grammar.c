/* Grammars and their masks, without a model: what texts match; each mask against reading every
 * token by itself; that texts come to their end in time; hostile grammars. */
#include "grammar_vocabulary.h"

#include <check.h>
#include <stdio.h>

#define ok(call) ck_assert_msg((call) == OK, "%s: %s", #call, status_text())

static struct memory memory;

static struct grammar *open_one(struct grammar_source source, const struct vocabulary *vocabulary) {
    struct grammar *grammar = NULL;
    const char *text = source.json_schema ? source.json_schema
                       : source.regex     ? source.regex
                                          : source.ebnf;
    source.length = strlen(text);
    status result = grammar_open(&memory, &source, vocabulary, &grammar);
    ck_assert_msg(result == OK, "%s: %s", text, status_text());
    return grammar;
}

static void refused(struct grammar_source source, status code, const char *what) {
    struct grammar *grammar = NULL;
    const char *text = source.json_schema ? source.json_schema
                       : source.regex     ? source.regex
                                          : source.ebnf;
    source.length = strlen(text);
    status result = grammar_open(&memory, &source, NULL, &grammar);
    ck_assert_msg(result == code, "%.200s is %d (%s)", text, result, result ? status_text() : "");
    ck_assert_msg(strstr(status_text(), what), "%.200s: '%s' without '%s'", text, status_text(),
                  what);
    ck_assert_uint_eq(memory.bytes, 0);
}

/* texts: those that match whole, "~" and one that is a beginning, "!" and one that is none. */
static void check_texts(struct grammar_source source, const char *const *texts) {
    struct grammar *grammar = open_one(source, NULL);
    for (; *texts; texts++) {
        int32_t match = -1, expected = **texts == '~' ? 1 : **texts == '!' ? 0 : 2;
        const char *text = *texts + (expected != 2);
        ok(grammar_match(grammar, text, strlen(text), &match));
        ck_assert_msg(match == expected, "'%s' is %d, not %d, of %s", text, match, expected,
                      source.json_schema ? source.json_schema
                      : source.regex     ? source.regex
                                         : source.ebnf);
    }
    grammar_close(grammar);
    ck_assert_uint_eq(memory.bytes, 0);
}

#define TEXTS(...)          \
    (const char *const[]) { \
        __VA_ARGS__, NULL   \
    }
#define REGEX(text, ...) check_texts((struct grammar_source){.regex = text}, TEXTS(__VA_ARGS__))
#define EBNF(text, ...) check_texts((struct grammar_source){.ebnf = text}, TEXTS(__VA_ARGS__))
#define SCHEMA(text, ...) \
    check_texts((struct grammar_source){.json_schema = text}, TEXTS(__VA_ARGS__))

START_TEST(regular_expressions) {
    REGEX("a(b|c)*d{2,3}", "add", "abcbddd", "~ab", "!b", "!adddd");
    REGEX("", "", "!a");
    REGEX("^(yes|no)$", "yes", "no", "~ye", "!yesno");
    REGEX("[^a-c]+", "xyz", "\xc3\xa9", "~\xc3", "!a", "!\xff");
    REGEX("\\d{3}-\\w+", "123-a_Z", "~12", "!12a");
    REGEX("\\u00e9|\\x41|\\u{1F600}", "\xc3\xa9", "A", "\xf0\x9f\x98\x80");
    REGEX("(?:a|b)+?(?<n>c)?", "ab", "abc", "!c");
    REGEX("a{2,}b{0}", "aa", "aaaa", "~a", "!aab");
    REGEX("[\\s\\S]", "\n", "x");
    REGEX(".", "x", "!\n");
    REGEX("a{,3}", "a{,3}");
    REGEX("x[]|y", "y", "!x");
    refused((struct grammar_source){.regex = "a(?=b)"}, UNSUPPORTED, "lookahead");
    refused((struct grammar_source){.regex = "(?<!b)a"}, UNSUPPORTED, "lookbehind");
    refused((struct grammar_source){.regex = "(a)\\1"}, UNSUPPORTED, "back reference");
    refused((struct grammar_source){.regex = "\\bx"}, UNSUPPORTED, "boundary");
    refused((struct grammar_source){.regex = "\\p{L}"}, UNSUPPORTED, "property");
    refused((struct grammar_source){.regex = "(a"}, INVALID_ARGUMENT, "group");
    refused((struct grammar_source){.regex = "*a"}, INVALID_ARGUMENT, "repeat");
    refused((struct grammar_source){.regex = "[b-a]"}, INVALID_ARGUMENT, "order");
    refused((struct grammar_source){.regex = "[]"}, INVALID_ARGUMENT, "no text");
    refused((struct grammar_source){.regex = "\xff"}, INVALID_ARGUMENT, "UTF-8");
}
END_TEST

START_TEST(rules) {
    EBNF("root ::= \"(\" root \")\" | [a-z]+ (\",\" root)?", "((ab))", "a,(b)", "~(a", "!)");
    EBNF("# a list\nlist ::= item (\",\" item)*\nitem ::= 'x'{2,3} | #x41 // end", "xx", "A,xxx",
         "!x,", "~x");
    EBNF("root ::= a b\na ::= \"x\"?\nb ::= \"y\"*", "", "x", "xyy", "!yx");
    EBNF("root ::= \"a\" root \"b\" | \"\"", "", "ab", "aabb", "~aab", "!abb");
    EBNF("s ::= s1 | s2\ns1 ::= \"a\" s1 \"c\" | \"b\"\ns2 ::= \"a\" s2 \"d\" | \"b\"", "b",
         "aabcc", "aabdd", "!aabcd");
    EBNF("root ::= e\ne ::= t ([+-] t)*\nt ::= [0-9]+ | \"(\" e \")\"", "1+(2-3)", "~1+(", "!1+)");
    EBNF("root ::= . \"\\u20ac\" [\\]\\-x]", "\xc3\xa9\xe2\x82\xac]", "a\xe2\x82\xac-");
    refused((struct grammar_source){.ebnf = "e ::= e \"+\" e | \"1\""}, UNSUPPORTED, "'e'");
    refused((struct grammar_source){.ebnf = "r ::= o r \"x\" | \"y\"\no ::= \"\"?"}, UNSUPPORTED,
            "left recursion");
    refused((struct grammar_source){.ebnf = "r ::= b"}, INVALID_ARGUMENT, "'b'");
    refused((struct grammar_source){.ebnf = "r ::= \"x\" r"}, INVALID_ARGUMENT, "no text");
    refused((struct grammar_source){.ebnf = "r ::= \"x"}, INVALID_ARGUMENT, "line 1");
    refused((struct grammar_source){.ebnf = ""}, INVALID_ARGUMENT, "no rules");
}
END_TEST

/* Each schema is a document of its own: its references, its draft. */
START_TEST(schemas_in_rules) {
    EBNF("root ::= \"<\" %json {\"type\":\"integer\"} \">\" | %json{\"type\":\"null\"}", "<12>",
         "<0>", "null", "~<-1", "!<1.", "!<>", "!12");
    EBNF("r ::= (%json {\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"const\":1}}} \";\"){1,2} x* # \n"
         "x ::= %json {\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"const\":\"}\"}}} /* the end */ ;",
         "1;", "1;1;", "1;\"}\"\"}\"", "!1;1;1", "~1;\"}", "!\"");
    EBNF("r ::= %json {\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"}},"
         "\"additionalProperties\":false} [0-9]",
         "{}1", "{\"a\":1.5}2", "~{\"a\":1.5}", "!{\"b\"");
    EBNF("r ::= a a\na ::= %json {} | \"\"", "", "12", "[1]{\"x\":null}", "~[1]{", "![1]]");
    EBNF("r ::= %json {\"type\":\"array\",\"items\":{\"$ref\":\"#\"}} r?", "[]", "[[[]]][]", "!x");
    refused((struct grammar_source){.ebnf = "r ::= %json {\"uniqueItems\":true}"}, UNSUPPORTED,
            "uniqueItems");
    refused((struct grammar_source){.ebnf = "r ::= \"a\"\n | %json {\"a\":}"}, INVALID_ARGUMENT,
            "line 2");
    refused((struct grammar_source){.ebnf = "r ::= %json 1"}, INVALID_ARGUMENT, "braces");
    refused((struct grammar_source){.ebnf = "r ::= %json"}, INVALID_ARGUMENT, "braces");
    refused((struct grammar_source){.ebnf = "r ::= %jsons {}"}, INVALID_ARGUMENT, "expected");
    refused((struct grammar_source){.ebnf = "r ::= %json {\"not\":{}}"}, INVALID_ARGUMENT,
            "no text");
    EBNF("r ::= %json {\"not\":{}} | \"a\"", "a", "!1");
    refused((struct grammar_source){.ebnf = "r ::= r1 %json {}\nr1 ::= r"}, UNSUPPORTED,
            "left recursion");
}
END_TEST

START_TEST(schemas) {
    SCHEMA("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":3},"
           "\"b\":{\"items\":{\"type\":\"string\"},\"type\":\"array\"}},\"required\":[\"a\"],"
           "\"additionalProperties\":false}",
           "{\"a\":3}", "{\"b\":[\"x\",\"\"],\"a\":17}", "~{\"b\":[\"x\"]", "!{\"a\":2}", "!{}",
           "!{\"a\":3,\"a", "!{ ");
    SCHEMA("{\"minimum\":-1.5,\"exclusiveMaximum\":20,\"type\":\"number\"}", "-1.5", "19.999", "0",
           "-1", "!-1.51", "!20", "!200", "!-2", "!-10");
    SCHEMA("{\"multipleOf\":0.25}", "0.75", "3", "-1.50", "!0.3", "\"x\"");
    SCHEMA("{\"type\":\"string\",\"pattern\":\"^a\",\"maxLength\":3}", "\"a\"",
           "\"a\xc3\xa9\xe2\x82\xac\"", "!\"b", "!\"abcd");
    SCHEMA("{\"const\":{\"k\":[1,\"\\\"\\u0001\"]}}", "{\"k\":[1,\"\\\"\\u0001\"]}", "!{\"k\":[2");
    SCHEMA("{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}", "1", "2.5", "~3", "\"x\"");
    SCHEMA("{\"not\":{\"required\":[\"a\"]}}", "{\"b\":1}", "!1", "!{\"a\":");
    SCHEMA("{\"not\":{\"minItems\":2},\"type\":\"array\"}", "[]", "[1]", "![1,");
    SCHEMA("{\"not\":{\"maxItems\":1},\"type\":\"array\"}", "[1,2]", "[1,2,3]", "![]", "![1]");
    SCHEMA("{\"not\":{\"minProperties\":2},\"type\":\"object\"}", "{}", "{\"a\":1}", "!{\"a\":1,");
    SCHEMA("{\"not\":{\"const\":[1,2]}}", "[]", "[1]", "[1,3]", "[0,2]", "[1,2,3]", "\"x\"",
           "![1,2]");
    SCHEMA("{\"not\":{\"enum\":[{\"a\":1},[[]]]},\"type\":[\"array\",\"object\"]}", "{}",
           "{\"a\":2}", "{\"b\":1}", "{\"a\":1,\"b\":1}", "[]", "[[],[]]", "!{\"a\":1}", "![[]]");
    SCHEMA("{\"if\":{\"properties\":{\"t\":{\"const\":1}},\"required\":[\"t\"]},\"then\":"
           "{\"required\":[\"u\"]},\"type\":\"object\"}",
           "{\"t\":2}", "{\"t\":1,\"u\":0}", "{\"u\":0,\"t\":1}", "!{\"t\":1}");
    SCHEMA("{\"contains\":{\"const\":5},\"type\":\"array\",\"maxItems\":2}", "[5]", "[1,5]",
           "[5,5]", "![1,2]", "![]", "![1,2,");
    SCHEMA("{\"$ref\":\"#/$defs/"
           "n\",\"$defs\":{\"n\":{\"type\":[\"array\",\"null\"],\"items\":{\"$ref\":"
           "\"#/$defs/n\"}}}}",
           "[[],[null,[[]]]]", "null", "![1");
    SCHEMA("{\"type\":\"object\",\"minProperties\":2,\"maxProperties\":2,\"properties\":{\"a\":{},"
           "\"b\":{},\"c\":{}},\"additionalProperties\":false}",
           "{\"a\":1,\"c\":2}", "!{\"a\":1}", "!{\"a\":1,\"b\":2,");
    refused(
        (struct grammar_source){.json_schema = "{\"properties\":{\"a~/\":{\"uniqueItems\":true}}}"},
        UNSUPPORTED, "#/properties/a~0~1/uniqueItems");
    refused((struct grammar_source){.json_schema = "{\"minimun\":1}"}, UNSUPPORTED, "#/minimun");
    refused((struct grammar_source){.json_schema = "{\"$ref\":\"http://x/y\"}"}, UNSUPPORTED,
            "$ref");
    refused((struct grammar_source){.json_schema = "{\"unevaluatedProperties\":false}"},
            UNSUPPORTED, "#/unevaluatedProperties");
    refused((struct grammar_source){.json_schema = "{\"$ref\":\"#\"}"}, INVALID_ARGUMENT, "itself");
    refused((struct grammar_source){.json_schema = "{\"allOf\":[{\"not\":{\"$ref\":\"#\"}}]}"},
            INVALID_ARGUMENT, "itself");
    refused((struct grammar_source){.json_schema = "{\"type\":\"strin\"}"}, INVALID_ARGUMENT,
            "#/type");
    refused((struct grammar_source){.json_schema = "{\"type\":"}, INVALID_ARGUMENT, "offset");
    refused((struct grammar_source){.json_schema = "false"}, INVALID_ARGUMENT, "no text");
    refused((struct grammar_source){.json_schema =
                                        "{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}"},
            INVALID_ARGUMENT, "no text");
}
END_TEST

START_TEST(white_space) {
    struct grammar_source source = {
        .json_schema = "{\"properties\":{\"a\":{\"type\":\"array\"}},\"required\":[\"a\"],"
                       "\"type\":\"object\"}",
        .whitespace = true};
    check_texts(source, TEXTS("{\"a\":[]}", "{ \"a\" :\n[ 1 , {} ]\t}", "~{ ", "!{ }", "! {"));
}
END_TEST

/* ---- hostile: an error in little time and memory ---- */

static char *repeated(const char *before, const char *piece, size_t n, const char *after) {
    size_t length = strlen(piece);
    char *text = malloc(strlen(before) + n * length + strlen(after) + 1), *at = text;
    at += sprintf(at, "%s", before);
    for (size_t i = 0; i < n; i++, at += length) memcpy(at, piece, length);
    strcpy(at, after);
    return text;
}

static void bounded(const char *kind, char *text) {
    struct grammar_source source = {.length = strlen(text)};
    struct grammar *grammar = NULL;
    if (*kind == 'j')
        source.json_schema = text;
    else if (*kind == 'r')
        source.regex = text;
    else
        source.ebnf = text;
    status result = grammar_open(&memory, &source, NULL, &grammar);
    if (result == OK) {
        int32_t match;
        status read = grammar_match(grammar, text, strlen(text), &match);
        ck_assert(read == OK || read == LIMIT);
        grammar_close(grammar);
    } else {
        ck_assert_msg(result == LIMIT || result == INVALID_ARGUMENT || result == UNSUPPORTED,
                      "%d %s", result, status_text());
    }
    ck_assert_uint_eq(memory.bytes, 0);
    free(text);
}

START_TEST(hostile) {
    bounded("r", repeated("", "(", 100000, ""));
    bounded("r", repeated("", "(a|", 150, "b"));
    bounded("r", repeated("", "(a{0,100}){0,100}", 3, ""));
    bounded("r", repeated("((a{1,1000}){1,1000}){1,1000}", "", 0, ""));
    bounded("r", repeated("(.*a.{20}){3}", "", 0, ""));
    bounded("r", repeated("(a|b)*a(a|b){40}", "", 0, ""));
    bounded("r", repeated("a{4294967295}", "", 0, ""));
    bounded("r", repeated("(a*)*(a*)*", "(a?)*", 50, "b"));
    bounded("e", repeated("r ::= ", "(", 10000, ""));
    bounded("e", repeated("r ::= \"a\"", "*", 10000, ""));
    bounded("e", repeated("r ::= \"a\" r r r | \"a\" r r | \"a\"", "", 0, ""));
    bounded("e", repeated("r ::= (a | b)+\na ::= \"x\" r?\nb ::= \"x\" r r?\n", "", 0, ""));
    bounded("j", repeated("", "[", 100000, ""));
    bounded("j", repeated("", "{\"not\":", 60, "{}"));
    bounded("j", repeated("{\"allOf\":[", "{\"anyOf\":[{\"minLength\":1},{\"required\":[\"a\"]}]},",
                          40, "{}]}"));
    bounded("j", repeated("{\"oneOf\":[", "{\"required\":[\"a\"]},", 30, "{}]}"));
    bounded("j", repeated("{\"minLength\":100000000,\"type\":\"string\"}", "", 0, ""));
    bounded("j", repeated("{\"minItems\":2000000000,\"type\":\"array\"}", "", 0, ""));
    bounded("j", repeated("{\"multipleOf\":1e-300}", "", 0, ""));
    bounded("j", repeated("{\"minimum\":1e999999999}", "", 0, ""));
    bounded("j", repeated("{\"pattern\":\"(a{1,100}){1,100}\",\"maxLength\":4000}", "", 0, ""));
    bounded(
        "j",
        repeated(
            "{\"properties\":{\"a\":{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#/properties/a\"}]}}}",
            "", 0, ""));
    bounded(
        "j",
        repeated(
            "{\"properties\":{\"a\":{\"not\":{\"$ref\":\"#\"}},\"b\":{\"anyOf\":[{\"$ref\":\"#\"},"
            "{\"not\":{\"$ref\":\"#/properties/a\"}}]}}}",
            "", 0, ""));
}
END_TEST

/* ---- masks ---- */

static const char *const sources[][2] = {
    {"j", "{}"},
    {"j",
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":5},\"id\":"
     "{\"type\":\"integer\",\"minimum\":10,\"maximum\":250},\"value\":{\"enum\":[\"a\",\"the\","
     "null,1.5]}},"
     "\"required\":[\"id\",\"name\"],\"additionalProperties\":false}"},
    {"j",
     "{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"string\",\"pattern\":\"^[a-z]*$\"},"
     "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"patternProperties\":{\"^b\":"
     "{\"type\":\"number\"}}}]},\"minItems\":1,\"maxItems\":3}"},
    {"j", "{\"type\":\"string\",\"format\":\"date-time\"}"},
    {"j", "{\"contains\":{\"const\":1},\"type\":\"array\",\"items\":{\"type\":[\"integer\","
          "\"boolean\"]}}"},
    {"r", "(the|and)?[a-z]{2,6}(\\.[a-z]{2,3})*"},
    {"e", "root ::= \"{\" pair (\",\" pair)* \"}\"\npair ::= [a-z]+ \":\" (root | [0-9]+)"},
    {"e", "root ::= \"a\" root \"b\" | x\nx ::= \"c\" x \"d\" | root2 | \"\"\nroot2 ::= \"{\" root "
          "\"}\""},
    {"e",
     "root ::= \"<\" (item \",\")* item \">\" | %json {\"type\":\"array\"}\n"
     "item ::= %json {\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"the\":{"
     "\"maxLength\":3}},\"additionalProperties\":false}"},
};
enum { N_SOURCES = sizeof sources / sizeof *sources };

static struct grammar *open_source(int index, bool space, const struct vocabulary *vocabulary) {
    struct grammar_source source = {.whitespace = space};
    if (*sources[index][0] == 'j') source.json_schema = sources[index][1];
    if (*sources[index][0] == 'r') source.regex = sources[index][1];
    if (*sources[index][0] == 'e') source.ebnf = sources[index][1];
    return open_one(source, vocabulary);
}

static bool allowed(const float *masked, uint32_t token) {
    return masked[token] == 1.0f;
}

/* Each token read by itself says what the mask says. ck_assert writes to a file each time that it
 * holds, which is too often here. */
static void check_mask(struct grammar *grammar, struct grammar_reader *reader, int64_t remaining,
                       const float *masked) {
    const struct vocabulary *vocabulary = grammar->vocabulary;
    for (uint32_t i = 0; i + 1 < vocabulary->n_tokens; i++) {
        struct grammar_reader one;
        uint32_t from = vocabulary->offsets[i], n = vocabulary->offsets[i + 1] - from;
        grammar_enter_copy(grammar, &one, reader);
        if (grammar_read(grammar, &one, vocabulary->bytes + from, n) != OK)
            ck_abort_msg("token %u: %s", i, status_text());
        uint32_t cost = grammar_cost(grammar, &one);
        bool may = n > 0 && cost < COST_UNSPELLABLE && (remaining < 0 || (int64_t)cost < remaining);
        grammar_leave(grammar, &one);
        if (may != allowed(masked, i))
            ck_abort_msg("token %u '%.*s' is %d, cost %u, %lld left", i, (int)n,
                         vocabulary->bytes + from, may, cost, (long long)remaining);
    }
    ck_assert(allowed(masked, vocabulary->n_tokens - 1) == grammar_may_end(grammar, reader));
}

struct drawn {
    char bytes[8192];
    size_t length;
    int64_t n_tokens;
    bool ended;
};

/* Tokens at random until the end; budget -1: none, at most `most` tokens. */
static void draw(struct grammar *grammar, uint64_t *seed, int64_t budget, int64_t most,
                 int check_each, struct drawn *text) {
    const struct vocabulary *vocabulary = grammar->vocabulary;
    uint32_t n = vocabulary->n_tokens;
    float *logits = malloc(n * sizeof *logits), *masked = malloc(n * sizeof *masked);
    struct grammar_reader reader;
    for (uint32_t i = 0; i < n; i++) logits[i] = 1;
    ok(grammar_enter(grammar, &reader));
    memset(text, 0, sizeof *text);
    while (text->n_tokens < most) {
        int32_t least;
        uint32_t token, n_allowed = 0;
        int64_t remaining = budget < 0 ? -1 : budget - text->n_tokens;
        ok(grammar_apply(grammar, &reader, remaining, logits, masked, &least));
        ck_assert(allowed(masked, (uint32_t)least));
        if (check_each && grammar_random(seed) % (uint32_t)check_each == 0)
            check_mask(grammar, &reader, remaining, masked);
        for (uint32_t i = 0; i < n; i++) n_allowed += allowed(masked, i);
        uint32_t pick = grammar_random(seed) % n_allowed;
        for (token = 0;; token++)
            if (allowed(masked, token) && pick-- == 0) break;
        if (token == n - 1) {
            text->ended = true;
            break;
        }
        uint32_t from = vocabulary->offsets[token], length = vocabulary->offsets[token + 1] - from;
        ck_assert_uint_lt(text->length + length, sizeof text->bytes);
        memcpy(text->bytes + text->length, vocabulary->bytes + from, length);
        text->length += length;
        text->n_tokens++;
        ok(grammar_read(grammar, &reader, vocabulary->bytes + from, length));
    }
    grammar_leave(grammar, &reader);
    free(logits);
    free(masked);
}

START_TEST(masks_are_right) {
    struct vocabulary *vocabulary = grammar_vocabulary(&memory, 2000, 7);
    uint64_t seed = (uint64_t)_i;
    for (int space = 0; space < 2; space++) {
        struct grammar *grammar = open_source(_i, space, vocabulary);
        for (int round = 0; round < 6; round++) {
            struct drawn text;
            int64_t budget = round % 2 ? 60 : -1;
            draw(grammar, &seed, budget, 60, 4, &text);
            int32_t match;
            ok(grammar_match(grammar, text.bytes, text.length, &match));
            ck_assert_int_eq(match == 2, text.ended || budget > 0 || match == 2);
            ck_assert_int_gt(match, 0);
        }
        grammar_close(grammar);
    }
    vocabulary_close(vocabulary);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

/* With every budget that suffices, the text is whole within it. */
START_TEST(closes_in_time) {
    struct vocabulary *vocabulary = grammar_vocabulary(&memory, 1000, 11);
    struct grammar *grammar = open_source(_i, false, vocabulary);
    uint32_t least =
        grammar->machine.root_is_empty ? 0 : grammar->machine.rules[grammar->machine.root].cost;
    uint64_t seed = 99 + (uint64_t)_i;
    for (int64_t budget = least; budget < least + 40; budget++) {
        struct drawn text;
        int32_t match;
        draw(grammar, &seed, budget, budget, 50, &text);
        ok(grammar_match(grammar, text.bytes, text.length, &match));
        ck_assert_msg(match == 2, "'%.*s' within %lld tokens", (int)text.length, text.bytes,
                      (long long)budget);
    }
    grammar_close(grammar);
    vocabulary_close(vocabulary);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

/* Where memory is cleared away again and again, readers stay where they stand. */
START_TEST(memory_is_reused) {
    struct vocabulary *vocabulary = grammar_vocabulary(&memory, 600, 3);
    struct grammar *grammar = open_source(0, false, vocabulary);
    struct grammar_reader readers[8];
    char texts[8][4096];
    size_t length[8] = {0};
    uint64_t seed = 5, bytes = memory.bytes;
    float logits[600] = {0}, masked[600];
    int32_t token;
    for (int i = 0; i < 8; i++) ok(grammar_enter(grammar, &readers[i]));
    for (int step = 0; step < 3000; step++) {
        int i = (int)(grammar_random(&seed) % 8);
        static const char letters[] = "[[[{\"a\":";
        if (length[i] + 8 >= sizeof *texts) continue;
        const char *piece = grammar_random(&seed) % 2 ? "[" : "{\"a\":";
        (void)letters;
        ok(grammar_read(grammar, &readers[i], (const uint8_t *)piece, strlen(piece)));
        memcpy(texts[i] + length[i], piece, strlen(piece));
        length[i] += strlen(piece);
        if (step % 7 == 0) ok(grammar_apply(grammar, &readers[i], -1, logits, masked, &token));
    }
    for (int i = 0; i < 8; i++) {
        struct grammar_reader again;
        ok(grammar_enter(grammar, &again));
        ok(grammar_read(grammar, &again, (const uint8_t *)texts[i], length[i]));
        ck_assert_uint_eq(again.set, readers[i].set);
        grammar_leave(grammar, &again);
        grammar_leave(grammar, &readers[i]);
    }
    ck_assert_uint_eq(memory.bytes, bytes);
    /* A text that nests without an end reaches a limit, and others go on. */
    struct grammar_reader deep;
    ok(grammar_enter(grammar, &deep));
    status result = OK;
    for (int i = 0; i < 200000 && result == OK; i++)
        result = grammar_read(grammar, &deep, (const uint8_t *)"[", 1);
    ck_assert_int_eq(result, LIMIT);
    grammar_leave(grammar, &deep);
    int32_t match;
    ok(grammar_match(grammar, "[1]", 3, &match));
    ck_assert_int_eq(match, 2);
    grammar_close(grammar);
    vocabulary_close(vocabulary);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

/* Bytes that no token is: no text leads where only they go on. */
START_TEST(what_cannot_be_spelled) {
    static const char texts[] = "ab\"{}:,[]1";
    uint32_t n = sizeof texts, *offsets;
    uint8_t *bytes;
    struct vocabulary *vocabulary;
    int32_t end = (int32_t)n - 1, match;
    ok(MEMORY_TAKE_ARRAY(&memory, n + 1, "test", &offsets));
    ok(MEMORY_TAKE_ARRAY(&memory, n, "test", &bytes));
    memcpy(bytes, texts, n - 1);
    for (uint32_t i = 0; i < n; i++) offsets[i] = i;
    offsets[n] = n - 1;
    ok(vocabulary_open(&memory, n, offsets, bytes, &end, 1, &vocabulary));
    struct grammar *grammar = open_one(
        (struct grammar_source){.json_schema = "{\"enum\":[\"ab\",\"ac\",1,12,null]}"}, vocabulary);
    uint64_t seed = 1;
    for (int i = 0; i < 50; i++) {
        struct drawn text;
        draw(grammar, &seed, -1, 50, 1, &text);
        ck_assert(text.ended);
        ok(grammar_match(grammar, text.bytes, text.length, &match));
        ck_assert_int_eq(match, 2);
    }
    grammar_close(grammar);
    vocabulary_close(vocabulary);
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("grammar");
    TCase *cases = tcase_create("all");
    memory_init(&memory, NULL);
    tcase_set_timeout(cases, 300);
    tcase_add_test(cases, regular_expressions);
    tcase_add_test(cases, rules);
    tcase_add_test(cases, schemas_in_rules);
    tcase_add_test(cases, schemas);
    tcase_add_test(cases, white_space);
    tcase_add_test(cases, hostile);
    tcase_add_loop_test(cases, masks_are_right, 0, N_SOURCES);
    tcase_add_loop_test(cases, closes_in_time, 0, N_SOURCES);
    tcase_add_test(cases, memory_is_reused);
    tcase_add_test(cases, what_cannot_be_spelled);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
