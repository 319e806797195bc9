#include "tokenizer/stop_strings.h"

#include <string.h>

#include "tokenizer/utf8.h"

/* A node is a beginning of strings, the root the empty one. */
struct node {
    int32_t first_child, next_sibling; /* 0: none */
    int32_t shorter; /* the longest proper end of this beginning that is a beginning too */
    int32_t string;  /* the longest that ends here, -1: none */
    int32_t depth;   /* bytes */
    uint8_t byte;    /* that leads here */
};

struct stop_strings {
    struct memory *memory;
    struct node *nodes; /* [n_nodes] */
    int32_t *lengths;   /* [n] */
    int32_t n_nodes;
    size_t longest;
};

/* Siblings are few but at the root, and 256 at most anywhere. */
static int32_t child(const struct stop_strings *strings, int32_t parent, uint8_t byte) {
    int32_t node = strings->nodes[parent].first_child;
    while (node && strings->nodes[node].byte != byte) node = strings->nodes[node].next_sibling;
    return node;
}

static int32_t add_child(struct stop_strings *strings, int32_t parent, uint8_t byte) {
    int32_t fresh = strings->n_nodes++;
    strings->nodes[fresh] = (struct node){.next_sibling = strings->nodes[parent].first_child,
                                          .string = -1,
                                          .depth = strings->nodes[parent].depth + 1,
                                          .byte = byte};
    strings->nodes[parent].first_child = fresh;
    return fresh;
}

static void add_string(struct stop_strings *strings, const char *text, size_t n, int32_t index) {
    int32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t next = child(strings, node, (uint8_t)text[i]);
        node = next ? next : add_child(strings, node, (uint8_t)text[i]);
    }
    if (strings->nodes[node].string < 0) strings->nodes[node].string = index;
    strings->lengths[index] = (int32_t)n;
    if (n > strings->longest) strings->longest = n;
}

/* One byte further: where no beginning goes on with it, shorter ends of it are tried. */
static int32_t follow(const struct stop_strings *strings, int32_t node, uint8_t byte) {
    for (;;) {
        int32_t next = child(strings, node, byte);
        if (next || node == 0) return next;
        node = strings->nodes[node].shorter;
    }
}

/* Level by level, as `shorter` is always less deep. queue [n_nodes]. */
static void link_nodes(struct stop_strings *strings, int32_t *queue) {
    struct node *nodes = strings->nodes;
    int32_t n = 0;
    queue[n++] = 0;
    for (int32_t at = 0; at < n; at++) {
        int32_t parent = queue[at];
        for (int32_t node = nodes[parent].first_child; node; node = nodes[node].next_sibling) {
            if (parent)
                nodes[node].shorter = follow(strings, nodes[parent].shorter, nodes[node].byte);
            if (nodes[node].string < 0) nodes[node].string = nodes[nodes[node].shorter].string;
            queue[n++] = node;
        }
    }
}

static status check(const char *const *strings, int64_t n, size_t *n_bytes) {
    *n_bytes = 0;
    if (n > STOP_STRINGS_MOST)
        return fail(LIMIT, "%" PRId64 " stop strings, at most %d are possible", n,
                    STOP_STRINGS_MOST);
    for (int64_t i = 0; i < n; i++) {
        if (!strings[i] || !strings[i][0])
            return fail(INVALID_ARGUMENT, "stop[%" PRId64 "] is %s", i,
                        strings[i] ? "empty" : "NULL");
        const char *end = memchr(strings[i], 0, STOP_STRINGS_MOST_BYTES + 1 - *n_bytes);
        if (!end)
            return fail(LIMIT, "stop[%" PRId64 "]: stop strings have more than %d bytes together",
                        i, STOP_STRINGS_MOST_BYTES);
        size_t length = (size_t)(end - strings[i]);
        if (utf8_valid_prefix((const uint8_t *)strings[i], length) < length)
            return fail(INVALID_ARGUMENT, "stop[%" PRId64 "] is no UTF-8", i);
        *n_bytes += length;
    }
    return OK;
}

status stop_strings_create(struct memory *memory, const char *const *strings, int64_t n,
                           struct stop_strings **created) {
    struct stop_strings *fresh;
    int32_t *queue = NULL;
    size_t n_bytes;
    status result;
    TRY(check(strings, n, &n_bytes));
    TRY(MEMORY_TAKE_ONE(memory, "stop strings", &fresh));
    fresh->memory = memory;
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_bytes + 1, "stop strings", &fresh->nodes));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, (size_t)n, "stop strings", &fresh->lengths));
    TRY_OR_EXIT(MEMORY_TAKE_ARRAY(memory, n_bytes + 1, "stop strings", &queue));
    fresh->nodes[0].string = -1;
    fresh->n_nodes = 1;
    for (int64_t i = 0; i < n; i++) add_string(fresh, strings[i], strlen(strings[i]), (int32_t)i);
    link_nodes(fresh, queue);
    *created = fresh;
exit:
    memory_give(memory, queue);
    if (result != OK) stop_strings_destroy(fresh);
    return result;
}

void stop_strings_destroy(struct stop_strings *strings) {
    if (!strings) return;
    memory_give(strings->memory, strings->nodes);
    memory_give(strings->memory, strings->lengths);
    memory_give(strings->memory, strings);
}

size_t stop_strings_longest(const struct stop_strings *strings) {
    return strings->longest;
}

size_t stop_strings_length(const struct stop_strings *strings, int32_t index) {
    return (size_t)strings->lengths[index];
}

int32_t stop_search_push(const struct stop_strings *strings, struct stop_search *search,
                         const char *bytes, size_t n, size_t *end) {
    for (size_t i = 0; i < n; i++) {
        search->state = follow(strings, search->state, (uint8_t)bytes[i]);
        int32_t found = strings->nodes[search->state].string;
        if (found < 0) continue;
        *end = i + 1;
        return found;
    }
    return -1;
}

size_t stop_search_held(const struct stop_strings *strings, const struct stop_search *search) {
    return (size_t)strings->nodes[search->state].depth;
}
