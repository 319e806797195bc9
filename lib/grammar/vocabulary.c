#include "grammar/vocabulary.h"

#include <string.h>

static uint32_t length_of(const struct vocabulary *vocabulary, uint32_t token) {
    return vocabulary->offsets[token + 1] - vocabulary->offsets[token];
}

static const uint8_t *text_of(const struct vocabulary *vocabulary, uint32_t token) {
    return vocabulary->bytes + vocabulary->offsets[token];
}

/* By bytes, those of the same text by number. */
static bool comes_before(const struct vocabulary *vocabulary, uint32_t a, uint32_t b) {
    uint32_t n = length_of(vocabulary, a), m = length_of(vocabulary, b);
    int order = memcmp(text_of(vocabulary, a), text_of(vocabulary, b), n < m ? n : m);
    if (order) return order < 0;
    return n != m ? n < m : a < b;
}

/* Merge sort: no vocabulary makes it slow. */
static void sort(const struct vocabulary *vocabulary, uint32_t *order, uint32_t *scratch,
                 uint32_t n) {
    for (uint32_t width = 1; width < n; width *= 2) {
        for (uint32_t at = 0; at < n; at += 2 * width) {
            uint32_t middle = n - at < width ? n : at + width;
            uint32_t last = n - at < 2 * width ? n : at + 2 * width;
            uint32_t i = at, j = middle, to = at;
            while (i < middle && j < last)
                scratch[to++] =
                    comes_before(vocabulary, order[j], order[i]) ? order[j++] : order[i++];
            while (i < middle) scratch[to++] = order[i++];
            while (j < last) scratch[to++] = order[j++];
        }
        memcpy(order, scratch, n * sizeof *order);
        if (width > n / 2) break;
    }
}

/* Nodes of the sorted tokens [n]; nodes NULL counts them. */
static uint32_t build(const struct vocabulary *vocabulary, const uint32_t *order, uint32_t n,
                      struct vocabulary_node *nodes) {
    uint32_t open[VOCABULARY_LONGEST + 1] = {0}, count = 1, depth = 0;
    const uint8_t *before = NULL;
    if (nodes) nodes[0] = (struct vocabulary_node){0};
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *text = text_of(vocabulary, order[i]);
        uint32_t length = length_of(vocabulary, order[i]), shared = 0;
        while (before && shared < depth && shared < length && before[shared] == text[shared])
            shared++;
        for (; depth > shared; depth--)
            if (nodes) nodes[open[depth]].skip = count;
        for (; depth < length; count++) {
            open[depth + 1] = count;
            if (nodes)
                nodes[count] = (struct vocabulary_node){
                    .first = i, .byte = text[depth], .depth = (uint8_t)(depth + 1)};
            depth++;
        }
        if (nodes) nodes[open[depth]].n++;
        before = text;
    }
    for (; nodes && depth > 0; depth--) nodes[open[depth]].skip = count;
    if (nodes) {
        nodes[0].skip = count;
        nodes[count] = (struct vocabulary_node){.skip = count, .first = n};
    }
    return count;
}

static status fill(struct vocabulary *vocabulary, const int32_t *ends) {
    struct memory *memory = vocabulary->memory;
    const char *what = "the tokens' texts";
    uint32_t n = 0, *scratch = NULL;
    status result;
    TRY(MEMORY_TAKE_ARRAY(memory, vocabulary->n_ends, what, &vocabulary->ends));
    if (vocabulary->n_ends)
        memcpy(vocabulary->ends, ends, vocabulary->n_ends * sizeof *vocabulary->ends);
    TRY(MEMORY_TAKE_ARRAY(memory, vocabulary->n_tokens, what, &vocabulary->order));
    for (uint32_t i = 0; i < vocabulary->n_tokens; i++) {
        uint32_t length = length_of(vocabulary, i);
        bool is_end = false;
        for (size_t j = 0; j < vocabulary->n_ends; j++) is_end |= (uint32_t)ends[j] == i;
        if (length == 0 || length > VOCABULARY_LONGEST || is_end) continue;
        if (length == 1) vocabulary->single[*text_of(vocabulary, i)] = true;
        vocabulary->order[n++] = i;
    }
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n, what, &scratch));
    sort(vocabulary, vocabulary->order, scratch, n);
    vocabulary->n_nodes = build(vocabulary, vocabulary->order, n, NULL);
    TRY_OR_EXIT(
        MEMORY_TAKE_ARRAY(memory, (size_t)vocabulary->n_nodes + 1, what, &vocabulary->nodes));
    build(vocabulary, vocabulary->order, n, vocabulary->nodes);
exit:
    memory_give(memory, scratch);
    return result;
}

status vocabulary_open(struct memory *memory, uint32_t n, uint32_t *offsets, uint8_t *bytes,
                       const int32_t *ends, size_t n_ends, struct vocabulary **opened) {
    struct vocabulary *vocabulary;
    status result = MEMORY_TAKE_ONE(memory, "the tokens' texts", &vocabulary);
    if (result != OK) {
        memory_give(memory, offsets);
        memory_give(memory, bytes);
        return result;
    }
    *vocabulary = (struct vocabulary){.memory = memory,
                                      .n_tokens = n,
                                      .n_words = (n + 63) / 64,
                                      .offsets = offsets,
                                      .bytes = bytes,
                                      .n_ends = n_ends};
    result = fill(vocabulary, ends);
    if (result == OK)
        *opened = vocabulary;
    else
        vocabulary_close(vocabulary);
    return result;
}

void vocabulary_close(struct vocabulary *vocabulary) {
    if (!vocabulary) return;
    struct memory *memory = vocabulary->memory;
    memory_give(memory, vocabulary->offsets);
    memory_give(memory, vocabulary->bytes);
    memory_give(memory, vocabulary->order);
    memory_give(memory, vocabulary->nodes);
    memory_give(memory, vocabulary->ends);
    memory_give(memory, vocabulary);
}
