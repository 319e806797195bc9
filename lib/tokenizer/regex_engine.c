#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tokenizer/regex.h"

/* For one attempt at one place; the callouts' budget bounds all of them. */
enum { MOST_STEPS = 10000000, MOST_DEPTH = 100000, MOST_HEAP_KIB = 65536 };

struct regex_engine {
    struct memory *memory;
    pcre2_code *code;
};

static void *take(size_t size, void *memory) {
    return memory_block(memory, size, "a regular expression");
}

static void give(void *block, void *memory) {
    memory_give(memory, block);
}

static status fail_compile(int error, size_t offset, struct text pattern) {
    PCRE2_UCHAR8 reason[128];
    if (pcre2_get_error_message(error, reason, sizeof reason) < 0) reason[0] = 0;
    if (error == PCRE2_ERROR_NOMEMORY || error == 121)
        return fail(OUT_OF_MEMORY, "no memory for a regular expression");
    return fail(UNSUPPORTED, "regular expression '%.*s': %s (near byte %zu of its translation)",
                pattern.length < 200 ? (int)pattern.length : 200, pattern.data,
                (const char *)reason, offset);
}

static status compile(struct regex_engine *engine, struct text pattern) {
    /* ^ and $ are those of lines, a line ends with \n: Oniguruma's way */
    static const uint32_t options =
        PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_DUPNAMES | PCRE2_NEVER_BACKSLASH_C;
    char *text;
    size_t length, offset = 0;
    int error = PCRE2_ERROR_NOMEMORY;
    TRY(regex_translate(engine->memory, pattern, &text, &length));
    pcre2_general_context *general = pcre2_general_context_create(take, give, engine->memory);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    if (context) {
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        pcre2_set_parens_nest_limit(context, 100);
        engine->code = pcre2_compile((PCRE2_SPTR8)text, length, options, &error, &offset, context);
    }
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    memory_give(engine->memory, text);
    return engine->code ? OK : fail_compile(error, offset, pattern);
}

status regex_engine_open(struct memory *memory, struct text pattern, struct regex_engine **opened) {
    struct regex_engine *engine;
    TRY(MEMORY_TAKE_ONE(memory, "a regular expression", &engine));
    engine->memory = memory;
    status result = compile(engine, pattern);
    if (result == OK)
        *opened = engine;
    else
        regex_engine_close(engine);
    return result;
}

void regex_engine_close(struct regex_engine *engine) {
    if (!engine) return;
    pcre2_code_free(engine->code);
    memory_give(engine->memory, engine);
}

/* Behind each repetition and before each alternative: what it went over since the last time is paid
 * for. */
static int pay(pcre2_callout_block *block, void *user) {
    struct regex_state *state = user;
    uint64_t price = 1;
    if (block->start_match != state->start) state->last = state->start = block->start_match;
    if (block->current_position > state->last) price += block->current_position - state->last;
    state->last = block->current_position;
    if (price > state->budget) return PCRE2_ERROR_CALLOUT;
    state->budget -= price;
    return 0;
}

status regex_engine_ready(struct regex_state *state) {
    if (state->match) return OK;
    state->general = pcre2_general_context_create(take, give, state->memory);
    if (state->general) {
        state->context = pcre2_match_context_create(state->general);
        state->match = pcre2_match_data_create(1, state->general);
    }
    if (!state->context || !state->match) return OUT_OF_MEMORY;
    pcre2_set_match_limit(state->context, MOST_STEPS);
    pcre2_set_depth_limit(state->context, MOST_DEPTH);
    pcre2_set_heap_limit(state->context, MOST_HEAP_KIB);
    pcre2_set_callout(state->context, pay, state);
    return OK;
}

void regex_state_close(struct regex_state *state) {
    pcre2_match_data_free(state->match);
    pcre2_match_context_free(state->context);
    pcre2_general_context_free(state->general);
    *state = (struct regex_state){.memory = state->memory};
}

status regex_engine_find(const struct regex_engine *engine, struct regex_state *state,
                         const struct piece *piece, size_t at, bool *found, size_t *begin,
                         size_t *end) {
    state->last = state->start = at - piece->begin;
    int n = pcre2_match(engine->code, piece->text + piece->begin, piece->end - piece->begin,
                        at - piece->begin, PCRE2_NO_UTF_CHECK, state->match, state->context);
    *found = n >= 0;
    if (n >= 0) {
        const size_t *ends = pcre2_get_ovector_pointer(state->match);
        *begin = piece->begin + ends[0];
        *end = piece->begin + ends[1];
        return OK;
    }
    switch (n) {
    case PCRE2_ERROR_NOMATCH:
        return OK;
    case PCRE2_ERROR_NOMEMORY:
        return fail(OUT_OF_MEMORY, "no memory to match a regular expression");
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_CALLOUT:
        return fail(LIMIT, "a regular expression of the tokenizer takes too long on this text");
    default:
        return fail(INTERNAL, "a regular expression of the tokenizer: error %d of PCRE2", n);
    }
}
