#include "grammar/grammar.h"

#include <math.h>
#include <string.h>

#define READ_WORK ((uint64_t)16 << 20)

status regex_compile(struct machine *machine, const char *text, size_t length) {
    struct compile *compile = machine->compile;
    struct expression *parsed;
    struct automaton *automaton, *least;
    uint32_t code;
    TRY(regex_parse(compile, "regex", text, length, &parsed));
    TRY(automaton_make(compile, parsed, NULL, false, &automaton));
    TRY(automaton_minimize(compile, automaton, &least));
    TRY(machine_add_rule(machine, &machine->root));
    TRY(machine_add_automaton(machine, least, &code));
    machine->root_is_empty = least->label[0] != 0;
    return machine_add_start(machine, machine->root, code);
}

static void set_weights(struct machine *machine, const struct vocabulary *vocabulary) {
    for (unsigned byte = 0; byte < 256; byte++)
        machine->weight[byte] = !vocabulary || vocabulary->single[byte] ? 1 : COST_UNSPELLABLE;
}

static status compile(struct grammar *grammar, const struct grammar_source *source) {
    struct machine *machine = &grammar->machine;
    machine->compile = &grammar->compile;
    machine->whitespace = source->whitespace;
    set_weights(machine, grammar->vocabulary);
    if (source->json_schema) return schema_compile(machine, source->json_schema, source->length);
    if (source->regex) TRY(regex_compile(machine, source->regex, source->length));
    if (source->ebnf) return ebnf_compile(machine, source->ebnf, source->length);
    return source->regex ? machine_finish(machine, NULL, NULL) : OK;
}

status grammar_open(struct memory *memory, const struct grammar_source *source,
                    const struct vocabulary *vocabulary, struct grammar **opened) {
    struct grammar *grammar;
    status result;
    TRY(MEMORY_TAKE_ONE(memory, "a grammar", &grammar));
    grammar->memory = memory;
    grammar->vocabulary = vocabulary;
    grammar->compile.arena.memory = memory;
    if (pthread_mutex_init(&grammar->lock, NULL)) {
        memory_give(memory, grammar);
        return fail(OUT_OF_MEMORY, "no lock for a grammar");
    }
    TRY_OR_EXIT(compile(grammar, source));
    TRY_OR_EXIT(stacks_open(memory, &grammar->machine, &grammar->stacks));
    if (vocabulary) TRY_OR_EXIT(mask_open(grammar));
    *opened = grammar;
    return OK;
exit:
    grammar_close(grammar);
    return result;
}

void grammar_close(struct grammar *grammar) {
    if (!grammar) return;
    mask_close(grammar);
    if (grammar->stacks.memory) stacks_close(&grammar->stacks);
    compile_end(&grammar->compile);
    pthread_mutex_destroy(&grammar->lock);
    memory_give(grammar->memory, grammar);
}

/* ---- readers; locked ---- */

enum { MOST_ROOTS = 4096 };

/* What no reader needs goes. */
static void clear_away(struct grammar *grammar) {
    uint32_t *roots[MOST_ROOTS];
    size_t n = 0;
    for (struct grammar_reader *reader = grammar->readers; reader; reader = reader->next) {
        if (n == MOST_ROOTS) return; /* too many to be moved: what there is stays */
        roots[n++] = &reader->set;
    }
    mask_forget_sets(grammar);
    stacks_clear(&grammar->stacks, roots, n);
}

static void link_reader(struct grammar *grammar, struct grammar_reader *reader) {
    reader->previous = NULL;
    reader->next = grammar->readers;
    if (reader->next) reader->next->previous = reader;
    grammar->readers = reader;
}

static void unlink_reader(struct grammar *grammar, struct grammar_reader *reader) {
    if (reader->previous) reader->previous->next = reader->next;
    if (reader->next) reader->next->previous = reader->previous;
    if (grammar->readers == reader) grammar->readers = reader->next;
}

static status begin(struct grammar *grammar, struct grammar_reader *reader) {
    grammar->stacks.work = READ_WORK;
    reader->set = STACKS_NONE;
    status result = stacks_root(&grammar->stacks, &reader->set);
    if (result == LIMIT) {
        clear_away(grammar);
        result = stacks_root(&grammar->stacks, &reader->set);
    }
    return result;
}

/* Where memory is full, once more after what nobody needs is gone. The reader is in the list. */
static status read_on(struct grammar *grammar, struct grammar_reader *reader, const uint8_t *bytes,
                      size_t n) {
    for (size_t i = 0; i < n && reader->set != STACKS_NONE; i++) {
        uint32_t next;
        if (stacks_is_full(&grammar->stacks)) {
            clear_away(grammar);
            if (stacks_is_full(&grammar->stacks))
                return fail(LIMIT, "structured output: the texts nest too deep");
        }
        grammar->stacks.work = READ_WORK;
        TRY(stacks_step(&grammar->stacks, reader->set, bytes[i], &next));
        reader->set = next;
    }
    return OK;
}

status grammar_enter(struct grammar *grammar, struct grammar_reader *reader) {
    pthread_mutex_lock(&grammar->lock);
    status result = begin(grammar, reader);
    if (result == OK) link_reader(grammar, reader);
    pthread_mutex_unlock(&grammar->lock);
    return result;
}

void grammar_enter_copy(struct grammar *grammar, struct grammar_reader *reader,
                        const struct grammar_reader *original) {
    pthread_mutex_lock(&grammar->lock);
    reader->set = original->set;
    link_reader(grammar, reader);
    pthread_mutex_unlock(&grammar->lock);
}

void grammar_leave(struct grammar *grammar, struct grammar_reader *reader) {
    pthread_mutex_lock(&grammar->lock);
    unlink_reader(grammar, reader);
    pthread_mutex_unlock(&grammar->lock);
}

status grammar_restart(struct grammar *grammar, struct grammar_reader *reader) {
    pthread_mutex_lock(&grammar->lock);
    status result = begin(grammar, reader);
    pthread_mutex_unlock(&grammar->lock);
    return result;
}

status grammar_read(struct grammar *grammar, struct grammar_reader *reader, const uint8_t *bytes,
                    size_t n) {
    pthread_mutex_lock(&grammar->lock);
    status result = read_on(grammar, reader, bytes, n);
    pthread_mutex_unlock(&grammar->lock);
    return result;
}

bool grammar_may_end(struct grammar *grammar, const struct grammar_reader *reader) {
    pthread_mutex_lock(&grammar->lock);
    bool ends = reader->set != STACKS_NONE && stacks_has(&grammar->stacks, reader->set, STACKS_END);
    pthread_mutex_unlock(&grammar->lock);
    return ends;
}

uint32_t grammar_cost(struct grammar *grammar, const struct grammar_reader *reader) {
    pthread_mutex_lock(&grammar->lock);
    uint32_t cost =
        reader->set == STACKS_NONE ? COST_DEAD : stacks_cost(&grammar->stacks, reader->set);
    pthread_mutex_unlock(&grammar->lock);
    return cost;
}

status grammar_match(struct grammar *grammar, const char *text, size_t length, int32_t *match) {
    struct grammar_reader reader;
    TRY(grammar_enter(grammar, &reader));
    pthread_mutex_lock(&grammar->lock);
    status result = read_on(grammar, &reader, (const uint8_t *)text, length);
    if (result == OK)
        *match = reader.set == STACKS_NONE                              ? TRANSFORMER_MATCH_NONE
                 : stacks_has(&grammar->stacks, reader.set, STACKS_END) ? TRANSFORMER_MATCH_WHOLE
                                                                        : TRANSFORMER_MATCH_PREFIX;
    unlink_reader(grammar, &reader);
    pthread_mutex_unlock(&grammar->lock);
    return result;
}

/* ---- masks ---- */

static void mask_logits(const uint64_t *mask, size_t n, const float *logits, float *masked,
                        int32_t *least) {
    *least = -1;
    for (size_t at = 0; at < n; at += 64) {
        uint64_t word = mask[at / 64];
        size_t end = n - at < 64 ? n : at + 64;
        if (*least < 0 && word) *least = (int32_t)(at + (size_t)__builtin_ctzll(word));
        if (word == UINT64_MAX) {
            memcpy(masked + at, logits + at, 64 * sizeof *masked);
            continue;
        }
        for (size_t i = at; i < end; i++) masked[i] = -INFINITY;
        for (; word; word &= word - 1) {
            size_t i = at + (size_t)__builtin_ctzll(word);
            masked[i] = logits[i];
        }
    }
}

status grammar_apply(struct grammar *grammar, struct grammar_reader *reader, int64_t remaining,
                     const float *logits, float *masked, int32_t *least) {
    const uint64_t *mask;
    pthread_mutex_lock(&grammar->lock);
    if (stacks_is_full(&grammar->stacks)) clear_away(grammar);
    status result = mask_find(grammar, reader->set, remaining, &mask);
    if (result == LIMIT) {
        clear_away(grammar);
        result = mask_find(grammar, reader->set, remaining, &mask);
    }
    if (result == OK) mask_logits(mask, grammar->vocabulary->n_tokens, logits, masked, least);
    pthread_mutex_unlock(&grammar->lock);
    TRY(result);
    if (*least >= 0) return OK;
    return fail(STATE, "the text is whole, or no token goes on with it, and no token may end it");
}
