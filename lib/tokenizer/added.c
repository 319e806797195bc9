#include "tokenizer/added.h"

#include <string.h>

#include "tokenizer/character.h"
#include "tokenizer/utf8.h"

void added_init(struct added *added, struct memory *memory) {
    *added = (struct added){.memory = memory};
    map_init(&added->map, memory);
}

static const char *content_of(const void *owner, uint32_t index, size_t *length) {
    const struct added *added = owner;
    *length = added->tokens[index].content.length;
    return added->tokens[index].content.data;
}

const struct added_token *added_find(const struct added *added, struct text content) {
    int64_t index = map_find(&added->map, added, content_of, content.data, content.length);
    return index < 0 ? NULL : &added->tokens[index];
}

status added_put(struct added *added, const struct added_token *token) {
    int64_t present;
    if (token->content.length > ADDED_MOST_BYTES)
        return fail(UNSUPPORTED, "an added token of %zu bytes; up to %d are possible",
                    token->content.length, ADDED_MOST_BYTES);
    if (added->n == added->capacity) {
        uint32_t capacity = added->capacity ? 2 * added->capacity : 64;
        struct added_token *tokens;
        TRY(MEMORY_TAKE_ARRAY(added->memory, capacity, "added tokens", &tokens));
        if (added->n) memcpy(tokens, added->tokens, added->n * sizeof *tokens);
        memory_give(added->memory, added->tokens);
        added->tokens = tokens;
        added->capacity = capacity;
    }
    added->tokens[added->n] = *token;
    TRY(map_add(&added->map, added, content_of, added->n, &present));
    if (present < 0)
        added->n++;
    else
        added->tokens[present] = *token;
    return OK;
}

static struct text form_of(const void *owner, uint32_t index) {
    const struct added_set *set = owner;
    return set->tokens[index]->form;
}

static status make_set(const struct added *added, bool normalized, struct added_set *set) {
    TRY(MEMORY_TAKE_ARRAY(added->memory, added->n, "added tokens", &set->tokens));
    for (uint32_t i = 0; i < added->n; i++) {
        const struct added_token *token = &added->tokens[i];
        if (!(token->flags & ADDED_NORMALIZED) != !normalized || token->form.length == 0) continue;
        set->tokens[set->n++] = token;
        set->first[(uint8_t)token->form.data[0]] = true;
    }
    return set->n ? trie_open(added->memory, set, form_of, set->n, &set->trie) : OK;
}

status added_finish(struct added *added) {
    TRY(make_set(added, false, &added->raw));
    return make_set(added, true, &added->normalized);
}

static void close_set(const struct added *added, struct added_set *set) {
    if (set->trie.units) trie_close(&set->trie);
    memory_give(added->memory, set->tokens);
}

void added_close(struct added *added) {
    if (!added->memory) return;
    close_set(added, &added->raw);
    close_set(added, &added->normalized);
    map_free(&added->map);
    memory_give(added->memory, added->tokens);
    added->memory = NULL;
}

/* Start of the character before `at`. */
static size_t before(const uint8_t *text, size_t at) {
    do at--;
    while (at > 0 && (text[at] & 0xc0) == 0x80);
    return at;
}

static bool word_ends_at(const uint8_t *text, size_t at) {
    unsigned n;
    return at > 0 && character_is_word(utf8_decode(text + before(text, at), &n));
}

static bool word_starts_at(const uint8_t *text, size_t at, size_t length) {
    unsigned n;
    return at < length && character_is_word(utf8_decode(text + at, &n));
}

/* The next match is found, or at is length. */
static void search(struct added_walk *walk, size_t *start) {
    const uint8_t *text = walk->text;
    walk->found = NULL;
    while (walk->at < walk->length) {
        int64_t index;
        size_t begin = walk->at, n = 0;
        if (walk->set->first[text[begin]])
            n = trie_longest(&walk->set->trie, text + begin, walk->length - begin, &index);
        if (n == 0) {
            walk->at++;
            continue;
        }
        const struct added_token *token = walk->set->tokens[index];
        size_t end = begin + n;
        walk->at = end; /* a match that doesn't count is passed over as a whole all the same */
        if (token->flags & ADDED_SPECIAL && !walk->special) continue;
        if (token->flags & ADDED_SINGLE_WORD &&
            (word_ends_at(text, begin) || word_starts_at(text, end, walk->length)))
            continue;
        unsigned bytes;
        /* within the white space that the one before took */
        if (token->flags & ADDED_LSTRIP && begin < walk->done) begin = walk->done;
        if (token->flags & ADDED_LSTRIP)
            while (begin > walk->done) {
                size_t one = before(text, begin);
                if (!(character_class(utf8_decode(text + one, &bytes)) & SPACE)) break;
                begin = one;
            }
        if (token->flags & ADDED_RSTRIP && end < walk->done) end = walk->done;
        if (token->flags & ADDED_RSTRIP)
            while (end < walk->length && character_class(utf8_decode(text + end, &bytes)) & SPACE)
                end += bytes;
        if (begin >= end) { /* nothing is left of it */
            walk->done = end;
            continue;
        }
        walk->found = token;
        walk->found_end = end;
        *start = begin;
        return;
    }
}

bool added_next(struct added_walk *walk, struct added_part *part) {
    if (walk->found) {
        *part = (struct added_part){walk->done, walk->found_end, walk->found};
        walk->done = walk->found_end;
        walk->found = NULL;
        return true;
    }
    size_t start = walk->length;
    if (walk->set->n == 0) walk->at = walk->length;
    search(walk, &start);
    if (start > walk->done) {
        *part = (struct added_part){walk->done, start, NULL};
        walk->done = start;
        return true;
    }
    /* at once behind the one before; it may even begin within white space that that one took */
    return walk->found && added_next(walk, part);
}
