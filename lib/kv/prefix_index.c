#include "kv/prefix_index.h"

#include <string.h>

#include "kv/page_table.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* What an entry is found by. Zero where an entry that isn't a root has no domain. */
struct hashed {
    struct prefix_domain domain;
    uint64_t parent; /* its hash */
    int32_t tokens[KV_PAGE_TOKENS];
    uint8_t types[KV_PAGE_TOKENS];
    uint64_t of_source;
};

static uint64_t hash_bytes(const void *bytes, size_t n) {
    return XXH3_64bits(bytes, n);
}

static int64_t buckets_for(int64_t capacity) {
    int64_t n = 1;
    while (n < capacity) n *= 2;
    return n;
}

size_t prefix_index_bytes(int64_t capacity, int n_groups) {
    size_t n = (size_t)capacity, groups = (size_t)n_groups;
    return memory_cost(n * sizeof(struct prefix_entry)) + memory_cost(n * groups * 4) +
           memory_cost((size_t)buckets_for(capacity) * 4) + memory_cost(groups * 8);
}

status prefix_index_init(struct memory *memory, const struct kv_layout *layout,
                         struct page_pool *pools, int64_t capacity, struct prefix_index *index) {
    size_t n = (size_t)capacity, groups = (size_t)layout->n_groups;
    const char *purpose = "the prefix index";
    *index = (struct prefix_index){.layout = layout,
                                   .pools = pools,
                                   .capacity = capacity,
                                   .n_buckets = buckets_for(capacity),
                                   .free = PREFIX_NONE,
                                   .hash = hash_bytes};
    TRY(MEMORY_TAKE(memory, n * sizeof(struct prefix_entry), purpose, &index->entries));
    TRY(MEMORY_TAKE(memory, n * groups * sizeof(int32_t), purpose, &index->pages));
    TRY(MEMORY_TAKE_ARRAY(memory, (size_t)index->n_buckets, purpose, &index->buckets));
    TRY(MEMORY_TAKE_ARRAY(memory, groups, purpose, &index->in_window));
    for (int64_t i = 0; i < index->n_buckets; i++) index->buckets[i] = PREFIX_NONE;
    return OK;
}

void prefix_index_free(struct memory *memory, struct prefix_index *index) {
    memory_give(memory, index->entries);
    memory_give(memory, index->pages);
    memory_give(memory, index->buckets);
    memory_give(memory, index->in_window);
    *index = (struct prefix_index){0};
}

static int32_t *pages_of(const struct prefix_index *index, int32_t entry) {
    return index->pages + (int64_t)entry * index->layout->n_groups;
}

static bool grows(const struct prefix_index *index, int group) {
    return index->layout->groups[group].kind == KV_GROWING;
}

static int32_t *bucket_of(const struct prefix_index *index, uint64_t hash) {
    return &index->buckets[hash & (uint64_t)(index->n_buckets - 1)];
}

/* ---- entries ---- */

static void fill_hashed(const struct prefix_index *index, const struct prefix_domain *domain,
                        int32_t parent, struct prefix_tokens page, bool of_source,
                        struct hashed *hashed) {
    memset(hashed, 0, sizeof *hashed);
    if (parent == PREFIX_NONE)
        hashed->domain = *domain;
    else
        hashed->parent = index->entries[parent].hash;
    memcpy(hashed->tokens, page.tokens, sizeof hashed->tokens);
    memcpy(hashed->types, page.types, sizeof hashed->types);
    hashed->of_source = of_source;
}

/* That the parents are one and the same says that all before it is. */
static bool is_entry(const struct prefix_entry *entry, const struct hashed *hashed, uint64_t hash,
                     int32_t parent) {
    return entry->hash == hash && entry->parent == parent &&
           entry->of_source == (hashed->of_source != 0) &&
           memcmp(entry->tokens, hashed->tokens, sizeof entry->tokens) == 0 &&
           memcmp(entry->types, hashed->types, sizeof entry->types) == 0 &&
           memcmp(&entry->domain, &hashed->domain, sizeof entry->domain) == 0;
}

static int32_t find(const struct prefix_index *index, const struct hashed *hashed, uint64_t hash,
                    int32_t parent) {
    int32_t entry = *bucket_of(index, hash);
    while (entry != PREFIX_NONE && !is_entry(&index->entries[entry], hashed, hash, parent))
        entry = index->entries[entry].next;
    return entry;
}

static void unlink_entry(struct prefix_index *index, int32_t entry) {
    int32_t *link = bucket_of(index, index->entries[entry].hash);
    while (*link != entry) link = &index->entries[*link].next;
    *link = index->entries[entry].next;
    index->entries[entry].next = index->free;
    index->free = entry;
}

static bool has_pages(const struct prefix_index *index, int32_t entry) {
    for (int g = 0; g < index->layout->n_groups; g++)
        if (pages_of(index, entry)[g] != PAGE_NONE) return true;
    return false;
}

/* An entry that nothing holds and that has no page is no use; its parent may be the next. */
static void remove_unused(struct prefix_index *index, int32_t entry) {
    while (entry != PREFIX_NONE && !index->entries[entry].n_holders && !has_pages(index, entry)) {
        int32_t parent = index->entries[entry].parent;
        unlink_entry(index, entry);
        if (parent != PREFIX_NONE) index->entries[parent].n_holders--;
        entry = parent;
    }
}

static void leave_page(struct prefix_index *index, int32_t entry, int group) {
    int32_t *page = &pages_of(index, entry)[group];
    if (*page == PAGE_NONE) return;
    page_pool_leave(&index->pools[group], *page);
    *page = PAGE_NONE;
    index->n_evicted++;
}

/* Lets go of an entry's page in a group. In one without a window no query could do without it:
 * the whole entry goes. false: it is held. */
static bool let_go(struct prefix_index *index, int32_t entry, int group) {
    if (index->layout->groups[group].window) {
        leave_page(index, entry, group);
    } else {
        if (index->entries[entry].n_holders) return false;
        for (int g = 0; g < index->layout->n_groups; g++) leave_page(index, entry, g);
    }
    remove_unused(index, entry);
    return true;
}

bool prefix_index_evict(struct prefix_index *index, int group) {
    const struct page_pool *pool = &index->pools[group];
    for (int32_t page = pool->oldest; page != PAGE_NONE; page = pool->newer[page])
        if (let_go(index, pool->entries[page], group)) return true;
    return false;
}

bool prefix_index_release(struct prefix_index *index, int group, int32_t page) {
    return let_go(index, index->pools[group].entries[page], group);
}

static bool is_full(const struct prefix_index *index) {
    return index->free == PREFIX_NONE && index->n_begun == index->capacity;
}

/* An entry without pages; the index isn't full. */
static int32_t take_entry(struct prefix_index *index) {
    int32_t entry = index->free;
    if (entry != PREFIX_NONE)
        index->free = index->entries[entry].next;
    else
        entry = (int32_t)index->n_begun++;
    for (int g = 0; g < index->layout->n_groups; g++) pages_of(index, entry)[g] = PAGE_NONE;
    return entry;
}

/* Where all tokens are in windows, entries may be more than pages: those that hold nothing else up
 * make room. */
static void make_room(struct prefix_index *index) {
    for (int g = 0; g < index->layout->n_groups && is_full(index); g++)
        while (is_full(index) && prefix_index_evict(index, g)) {
        }
}

/* The child of parent, which somebody holds, or with PREFIX_NONE the root; made if it isn't there.
 * PREFIX_NONE: there is none and no room for it. */
static int32_t child_of(struct prefix_index *index, const struct prefix_domain *domain,
                        int32_t parent, struct prefix_tokens page, bool of_source, bool create) {
    struct hashed hashed;
    fill_hashed(index, domain, parent, page, of_source, &hashed);
    uint64_t hash = index->hash(&hashed, sizeof hashed);
    int32_t entry = find(index, &hashed, hash, parent);
    if (entry != PREFIX_NONE || !create) return entry;
    if (is_full(index)) make_room(index);
    if (is_full(index)) return PREFIX_NONE;
    entry = take_entry(index);
    struct prefix_entry *fresh = &index->entries[entry];
    int32_t *bucket = bucket_of(index, hash);
    *fresh = (struct prefix_entry){.domain = hashed.domain,
                                   .hash = hash,
                                   .parent = parent,
                                   .next = *bucket,
                                   .of_source = of_source};
    memcpy(fresh->tokens, hashed.tokens, sizeof fresh->tokens);
    memcpy(fresh->types, hashed.types, sizeof fresh->types);
    *bucket = entry;
    if (parent != PREFIX_NONE) index->entries[parent].n_holders++;
    return entry;
}

/* ---- followers ---- */

/* From its last entry to another one, or to none. */
static void follow(struct prefix_index *index, struct prefix_follower *follower, int32_t entry) {
    int32_t last = follower->last;
    follower->last = entry;
    if (entry != PREFIX_NONE) index->entries[entry].n_holders++;
    if (last == PREFIX_NONE) return;
    index->entries[last].n_holders--;
    remove_unused(index, last);
}

bool prefix_index_begin(struct prefix_index *index, const struct prefix_domain *domain,
                        const int32_t *source, int64_t n_source, bool create,
                        struct prefix_follower *follower) {
    static const uint8_t no_types[KV_PAGE_TOKENS];
    int32_t tokens[KV_PAGE_TOKENS];
    for (int64_t at = 0; at < n_source; at += KV_PAGE_TOKENS) {
        int64_t n = n_source - at < KV_PAGE_TOKENS ? n_source - at : KV_PAGE_TOKENS;
        memset(tokens, 0xFF, sizeof tokens); /* -1, which is no token */
        memcpy(tokens, source + at, (size_t)n * sizeof *tokens);
        struct prefix_tokens page = {tokens, no_types};
        int32_t entry = child_of(index, domain, follower->last, page, true, create);
        if (entry == PREFIX_NONE) {
            prefix_index_back(index, follower, 0);
            return false;
        }
        follow(index, follower, entry);
    }
    return true;
}

void prefix_index_back(struct prefix_index *index, struct prefix_follower *follower, int64_t n) {
    int32_t entry = follower->last;
    for (; follower->n_pages > n; follower->n_pages--) entry = index->entries[entry].parent;
    if (follower->n_pages == 0) entry = PREFIX_NONE;
    if (entry != follower->last) follow(index, follower, entry);
}

void prefix_index_fork(struct prefix_index *index, const struct prefix_follower *from,
                       struct prefix_follower *to) {
    to->n_pages = from->n_pages;
    follow(index, to, from->last);
}

/* The entry's page of a group and the table's become one, whichever there is. */
static void share(struct prefix_index *index, int32_t entry, int group, struct page_table *table,
                  int64_t at) {
    struct page_pool *pool = &index->pools[group];
    int32_t *entered = &pages_of(index, entry)[group], *own = &table->pages[at];
    if (*own == PAGE_NONE || *own == *entered) return;
    if (*entered == PAGE_NONE) {
        *entered = *own;
        page_pool_enter(pool, *own, entry);
        return;
    }
    page_pool_share(pool, *entered); /* of the same tokens: it has the same bits */
    page_pool_drop(pool, *own);
    *own = *entered;
}

bool prefix_index_enter(struct prefix_index *index, const struct prefix_domain *domain,
                        struct prefix_tokens next, struct page_table *tables,
                        struct prefix_follower *follower) {
    int32_t entry = child_of(index, domain, follower->last, next, false, true);
    if (entry == PREFIX_NONE) return false;
    follow(index, follower, entry);
    for (int g = 0; g < index->layout->n_groups; g++)
        if (grows(index, g)) share(index, entry, g, &tables[g], follower->n_pages);
    follower->n_pages++;
    return true;
}

/* Whether a query at the beginning of a page finds all it looks at among the pages before it. */
static bool covers(const struct prefix_index *index, int64_t page) {
    for (int g = 0; g < index->layout->n_groups; g++) {
        int64_t first = page_table_first(index->layout->groups[g].window, page * KV_PAGE_TOKENS);
        if (grows(index, g) && index->in_window[g] < page - first) return false;
    }
    return true;
}

/* The table goes on to n pages with those of the entry and the ones before it. */
static void share_pages(struct prefix_index *index, int32_t entry, int group,
                        struct page_table *table, int64_t n) {
    struct page_pool *pool = &index->pools[group];
    int64_t first = page_table_first(index->layout->groups[group].window, n * KV_PAGE_TOKENS);
    for (int64_t at = n - 1; at >= table->n_pages; at--) {
        int32_t page = at < first ? PAGE_NONE : pages_of(index, entry)[group];
        if (page != PAGE_NONE) page_pool_share(pool, page);
        table->pages[at] = page;
        entry = index->entries[entry].parent;
    }
    for (int64_t at = table->n_dropped; at < first && at < table->n_pages; at++) {
        page_pool_drop(pool, table->pages[at]);
        table->pages[at] = PAGE_NONE;
    }
    table->n_pages = n;
    if (table->n_dropped < first) table->n_dropped = first;
}

int64_t prefix_index_reuse(struct prefix_index *index, const struct prefix_domain *domain,
                           struct prefix_tokens next, int64_t n, struct page_table *tables,
                           struct prefix_follower *follower) {
    int64_t first = follower->n_pages, best = 0;
    int32_t entry = follower->last, found = PREFIX_NONE;
    for (int g = 0; g < index->layout->n_groups; g++)
        index->in_window[g] = first - tables[g].n_dropped;
    for (int64_t i = 0; i < n; i++) {
        entry = child_of(index, domain, entry, next, false, false);
        if (entry == PREFIX_NONE) break;
        for (int g = 0; g < index->layout->n_groups; g++) {
            bool there = pages_of(index, entry)[g] != PAGE_NONE;
            index->in_window[g] = there ? index->in_window[g] + 1 : 0;
        }
        if (covers(index, first + i + 1)) {
            best = i + 1;
            found = entry;
        }
        next.tokens += KV_PAGE_TOKENS;
        next.types += KV_PAGE_TOKENS;
    }
    if (!best) return 0;
    for (int g = 0; g < index->layout->n_groups; g++)
        if (grows(index, g)) share_pages(index, found, g, &tables[g], first + best);
    follow(index, follower, found);
    follower->n_pages = first + best;
    return best;
}
