/* Text to tokens and back, by small vocabularies and by published ones where they are present. */
#define _GNU_SOURCE
#include "small_vocabulary.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/tokenizer.h"

#include <check.h> /* after ours: it defines a macro fail */
#include <stdio.h>
#include <unistd.h>

static struct bytes file;

/* ---- a tokenizer of `file` ---- */

struct opened {
    struct memory memory;
    struct checkpoint *checkpoint;
    struct tokenizer *tokenizer;
};

static status open_in(struct opened *opened, const transformer_allocator *allocator) {
    *opened = (struct opened){.tokenizer = NULL};
    memory_init(&opened->memory, allocator);
    struct checkpoint_options options = {
        .path = "test.gguf", .data = file.data, .data_size = file.n};
    TRY(checkpoint_open(&opened->memory, &options, &opened->checkpoint));
    return tokenizer_open(&opened->memory, opened->checkpoint, 100000, &opened->tokenizer);
}

static void close_all(struct opened *opened) {
    tokenizer_close(opened->tokenizer);
    checkpoint_close(opened->checkpoint);
    ck_assert_uint_eq(opened->memory.bytes, 0);
}

static void open_right(struct opened *opened) {
    status result = open_in(opened, NULL);
    ck_assert_msg(result == OK, "%d: %s", result, status_text());
    ck_assert_ptr_nonnull(opened->tokenizer);
}

/* ids: ended by -1 */
static void encodes_n(struct opened *opened, const char *text, size_t length, int special,
                      int parse, const int32_t *ids) {
    int32_t got[64];
    size_t count, n = 0;
    while (ids[n] >= 0) n++;
    struct tokenize_flags flags = {.add_special = special, .parse_special = parse};
    status result = tokenizer_encode(opened->tokenizer, &opened->memory,
                                     (struct text){text, length}, flags, got, 64, &count);
    ck_assert_msg(result == OK, "'%s': %s", text, status_text());
    ck_assert_msg(count == n, "'%s': %zu tokens, not %zu", text, count, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(got[i] == ids[i], "'%s': token %zu is %d, not %d", text, i, got[i], ids[i]);
}

#define ENCODES(text, special, parse, ...) \
    encodes_n(&opened, text, sizeof(text) - 1, special, parse, (const int32_t[]){__VA_ARGS__})

/* ids: ended by -1 */
static void renders_n(struct opened *opened, const char *text, int special, const int32_t *ids) {
    char got[256];
    size_t length = 0;
    struct detokenize_state state = {.started = false};
    for (; *ids >= 0; ids++) {
        struct detokenize_state before = state;
        size_t n = tokenizer_token_bytes(opened->tokenizer, &state, *ids, special, got + length,
                                         sizeof got - length);
        ck_assert_uint_le(n, tokenizer_max_token_bytes(opened->tokenizer));
        for (size_t room = 0; room <= n; room++) { /* exactly the room it needs is enough */
            char *exact = malloc(room + 1);
            struct detokenize_state again = before;
            exact[room] = '\x7f';
            ck_assert_uint_eq(
                tokenizer_token_bytes(opened->tokenizer, &again, *ids, special, exact, room), n);
            ck_assert_int_eq(exact[room], '\x7f');
            if (room == n) ck_assert_mem_eq(exact, got + length, n);
            free(exact);
        }
        length += n;
    }
    ck_assert_msg(length == strlen(text) && memcmp(got, text, length) == 0, "'%.*s', not '%s'",
                  (int)length, got, text);
}

#define RENDERS(text, special, ...) \
    renders_n(&opened, text, special, (const int32_t[]){__VA_ARGS__})

/* ---- kinds of tokenizers ---- */

START_TEST(bpe_merges_in_order) {
    struct opened opened;
    small_bpe(&file, "gpt-2");
    open_right(&opened);
    ENCODES("", 0, 0, -1);
    ENCODES("hello", 0, 0, BPE_HELLO, -1);
    ENCODES("hell", 0, 0, BPE_HELL, -1);
    ENCODES("ello", 0, 0, 'e', BPE_LL, 'o', -1);
    ENCODES("aaa", 0, 0, BPE_AA, 'a', -1);
    ENCODES("aaaaaaa", 0, 0, BPE_AAAA, BPE_AA, 'a', -1);
    ENCODES("a a", 0, 0, 'a', BPE_SPACE_A, -1);
    ENCODES("he\xff", 0, 0, BPE_HE, 0xef, 0xbf, 0xbd, -1);
    ENCODES("a", 1, 0, BPE_BEGIN, 'a', -1);
    ENCODES("\xc3\xa9", 0, 0, 0xc3, 0xa9, -1);
    RENDERS("hello a\xe9\n", 0, BPE_HELLO, BPE_SPACE_A, 0xe9, '\n', -1);
    RENDERS("<user>", 0, BPE_USER, BPE_BEGIN, -1);
    RENDERS("<user><|begin|>", 1, BPE_USER, BPE_BEGIN, -1);
    close_all(&opened);
}
END_TEST

START_TEST(special_tokens_are_parsed_on_request) {
    struct opened opened;
    small_bpe(&file, "gpt-2");
    open_right(&opened);
    ENCODES("a<|im_end|>a", 0, 1, 'a', BPE_IM_END, 'a', -1);
    ENCODES("a<|im_end|>", 0, 0, 'a', '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>', -1);
    ENCODES("<user>a", 0, 0, BPE_USER, 'a', -1);
    ENCODES("<user>er", 0, 0, BPE_USER_LONGER, -1);
    ENCODES("<user>e", 0, 0, BPE_USER, 'e', -1);
    ENCODES("<<user>", 0, 1, '<', BPE_USER, -1);
    ENCODES("<|im_en", 0, 1, '<', '|', 'i', 'm', '_', 'e', 'n', -1);
    ENCODES("<|begin|><|begin|>", 1, 1, BPE_BEGIN, BPE_BEGIN, BPE_BEGIN, -1);
    size_t n;
    const int32_t *ends = tokenizer_end_tokens(opened.tokenizer, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(ends[0], BPE_IM_END);
    ck_assert_int_eq(tokenizer_special(opened.tokenizer, TRANSFORMER_TOKEN_BEGIN), BPE_BEGIN);
    ck_assert_int_eq(tokenizer_special(opened.tokenizer, TRANSFORMER_TOKEN_END_OF_TURN),
                     BPE_IM_END);
    ck_assert_int_eq(tokenizer_special(opened.tokenizer, TRANSFORMER_TOKEN_MASK), -1);
    ck_assert_int_eq(tokenizer_special(opened.tokenizer, 99), -1);
    ck_assert_int_eq(tokenizer_vocab_size(opened.tokenizer), BPE_USER_LONGER + 1);
    close_all(&opened);
}
END_TEST

START_TEST(whole_words_go_before_merges) {
    struct opened opened;
    small_bpe(&file, "llama-bpe");
    /* a token that no merge makes */
    char *piece = memmem(file.data, file.n, "aaaa", 4);
    memcpy(piece, "aaxa", 4);
    char *merge = memmem(file.data, file.n, "aa aa", 5);
    memcpy(merge, "he ll", 5);
    open_right(&opened);
    ENCODES("aaxa", 0, 0, BPE_AAAA, -1);
    ENCODES(" aaxa", 0, 0, ' ', BPE_AA, 'x', 'a', -1);
    close_all(&opened);
}
END_TEST

START_TEST(sentencepiece_joins_by_score) {
    struct opened opened;
    small_sentencepiece(&file, 1);
    open_right(&opened);
    ENCODES("", 1, 0, SP_BEGIN, -1);
    ENCODES("a", 1, 0, SP_BEGIN, SP_SPACE_A, -1);
    ENCODES("ab", 0, 0, SP_SPACE_AB, -1);
    ENCODES("aab", 0, 0, SP_SPACE_A, SP_AB, -1);
    ENCODES(" a", 0, 0, SP_SPACE, SP_SPACE_A, -1);
    ENCODES("b a", 0, 0, SP_SPACE, SP_B, SP_SPACE_A, -1);
    ENCODES("b> a", 0, 0, SP_SPACE, SP_B, SP_GREATER_SPACE_A, -1);
    ENCODES(">  a", 0, 0, SP_SPACE, SP_GREATER_SPACE, SP_SPACE_A, -1);
    ENCODES("\u4e2d", 0, 0, SP_SPACE, 0xe4, 0xb8, 0xad, -1);
    ENCODES("<s>a", 0, 1, SP_BEGIN, SP_SPACE_A, -1);
    ENCODES("a<user>a", 0, 0, SP_SPACE_A, SP_USER, SP_SPACE_A, -1);
    /* what looks like a control or byte token in a text is not one */
    ENCODES("<s>", 0, 0, SP_SPACE, '<', 's', SP_GREATER, -1);
    ENCODES("<0x0A>", 0, 0, SP_SPACE, '<', '0', 'x', '0', 'A', SP_GREATER, -1);
    RENDERS("a a", 0, SP_BEGIN, SP_SPACE_A, SP_SPACE_A, -1);
    RENDERS(" a\n", 0, SP_SPACE, SP_SPACE_A, '\n', -1);
    RENDERS("<s>a</s>", 1, SP_BEGIN, SP_A, SP_END, -1);
    close_all(&opened);

    small_sentencepiece(&file, 0);
    open_right(&opened);
    ENCODES("a", 1, 0, SP_BEGIN, SP_A, -1);
    ENCODES(" ab", 0, 0, SP_SPACE_AB, -1);
    RENDERS(" a", 0, SP_SPACE_A, -1);
    size_t n;
    const int32_t *ends = tokenizer_end_tokens(opened.tokenizer, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(ends[0], SP_END);
    close_all(&opened);
}
END_TEST

START_TEST(wordpiece_takes_the_longest) {
    struct opened opened;
    small_wordpiece(&file);
    open_right(&opened);
    ENCODES("unaffable", 0, 0, WP_UN, WP_AFF, WP_ABLE, -1);
    ENCODES("H\u00c9LLO, hello", 1, 0, WP_CLASSIFY, WP_HELLO, WP_COMMA, WP_HELLO, WP_SEPARATOR, -1);
    ENCODES("hel\u200blo\t\u4e2d\u4e2dhello", 0, 0, WP_HELLO, WP_CHINESE, WP_CHINESE, WP_HELLO, -1);
    ENCODES("unx a", 0, 0, WP_UNKNOWN, WP_A, -1);
    ENCODES("a\u2581a", 0, 0, WP_UNKNOWN, -1);
    ENCODES("[SEP]", 0, 1, WP_SEPARATOR, -1);
    RENDERS("unaffable , hello", 0, WP_UN, WP_AFF, WP_ABLE, WP_COMMA, WP_HELLO, -1);
    char text[102];
    memset(text, 'a', 101);
    int32_t ids[64];
    size_t count;
    struct tokenize_flags none = {false, false};
    ck_assert_int_eq(tokenizer_encode(opened.tokenizer, &opened.memory, (struct text){text, 101},
                                      none, ids, 64, &count),
                     OK);
    ck_assert_uint_eq(count, 1); /* a word of over 100 characters is unknown */
    ck_assert_int_eq(tokenizer_encode(opened.tokenizer, &opened.memory, (struct text){text, 100},
                                      none, ids, 64, &count),
                     BUFFER_TOO_SMALL);
    ck_assert_uint_eq(count, 100);
    close_all(&opened);
}
END_TEST

START_TEST(count_is_told_when_there_is_no_room) {
    struct opened opened;
    small_bpe(&file, "gpt-2");
    open_right(&opened);
    struct text text = {"hello aa x", 10};
    struct tokenize_flags flags = {.add_special = true};
    int32_t ids[8] = {-7, -7, -7, -7, -7, -7, -7, -7};
    size_t count = 0;
    ck_assert_int_eq(
        tokenizer_encode(opened.tokenizer, &opened.memory, text, flags, NULL, 0, &count), OK);
    size_t need = count;
    for (size_t room = 1; room < need; room++) {
        ck_assert_int_eq(
            tokenizer_encode(opened.tokenizer, &opened.memory, text, flags, ids, room, &count),
            BUFFER_TOO_SMALL);
        ck_assert_uint_eq(count, need);
        ck_assert_int_eq(ids[room], -7);
    }
    ck_assert_int_eq(
        tokenizer_encode(opened.tokenizer, &opened.memory, text, flags, ids, need, &count), OK);
    ck_assert_uint_eq(count, need);
    close_all(&opened);
}
END_TEST

START_TEST(a_file_may_have_none) {
    struct opened opened;
    static const char *const names[] = {NULL, "none", "no_vocab"};
    for (int i = 0; i < 3; i++) {
        put_head(&file, 3, 0, names[i] != NULL);
        if (names[i]) put_key_string(&file, "tokenizer.ggml.model", names[i]);
        ck_assert_int_eq(open_in(&opened, NULL), OK);
        ck_assert_ptr_null(opened.tokenizer);
        close_all(&opened);
    }
}
END_TEST

/* ---- wrong files ---- */

enum flaw {
    NO_FLAW,
    NO_TOKENS,
    TOKENS_ARE_NUMBERS,
    TOKENS_EMPTY,
    TYPES_TOO_FEW,
    TYPES_ARE_STRINGS,
    TYPE_UNKNOWN,
    SCORES_TOO_MANY,
    SCORES_OF_I32,
    SCORE_NAN,
    SCORES_MISSING,
    NO_MERGES,
    MERGES_ARE_NUMBERS,
    MERGE_OF_ONE,
    MERGE_OF_UNKNOWN,
    MERGE_TO_UNKNOWN,
    ID_TOO_LARGE,
    ID_NEGATIVE,
    ID_A_STRING,
    BOS_NOT_NAMED,
    MODEL_UNKNOWN,
    MODEL_A_NUMBER,
    PRE_UNKNOWN,
    NO_UNKNOWN_FOR_BYTES
};

static void put_types(enum flaw flaw) {
    put_array(&file, "tokenizer.ggml.token_type",
              flaw == TYPES_ARE_STRINGS ? METADATA_STRING : METADATA_I32,
              flaw == TYPES_TOO_FEW ? 3 : 4);
    for (int i = 0; i < (flaw == TYPES_TOO_FEW ? 3 : 4); i++) {
        if (flaw == TYPES_ARE_STRINGS)
            put_string(&file, "1");
        else
            put_u32(&file, flaw == TYPE_UNKNOWN && i == 2 ? 7 : 1);
    }
}

static void put_scores(enum flaw flaw) {
    uint64_t n = flaw == SCORES_TOO_MANY ? 5 : 4;
    put_array(&file, flaw == SCORES_MISSING ? "other" : "tokenizer.ggml.scores",
              flaw == SCORES_OF_I32 ? METADATA_I32 : METADATA_F32, n);
    for (uint64_t i = 0; i < n; i++)
        put_u32(&file, flaw == SCORE_NAN && i == 3 ? 0x7fc00000u : 0x3f800000u);
}

static void put_merges(enum flaw flaw) {
    if (flaw == MERGES_ARE_NUMBERS) {
        put_array(&file, "tokenizer.ggml.merges", METADATA_U32, 1);
        put_u32(&file, 1);
        return;
    }
    put_array(&file, flaw == NO_MERGES ? "no merges" : "tokenizer.ggml.merges", METADATA_STRING, 1);
    put_string(&file, flaw == MERGE_OF_ONE       ? "ab"
                      : flaw == MERGE_OF_UNKNOWN ? "a z"
                      : flaw == MERGE_TO_UNKNOWN ? "b a"
                                                 : "a b");
}

/* Four tokens: a, b, ab and one that is there twice. */
static void put_flawed(const char *model, enum flaw flaw) {
    put_head(&file, 3, 0, 8);
    if (flaw == MODEL_A_NUMBER)
        put_key_u32(&file, "tokenizer.ggml.model", 1);
    else
        put_key_string(&file, "tokenizer.ggml.model", flaw == MODEL_UNKNOWN ? "charlm" : model);
    put_key_string(&file, "tokenizer.ggml.pre", flaw == PRE_UNKNOWN ? "klingon" : "default");
    static const char *const tokens[] = {"a", "b", "ab", "a"};
    uint64_t n = flaw == TOKENS_EMPTY ? 0 : 4;
    put_array(&file, flaw == NO_TOKENS ? "no tokens" : "tokenizer.ggml.tokens",
              flaw == TOKENS_ARE_NUMBERS ? METADATA_U64 : METADATA_STRING, n);
    for (uint64_t i = 0; i < n; i++) {
        if (flaw == TOKENS_ARE_NUMBERS)
            put_u64(&file, i);
        else
            put_string(&file, tokens[i]);
    }
    put_types(flaw);
    put_scores(flaw);
    put_merges(flaw);
    if (flaw == ID_A_STRING)
        put_key_string(&file, "tokenizer.ggml.eos_token_id", "2");
    else
        put_key(&file, "tokenizer.ggml.eos_token_id", METADATA_I32),
            put_u32(&file, flaw == ID_TOO_LARGE  ? 4u
                           : flaw == ID_NEGATIVE ? 0xffffffffu
                                                 : 3u);
    if (flaw == NO_UNKNOWN_FOR_BYTES) { /* sentencepiece's unknown token is 0 if not said */
        put_key_u32(&file, "tokenizer.ggml.unknown_token_id", 4);
    } else {
        put_key(&file, "tokenizer.ggml.add_bos_token", METADATA_BOOL);
        put_u8(&file, flaw == BOS_NOT_NAMED);
    }
}

static const struct {
    enum flaw flaw;
    const char *model;
    status code;
    const char *named;
} flawed[] = {
    {NO_TOKENS, "gpt2", FORMAT, "tokenizer.ggml.tokens"},
    {TOKENS_ARE_NUMBERS, "gpt2", FORMAT, "tokenizer.ggml.tokens"},
    {TOKENS_EMPTY, "gpt2", FORMAT, "tokenizer.ggml.tokens"},
    {TYPES_TOO_FEW, "gpt2", FORMAT, "tokenizer.ggml.token_type"},
    {TYPES_ARE_STRINGS, "gpt2", FORMAT, "tokenizer.ggml.token_type"},
    {TYPE_UNKNOWN, "gpt2", FORMAT, "tokenizer.ggml.token_type"},
    {SCORES_TOO_MANY, "llama", FORMAT, "tokenizer.ggml.scores"},
    {SCORES_OF_I32, "llama", FORMAT, "tokenizer.ggml.scores"},
    {SCORE_NAN, "llama", FORMAT, "tokenizer.ggml.scores"},
    {SCORES_MISSING, "llama", FORMAT, "tokenizer.ggml.scores"},
    {NO_MERGES, "gpt2", FORMAT, "tokenizer.ggml.merges"},
    {MERGES_ARE_NUMBERS, "gpt2", FORMAT, "tokenizer.ggml.merges"},
    {MERGE_OF_ONE, "gpt2", FORMAT, "tokenizer.ggml.merges"},
    {MERGE_OF_UNKNOWN, "gpt2", FORMAT, "tokenizer.ggml.merges"},
    {MERGE_TO_UNKNOWN, "gpt2", FORMAT, "tokenizer.ggml.merges"},
    {ID_TOO_LARGE, "gpt2", FORMAT, "tokenizer.ggml.eos_token_id"},
    {ID_NEGATIVE, "bert", FORMAT, "tokenizer.ggml.eos_token_id"},
    {ID_A_STRING, "llama", FORMAT, "tokenizer.ggml.eos_token_id"},
    {BOS_NOT_NAMED, "gpt2", FORMAT, "tokenizer.ggml.add_bos_token"},
    {MODEL_UNKNOWN, "gpt2", UNSUPPORTED, "charlm"},
    {MODEL_A_NUMBER, "gpt2", FORMAT, "tokenizer.ggml.model"},
    {PRE_UNKNOWN, "gpt2", UNSUPPORTED, "klingon"},
    {NO_UNKNOWN_FOR_BYTES, "llama", FORMAT, "tokenizer.ggml.unknown_token_id"},
    {NO_FLAW, "bert", FORMAT, "tokenizer.ggml.unknown_token_id"},
};

START_TEST(wrong_files_are_refused) {
    struct opened opened;
    put_flawed("gpt2", NO_FLAW);
    open_right(&opened);
    ENCODES("ab a", 0, 0, 2, 0, -1); /* no token for the space; of the two a the first */
    close_all(&opened);
    put_flawed("llama", NO_FLAW);
    open_right(&opened);
    ENCODES("abz", 0, 0, 0, 2, 0, -1); /* unknown is token 0 */
    close_all(&opened);
    for (size_t i = 0; i < sizeof flawed / sizeof *flawed; i++) {
        put_flawed(flawed[i].model, flawed[i].flaw);
        status result = open_in(&opened, NULL);
        ck_assert_msg(result == flawed[i].code, "flaw %d: status %d, %s", flawed[i].flaw, result,
                      status_text());
        ck_assert_msg(strstr(status_text(), flawed[i].named) && strstr(status_text(), "test.gguf"),
                      "flaw %d: %s", flawed[i].flaw, status_text());
        ck_assert_ptr_null(opened.tokenizer);
        close_all(&opened);
    }
}
END_TEST

static void put_whole(const char *json) {
    put_flawed("gpt2", NO_FLAW);
    file.data[16]++; /* keys */
    put_key_string(&file, "tokenizer.huggingface.json", json);
}

/* A tokenizer.json among the metadata counts, and one with parts that aren't known leaves the rest.
 */
START_TEST(a_whole_tokenizer_in_metadata) {
    static const char words[] = "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"ab\":0,\"?\":3},"
                                "\"unk_token\":\"?\"},\"pre_tokenizer\":{\"type\":\"Whitespace\"}}";
    static const char *const wrong[] = {"", "7", "{",
                                        "{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}"};
    struct opened opened;
    put_whole(words);
    open_right(&opened);
    ENCODES("ab b", 0, 0, 0, 3, -1);
    ck_assert_int_eq(tokenizer_special(opened.tokenizer, TRANSFORMER_TOKEN_END), 3);
    close_all(&opened);
    put_whole("{\"model\":{\"type\":\"Runes\"}}");
    open_right(&opened);
    ENCODES("ab", 0, 0, 2, -1);
    close_all(&opened);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_whole(wrong[i]);
        ck_assert_int_eq(open_in(&opened, NULL), FORMAT);
        close_all(&opened);
    }
}
END_TEST

/* tokenizer.ggml.pre as llama.cpp v0.5.0 knows them */
static const char *const pre_names[] = {
    "a.x-4.0",
    "afmoe",
    "bailingmoe",
    "bailingmoe2",
    "bloom",
    "chameleon",
    "chatglm-bpe",
    "codeshell",
    "cohere2moe",
    "command-r",
    "dbrx",
    "deepseek-coder",
    "deepseek-llm",
    "deepseek-r1-qwen",
    "deepseek-v3",
    "default",
    "exaone",
    "exaone-moe",
    "exaone4",
    "f2llmv2",
    "falcon",
    "falcon-h1",
    "falcon3",
    "gemma4",
    "gigachat",
    "glm4",
    "glm5",
    "gpt-2",
    "gpt-4o",
    "gpt3-finnish",
    "granite-docling",
    "granite-embed-multi-311m",
    "granite-embed-multi-97m",
    "grok-2",
    "hunyuan",
    "hunyuan-dense",
    "hy_v4",
    "jais",
    "jais-2",
    "jina-de",
    "jina-es",
    "jina-v1-en",
    "jina-v2-code",
    "jina-v2-de",
    "jina-v2-es",
    "jina-v5-nano",
    "joyai-llm",
    "kanana2",
    "kimi-k2",
    "kormo",
    "laguna",
    "lfm2",
    "llada-moe",
    "llama-bpe",
    "llama-v3",
    "llama3",
    "llama4",
    "megrez",
    "mellum",
    "mellum2",
    "midm-2.0",
    "minerva-7b",
    "minicpm5",
    "minimax-m2",
    "modern-bert",
    "mpt",
    "olmo",
    "phi-2",
    "pixtral",
    "poro-chat",
    "qwen2",
    "qwen35",
    "refact",
    "roberta-bpe",
    "sarvam-moe",
    "seed-coder",
    "smaug-bpe",
    "smollm",
    "solar-open",
    "spark2_5",
    "stablelm2",
    "starcoder",
    "superbpe",
    "talkie",
    "tekken",
    "tiny_aya",
    "trillion",
    "ufakzeka",
    "viking",
    "whitespace",
    "youtu",
};

START_TEST(every_pre_is_known) {
    for (size_t i = 0; i < sizeof pre_names / sizeof *pre_names; i++)
        ck_assert_msg(pretokenize_find((struct text){pre_names[i], strlen(pre_names[i])}) != NULL,
                      "pre-tokenizer '%s' is not known", pre_names[i]);
    ck_assert_ptr_null(pretokenize_find((struct text){"gpt-2x", 6}));
}
END_TEST

START_TEST(the_embedding_may_be_padded_but_not_too_small) {
    struct opened opened;
    put_flawed("gpt2", NO_FLAW);
    open_right(&opened);
    struct tokenizer *other = NULL;
    ck_assert_int_eq(tokenizer_open(&opened.memory, opened.checkpoint, 4, &other), OK);
    tokenizer_close(other);
    other = NULL;
    ck_assert_int_eq(tokenizer_open(&opened.memory, opened.checkpoint, 3, &other), FORMAT);
    ck_assert_ptr_null(other);
    struct detokenize_state state = {.started = false};
    ck_assert_uint_eq(tokenizer_token_bytes(opened.tokenizer, &state, 4, true, NULL, 0), 0);
    close_all(&opened);
}
END_TEST

/* ---- faults ---- */

/* Long enough for the heap of merges and a repaired copy. */
static const char faulty_text[] =
    "hello \xff aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static status open_and_encode(struct faulty_allocator *faulty, struct opened *opened) {
    transformer_allocator allocator = faulty_as_allocator(faulty);
    status result = open_in(opened, &allocator);
    if (result == OK) {
        int32_t ids[100];
        size_t count;
        struct text text = {faulty_text, sizeof faulty_text - 1};
        struct tokenize_flags flags = {true, true};
        result =
            tokenizer_encode(opened->tokenizer, &opened->memory, text, flags, ids, 100, &count);
        if (result != OK) { /* nothing is left behind: without the fault it works */
            faulty->fail_at = 0;
            ck_assert_int_eq(
                tokenizer_encode(opened->tokenizer, &opened->memory, text, flags, ids, 100, &count),
                OK);
        }
    }
    tokenizer_close(opened->tokenizer);
    checkpoint_close(opened->checkpoint);
    return result;
}

START_TEST(every_allocation_may_fail) {
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0) small_bpe(&file, "llama-bpe");
        if (kind == 1) small_sentencepiece(&file, 1);
        if (kind == 2) small_wordpiece(&file);
        struct faulty_allocator faulty = {0};
        struct opened opened;
        ck_assert_int_eq(open_and_encode(&faulty, &opened), OK);
        long n = faulty.count;
        ck_assert_int_gt(n, 3);
        for (long i = 1; i <= n; i++) {
            for (int for_ever = 0; for_ever < 2; for_ever++) {
                faulty = (struct faulty_allocator){.fail_at = i, .for_ever = for_ever};
                ck_assert_int_eq(open_and_encode(&faulty, &opened), OUT_OF_MEMORY);
                ck_assert(faulty.failed);
                ck_assert_int_eq(faulty.live, 0);
            }
        }
    }
}
END_TEST

/* ---- time ---- */

START_TEST(time_is_linear_in_long_runs) {
    /* Quadratic time would take hours for these. */
    static const char *const runs[] = {"a",          " ",      "\n", "1",      "'",
                                       "<",          "\t",     "A",  "\u4e2d", "\u0301",
                                       "\U0001f680", "\u2581", "a ", "\xff",   "<|"};
    static const char *const rules[] = {"gpt-2",    "llama-bpe", "deepseek-llm", "tekken",
                                        "tiny_aya", "superbpe",  "default",      "bloom",
                                        "jais-2",   "kimi-k2",   "exaone-moe",   "chameleon"};
    enum { SIZE = 1 << 18, N_RULES = sizeof rules / sizeof *rules };
    char *text = malloc(SIZE);
    int32_t *ids = malloc(sizeof *ids * (SIZE * 3 + 16));
    for (int kind = 0; kind < 2 + N_RULES; kind++) {
        if (kind == 0) small_sentencepiece(&file, 1);
        if (kind == 1) small_wordpiece(&file);
        if (kind >= 2) small_bpe(&file, rules[kind - 2]);
        struct opened opened;
        open_right(&opened);
        for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
            size_t n = strlen(runs[i]), length = 0, count;
            while (length + n <= SIZE) memcpy(text + length, runs[i], n), length += n;
            text[length - 1] = text[length - 1] == 'a' ? 'b' : text[length - 1];
            ck_assert_int_eq(
                tokenizer_encode(opened.tokenizer, &opened.memory, (struct text){text, length},
                                 (struct tokenize_flags){true, true}, ids, SIZE * 3 + 16, &count),
                OK);
            text[0] = 'b'; /* a run that something ends */
            text[length - 1] = 'b';
            ck_assert_int_eq(
                tokenizer_encode(opened.tokenizer, &opened.memory, (struct text){text, length},
                                 (struct tokenize_flags){false, false}, ids, SIZE * 3 + 16, &count),
                OK);
        }
        close_all(&opened);
    }
    free(text);
    free(ids);
}
END_TEST

/* ---- goldens ---- */

static char *read_whole(const char *path, size_t *n) {
    FILE *stream = fopen(path, "rb");
    if (!stream) return NULL;
    ck_assert_int_eq(fseek(stream, 0, SEEK_END), 0);
    *n = (size_t)ftell(stream);
    rewind(stream);
    char *data = malloc(*n + 1);
    ck_assert_uint_eq(fread(data, 1, *n, stream), *n);
    data[*n] = 0;
    fclose(stream);
    return data;
}

/* A JSON string of ASCII, escapes resolved, to UTF-8; returns what follows its end. */
static char *read_json(char *at, char *out, size_t *length) {
    *length = 0;
    ck_assert_int_eq(*at++, '"');
    while (*at != '"') {
        uint32_t c = (uint8_t)*at++;
        if (c == '\\') {
            static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
            char kind = *at++;
            const char *simple = strchr(from, kind);
            if (simple) {
                c = (uint8_t)to[simple - from];
            } else {
                ck_assert_int_eq(sscanf(at, "%4x", &c), 1);
                at += 4;
                if (c >= 0xd800 && c < 0xdc00) {
                    uint32_t low;
                    ck_assert_int_eq(sscanf(at, "\\u%4x", &low), 1);
                    at += 6;
                    c = 0x10000 + (c - 0xd800) * 0x400 + (low - 0xdc00);
                }
            }
        }
        int n = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const uint8_t first[] = {0, 0xc0, 0xe0, 0xf0};
        out[(*length)++] = (char)(first[n] | c >> (6 * n));
        for (; n > 0; n--) out[(*length)++] = (char)(0x80 | (c >> (6 * (n - 1)) & 0x3f));
    }
    return at + 1;
}

struct expected {
    const char *line;
    char *at;
};

static status expect_word(void *user, size_t begin, size_t end) {
    struct expected *expected = user;
    (void)begin;
    ck_assert_msg((size_t)strtoul(expected->at, &expected->at, 10) == end,
                  "another end than %zu: %s", end, expected->line);
    return OK;
}

START_TEST(texts_are_cut_as_published) {
    size_t n, n_lines = 0;
    char *data = read_whole(SOURCE_ROOT "/tests/goldens/tokenizer/pretokenize.txt", &n);
    ck_assert_ptr_nonnull(data);
    for (char *line = data, *next; *line; line = next, n_lines++) {
        next = strchr(line, '\n');
        *next++ = 0;
        char *tab = strchr(line, '\t'), text[4096];
        size_t length;
        struct text name = {line, (size_t)(tab - line)};
        struct expected expected = {line, read_json(tab + 1, text, &length)};
        const struct pretokenizer *rules = pretokenize_find(name);
        ck_assert_ptr_nonnull(rules);
        uint8_t *exact = malloc(length + 1);
        memcpy(exact, text, length);
        exact = realloc(exact, length ? length : 1);
        ck_assert_int_eq(pretokenize_split(rules, exact, length, expect_word, &expected), OK);
        ck_assert_msg(strspn(expected.at, " \t") == strlen(expected.at), "fewer words: %s", line);
        free(exact);
    }
    ck_assert_uint_gt(n_lines, 500);
    free(data);
}
END_TEST

static const struct {
    const char *name;
    bool lossless;
} published[] = {
    {"bert-bge", false}, {"deepseek-llm", true}, {"falcon", true},
    {"gpt-2", true},     {"llama-spm", true},
};

/* Path below the folder of data that is not part of the repository. */
static void data_path(char *path, size_t n, const char *format, const char *name) {
    const char *folder = getenv("SHARED_DATA");
    int length = snprintf(path, n, "%s", folder ? folder : SOURCE_ROOT "/../shared/data");
    snprintf(path + length, n - (size_t)length, format, name);
}

static void check_case(struct opened *opened, const char *text, size_t length, char *line,
                       bool lossless) {
    int32_t ids[2048];
    size_t count, n = 0;
    ck_assert_int_eq(tokenizer_encode(opened->tokenizer, &opened->memory,
                                      (struct text){text, length}, (struct tokenize_flags){0}, ids,
                                      2048, &count),
                     OK);
    for (char *end;; line = end) {
        long id = strtol(line, &end, 10);
        if (end == line) break;
        ck_assert_msg(n < count && ids[n] == id, "token %zu of '%.*s' is not %ld", n, (int)length,
                      text, id);
        n++;
    }
    ck_assert_uint_eq(n, count);
    if (!lossless) return;
    char *back = malloc(length + tokenizer_max_token_bytes(opened->tokenizer));
    size_t n_back = 0;
    struct detokenize_state state = {.started = false};
    for (size_t i = 0; i < count; i++)
        n_back += tokenizer_token_bytes(opened->tokenizer, &state, ids[i], false, back + n_back,
                                        length + 256 - n_back);
    ck_assert_uint_eq(n_back, length);
    ck_assert_mem_eq(back, text, length);
    free(back);
}

START_TEST(published_vocabularies) {
    static const char separator[] = "\n__ggml_vocab_test__\n";
    char path[4096];
    data_path(path, sizeof path, "/tokenizer-cases/ggml-vocab-%s.gguf", published[_i].name);
    if (access(path, R_OK) != 0) {
        printf("skipped: no %s\n", path);
        return;
    }
    struct opened opened = {.tokenizer = NULL};
    memory_init(&opened.memory, NULL);
    struct checkpoint_options options = {.path = path};
    ck_assert_int_eq(checkpoint_open(&opened.memory, &options, &opened.checkpoint), OK);
    ck_assert_int_eq(
        tokenizer_open(&opened.memory, opened.checkpoint, INT32_MAX, &opened.tokenizer), OK);
    size_t n, n_out, n_cases = 0;
    data_path(path, sizeof path, "/tokenizer-cases/ggml-vocab-%s.gguf.inp", published[_i].name);
    char *inputs = read_whole(path, &n);
    data_path(path, sizeof path, "/tokenizer-cases/ggml-vocab-%s.gguf.out", published[_i].name);
    char *outputs = read_whole(path, &n_out), *line = outputs, *text = inputs, *end;
    for (; (end = memmem(text, n - (size_t)(text - inputs), separator, sizeof separator - 1));
         n_cases++) {
        char *next = strchr(line, '\n');
        *next = 0;
        check_case(&opened, text, (size_t)(end - text), line, published[_i].lossless);
        line = next + 1;
        text = end + sizeof separator - 1;
    }
    ck_assert_uint_eq(n_cases, 46);
    free(inputs);
    free(outputs);
    close_all(&opened);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tokenizer");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 500);
    tcase_add_test(all, bpe_merges_in_order);
    tcase_add_test(all, special_tokens_are_parsed_on_request);
    tcase_add_test(all, whole_words_go_before_merges);
    tcase_add_test(all, sentencepiece_joins_by_score);
    tcase_add_test(all, wordpiece_takes_the_longest);
    tcase_add_test(all, count_is_told_when_there_is_no_room);
    tcase_add_test(all, a_file_may_have_none);
    tcase_add_test(all, wrong_files_are_refused);
    tcase_add_test(all, a_whole_tokenizer_in_metadata);
    tcase_add_test(all, every_pre_is_known);
    tcase_add_test(all, the_embedding_may_be_padded_but_not_too_small);
    tcase_add_test(all, every_allocation_may_fail);
    tcase_add_test(all, time_is_linear_in_long_runs);
    tcase_add_test(all, texts_are_cut_as_published);
    tcase_add_loop_test(all, published_vocabularies, 0, sizeof published / sizeof *published);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
